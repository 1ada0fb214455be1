package target

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"sort"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/dulyhq/duly"
)

const (
	// maxHead is how many pieces the beginning of an output has at most, so that what is printed byte by byte takes no more room than
	// its limit allows for.
	maxHead   = 8 << 10
	maxReason = 1 << 10

	// maxHeld is how much of a short output waits in memory for the end of its attempt, and holding how often it is looked whether one
	// waits for the second time: it waits for twice as long at most.
	maxHeld = 4 << 10
	holding = 500 * time.Millisecond
)

// A recording is what an attempt prints while it runs. The beginning, up to half of the limit, is in the files; what follows is in
// memory, the latest of it, until the attempt ends. One that is held is all in memory, its start as well, so that a short attempt is
// written at once when it has ended. A recording of no Outputs keeps nothing.
type recording struct {
	o    *Outputs
	hash uint64
	most [2]int64 // bytes of the head, of the tail

	mu      sync.Mutex
	info    Attempt
	fixed   []byte // the JSON of what of info does not change
	start   place  // of its record; none if it could not be written
	head    []headPiece
	headLen int64
	held    bool // nothing is in the files yet
	passed  bool // it was held when it was looked for what is
	inTail  bool // the head has ended
	tail    tail
	cut     [len(streams)][]byte // the beginning of a character
	done    bool
	news    chan struct{} // closed at the next change, if somebody waits for it
}

// A headPiece is where a part of the head is.
type headPiece struct {
	place
	offset int64
	n      int
}

// begin records that an attempt has started. hold is for one that is expected to be short and to print little.
func (o *Outputs) begin(a *duly.AttemptInfo, limit int64, hold bool) *recording {
	w := &recording{o: o, most: [2]int64{limit - limit/2, limit / 2}, held: hold, info: Attempt{
		Namespace: a.Namespace, Name: a.Name, Kind: a.Kind, RunID: a.RunID, Number: a.Number, Fence: a.Fence,
		ScheduledFor: a.ScheduledFor.UTC(), Due: a.Due.UTC(), Started: a.Started.UTC(), Running: true,
	}}
	if o == nil {
		return w
	}
	w.hash = hashOf(a.Namespace, a.Name)
	o.mu.Lock()
	o.live[w] = struct{}{}
	if hold {
		o.holdLocked()
	}
	o.mu.Unlock()
	if !hold {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.writeStartLocked()
	}
	return w
}

// startLocked returns the record of the start. b is where its content may be.
func (w *recording) startLocked(b []byte) (record, error) {
	if w.fixed == nil {
		b, err := appendFixed(b, &w.info)
		if err != nil {
			return record{}, err
		}
		w.fixed = b
	}
	b, err := appendRest(w.fixed, &w.info) // in the room behind it
	return record{typeStart, w.hash, w.info.Started.UnixNano(), b}, err
}

func (w *recording) writeStartLocked() {
	r, err := w.startLocked(make([]byte, 0, jsonRoom))
	if err != nil {
		return
	}
	if at, err := w.o.write(r); err == nil {
		w.start = at
	}
}

// spill writes what is held. With again it does so only if it was asked for before.
func (w *recording) spill(again bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held && again && !w.passed {
		w.passed = true
		return
	}
	w.spillLocked()
}

func (w *recording) spillLocked() {
	if !w.held || w.done {
		return
	}
	w.held = false
	w.o.released()
	pieces := w.tail.pieces
	w.tail, w.info.Bytes = tail{}, 0
	w.writeStartLocked()
	for i := range pieces {
		x := &pieces[i]
		w.putLocked(x.stream, x.data, x.at)
	}
}

// stream returns what takes what is printed to one stream. It never fails.
func (w *recording) stream(n byte) io.Writer { return streamWriter{w, n} }

type streamWriter struct {
	w *recording
	n byte
}

func (s streamWriter) Write(p []byte) (int, error) {
	s.w.print(s.n, p)
	return len(p), nil
}

// print takes what was printed. A character that is not whole waits for its rest.
func (w *recording) print(stream byte, p []byte) {
	if w.o == nil || len(p) == 0 {
		return
	}
	at := w.o.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return
	}
	if rest := w.cut[stream]; len(rest) > 0 {
		p = append(rest, p...)
	}
	whole := wholeRunes(p)
	w.cut[stream] = slices.Clone(p[whole:])
	w.putLocked(stream, p[:whole], at)
	w.wakeLocked()
}

// wholeRunes returns how much of p is whole characters: all of it, but for the beginning of one at its end.
func wholeRunes(p []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(p); i++ {
		if c := p[len(p)-i]; utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(p[len(p)-i:]) {
				return len(p) - i
			}
			break
		}
	}
	return len(p)
}

// runeBefore returns the largest n up to most at which p can be cut between characters.
func runeBefore(p []byte, most int) int {
	if most >= len(p) {
		return len(p)
	}
	for n := most; n > 0 && n > most-utf8.UTFMax; n-- {
		if utf8.RuneStart(p[n]) {
			return n
		}
	}
	return most
}

func (w *recording) putLocked(stream byte, p []byte, at time.Time) {
	if w.held && w.tail.n+int64(len(p)) > maxHeld {
		w.spillLocked()
	}
	if w.held && len(p) > 0 {
		w.tail.hold(tailPiece{piece{off: w.info.Bytes, stream: stream, data: p}, at})
		w.info.Bytes += int64(len(p))
		return
	}
	for len(p) > 0 {
		n := 0
		if !w.inTail {
			n = w.putHeadLocked(stream, p[:runeBefore(p, maxPiece)], at)
		}
		if n == 0 {
			w.inTail = true
			n = runeBefore(p, maxPiece)
			w.tail.push(tailPiece{piece{w.start, w.info.Bytes, stream, p[:n]}, at}, w.most[1], w.o)
		}
		w.info.Bytes += int64(n)
		p = p[n:]
	}
}

// putHeadLocked writes what fits into the head, and returns how much that was.
func (w *recording) putHeadLocked(stream byte, p []byte, at time.Time) int {
	if w.start == (place{}) || len(w.head) == maxHead {
		return 0
	}
	n := runeBefore(p, int(min(w.most[0]-w.headLen, int64(len(p)))))
	if n <= 0 || n < utf8.UTFMax && n < len(p) && !utf8.RuneStart(p[n]) { // no room for a whole character
		return 0
	}
	x := piece{w.start, w.info.Bytes, stream, p[:n]}
	put, err := w.o.write(record{typePiece, w.hash, at.UnixNano(), x.content()})
	if err != nil {
		return 0
	}
	w.head = append(w.head, headPiece{put, w.info.Bytes, n})
	w.headLen += int64(n)
	return n
}

func (w *recording) wakeLocked() {
	if w.news != nil {
		close(w.news)
		w.news = nil
	}
}

// An ending is how an attempt ended.
type ending struct {
	outcome string
	code    *int
	signal  string
	status  int
	reason  string
	unread  int64 // bytes that came and were not taken
}

// end records how the attempt ended, and what is in memory of what it printed.
func (w *recording) end(e *ending) {
	if w.o == nil {
		return
	}
	at := w.o.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for stream, rest := range w.cut {
		w.putLocked(byte(stream), rest, at)
	}
	if !w.held || !w.endHeldLocked(e, at) {
		w.endLocked(e, at)
	}
	w.done = true
	w.o.memory.Add(-w.tail.charged)
	w.o.mu.Lock()
	delete(w.o.live, w)
	if w.held {
		w.o.held--
	}
	w.o.mu.Unlock()
	w.wakeLocked()
}

// endLocked writes what is in memory, and the end.
func (w *recording) endLocked(e *ending, at time.Time) {
	if w.start == (place{}) {
		w.writeStartLocked()
	}
	saved := w.headLen
	for i := range w.tail.pieces {
		if w.start == (place{}) {
			break
		}
		if _, err := w.o.write(w.pieceLocked(i)); err != nil {
			break
		}
		saved += int64(len(w.tail.pieces[i].data))
	}
	w.info.ended(e, at, saved)
	if w.start == (place{}) {
		return
	}
	if r, err := w.recordEndLocked(make([]byte, 0, placeSize+jsonRoom+len(w.info.Reason)), &w.info); err == nil {
		_, _ = w.o.write(r) // it tells the logger
	}
}

// scratch is for the records of held attempts, which are written and gone.
var scratch = sync.Pool{New: func() any { return new([2*jsonRoom + placeSize]byte) }}

// endHeldLocked writes all of an attempt at once, and says whether that could be done. Where it could not, there may be room for a part.
func (w *recording) endHeldLocked(e *ending, at time.Time) bool {
	room := scratch.Get().(*[2*jsonRoom + placeSize]byte)
	defer scratch.Put(room)
	first, err := w.startLocked(room[:0:jsonRoom])
	all := append(make([]record, 0, 4), first)
	for i := range w.tail.pieces {
		all = append(all, w.pieceLocked(i))
	}
	info := w.info
	info.ended(e, at, w.tail.n)
	last, endErr := w.recordEndLocked(room[jsonRoom:jsonRoom], &info)
	w.fixed = nil // it is in the scratch
	var start place
	if err = cmp.Or(err, endErr); err == nil {
		start, err = w.o.write(append(all, last)...)
	}
	if err != nil {
		return false
	}
	w.start = start
	w.info.ended(e, at, w.tail.n)
	return true
}

// pieceLocked returns the record of a piece of the tail.
func (w *recording) pieceLocked(i int) record {
	x := &w.tail.pieces[i]
	x.start = w.start
	return record{typePiece, w.hash, x.at.UnixNano(), x.content()}
}

// recordEndLocked returns the record of the end. b is where its content may be.
func (w *recording) recordEndLocked(b []byte, a *Attempt) (record, error) {
	b = w.start.append(b)
	b, err := appendRest(append(b, w.fixed...), a)
	return record{typeEnd, w.hash, a.Ended.UnixNano(), b}, err
}

// ended notes how the attempt ended, and how much is kept of what it printed.
func (a *Attempt) ended(e *ending, at time.Time, saved int64) {
	a.Bytes += e.unread
	a.Omitted = a.Bytes - saved
	a.Ended, a.Running = at, false
	a.Outcome, a.ExitCode, a.Signal, a.Status, a.Reason = e.outcome, e.code, e.signal, e.status, e.reason[:runeBefore([]byte(e.reason), maxReason)]
}

// kept returns the attempt as it is now.
func (w *recording) kept() kept {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := kept{Attempt: w.info, start: w.start, rec: w}
	if !w.done {
		k.Omitted = w.info.Bytes - w.headLen - w.tail.n
	}
	return k
}

// chunks yields what is there, and with follow what comes, until the end.
func (w *recording) chunks(ctx context.Context, follow bool, yield func(Chunk, error) bool) {
	next, sent := int64(0), int64(0) // sent is the end of what was yielded
	for {
		if ctx.Err() != nil {
			yield(Chunk{}, context.Cause(ctx))
			return
		}
		x, wait := w.next(next)
		switch {
		case x.n > 0:
			if err := w.fetch(&x); err != nil {
				yield(Chunk{}, err)
				return
			}
			if x.data == nil { // deleted, for the room
				next = x.off + int64(x.n)
				continue
			}
			c := w.info.chunk(&x.piece, x.at.UnixNano())
			c.Omitted = x.off - sent
			next = x.off + int64(x.n)
			sent = next
			if !yield(c, nil) {
				return
			}
		case wait == nil || !follow:
			if wait == nil && x.off > sent {
				yield(Chunk{RunID: w.info.RunID, Attempt: w.info.Number, At: x.at, Omitted: x.off - sent}, nil)
			}
			return
		default:
			select {
			case <-wait:
			case <-ctx.Done():
			case <-w.o.life.Done():
				yield(Chunk{}, errOutputsClosed)
				return
			}
		}
	}
}

// A fetched is the next piece for a reader: in memory, or to be read from its place.
type fetched struct {
	tailPiece
	from place
	skip int // bytes at its beginning that were read before
	n    int // bytes
}

// next returns what is to be read from an offset on. If there is nothing it says what to wait for; nil at the end, with the offset
// up to which there was something.
func (w *recording) next(from int64) (x fetched, wait <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if from < w.headLen {
		i, _ := slices.BinarySearchFunc(w.head, from+1, func(h headPiece, off int64) int { return int(min(max(h.offset-off, -1), 1)) })
		h := w.head[i-1]
		x.skip = int(from - h.offset)
		x.from, x.off, x.n = h.place, from, h.n-x.skip
		return x, nil
	}
	pieces := w.tail.pieces
	i := sort.Search(len(pieces), func(i int) bool { return pieces[i].off+int64(len(pieces[i].data)) > from })
	if i < len(pieces) {
		x.tailPiece = pieces[i]
		x.data = slices.Clone(x.data[max(from-x.off, 0):]) // the piece may grow, and its bytes be used again
		x.off, x.n = max(from, x.off), len(x.data)
		return x, nil
	}
	if w.done {
		x.off, x.at = w.info.Bytes, w.info.Ended
		return x, nil
	}
	if w.news == nil {
		w.news = make(chan struct{})
	}
	return x, w.news
}

// fetch reads a piece that is in the files. It has no data if it is not there any more.
func (w *recording) fetch(x *fetched) error {
	if x.from == (place{}) {
		return nil
	}
	p, at, err := w.o.piece(x.from)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoRecord):
		return nil
	case err != nil:
		return err
	case len(p.data) < x.skip+x.n:
		return nil
	}
	x.stream, x.data, x.at = p.stream, p.data[x.skip:], time.Unix(0, at)
	return nil
}
