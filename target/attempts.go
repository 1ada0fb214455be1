package target

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"time"
)

// The outcomes of attempts. An attempt that runs, or whose process died, has none.
const (
	OutcomeDone      = "done"
	OutcomeFailed    = "failed"    // whether there is another attempt is the task's policy to say
	OutcomeLater     = "later"     // asked to be run again later; it does not count
	OutcomePermanent = "permanent" // there is no other attempt
)

// An Attempt is what is kept of one attempt.
type Attempt struct {
	Namespace    string    `json:"namespace,omitempty"`
	Name         string    `json:"name"`
	Kind         string    `json:"kind"`
	RunID        string    `json:"run_id"`
	Number       int       `json:"attempt"`
	Fence        int64     `json:"fence"`
	ScheduledFor time.Time `json:"scheduled_for"`
	Due          time.Time `json:"due_at"`
	Started      time.Time `json:"started_at"`
	Ended        time.Time `json:"ended_at,omitzero"` // zero while it runs, or if its process died
	Outcome      string    `json:"outcome,omitempty"`
	ExitCode     *int      `json:"exit_code,omitempty"` // of a command that exited
	Signal       string    `json:"signal,omitempty"`    // that ended a command
	Status       int       `json:"status,omitempty"`    // of an answer
	Reason       string    `json:"reason,omitempty"`    // why it has failed
	Bytes        int64     `json:"bytes"`               // that it printed
	Omitted      int64     `json:"omitted,omitempty"`   // of them, not kept

	Running bool `json:"-"` // it runs in this process
}

// jsonRoom is how much the JSON of most attempts takes at most.
const jsonRoom = 640

// appendFixed and appendRest append what encoding/json makes of an attempt, without its detours: there are two records of each attempt,
// which begin with the same. The first appends what is known when it starts.
func appendFixed(b []byte, a *Attempt) ([]byte, error) {
	b = append(b, '{')
	if a.Namespace != "" {
		b = append(appendQuoted(append(b, `"namespace":`...), a.Namespace), ',')
	}
	b = appendQuoted(append(b, `"name":`...), a.Name)
	b = appendQuoted(append(b, `,"kind":`...), a.Kind)
	b = appendQuoted(append(b, `,"run_id":`...), a.RunID)
	b = strconv.AppendInt(append(b, `,"attempt":`...), int64(a.Number), 10)
	b = strconv.AppendInt(append(b, `,"fence":`...), a.Fence, 10)
	b, err := appendTime(append(b, `,"scheduled_for":`...), a.ScheduledFor)
	if err == nil {
		b, err = appendTime(append(b, `,"due_at":`...), a.Due)
	}
	if err == nil {
		b, err = appendTime(append(b, `,"started_at":`...), a.Started)
	}
	return b, err
}

func appendRest(b []byte, a *Attempt) ([]byte, error) {
	if !a.Ended.IsZero() {
		var err error
		if b, err = appendTime(append(b, `,"ended_at":`...), a.Ended); err != nil {
			return b, err
		}
	}
	if a.Outcome != "" {
		b = appendQuoted(append(b, `,"outcome":`...), a.Outcome)
	}
	if a.ExitCode != nil {
		b = strconv.AppendInt(append(b, `,"exit_code":`...), int64(*a.ExitCode), 10)
	}
	if a.Signal != "" {
		b = appendQuoted(append(b, `,"signal":`...), a.Signal)
	}
	if a.Status != 0 {
		b = strconv.AppendInt(append(b, `,"status":`...), int64(a.Status), 10)
	}
	if a.Reason != "" {
		b = appendQuoted(append(b, `,"reason":`...), a.Reason)
	}
	b = strconv.AppendInt(append(b, `,"bytes":`...), a.Bytes, 10)
	if a.Omitted != 0 {
		b = strconv.AppendInt(append(b, `,"omitted":`...), a.Omitted, 10)
	}
	return append(b, '}'), nil
}

// appendTime appends a time; one that RFC 3339 has no form for is an error.
func appendTime(b []byte, t time.Time) ([]byte, error) {
	b, err := t.AppendText(append(b, '"'))
	return append(b, '"'), err
}

// appendQuoted appends a string of JSON.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string is never refused
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// The streams that output comes from.
const (
	Stdout = "stdout"
	Stderr = "stderr"
	Body   = "body" // of an answer
)

// streams are the names of those that pieces number.
var streams = [...]string{Stdout, Stderr, Body}

const (
	streamOut byte = iota
	streamErr
	streamBody
)

// A Chunk is a part of what an attempt printed. Parts of different streams come in the order in which they were read.
type Chunk struct {
	RunID   string
	Attempt int
	At      time.Time
	Stream  string
	Data    []byte // whole characters, where it is UTF-8
	Omitted int64  // bytes before it that are not kept; after the last one a chunk without Data tells of them
}

// kept is an attempt with the places of its records.
type kept struct {
	Attempt
	start, end place
	rec        *recording // if it runs
}

// search returns the newest attempts at a task that match, at most limit.
func (o *Outputs) search(ctx context.Context, namespace, name string, limit int, match func(*Attempt) bool) (found []kept, err error) {
	segs, live, err := o.view()
	if err != nil {
		return nil, err
	}
	q := query{
		namespace: namespace, name: name, hash: hashOf(namespace, name), limit: limit, match: match, running: map[place]kept{},
		oldest: o.now().Add(-o.opts.MaxAge), ends: map[place]kept{}, since: math.MaxInt64,
	}
	var unwritten []kept // or not to be found in segs
	for _, w := range live {
		k := w.kept()
		if k.start == (place{}) {
			unwritten = append(unwritten, k)
		} else {
			q.running[k.start] = k
		}
	}
	for i := len(segs) - 1; i >= 0 && !q.enough(segs[i].last); i-- {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := q.read(&segs[i]); err != nil && !errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
			return nil, err
		}
	}
	if len(q.found) < limit { // those whose start is too old
		q.found = slices.AppendSeq(q.found, maps.Values(q.ends))
	}
	for _, k := range slices.AppendSeq(unwritten, maps.Values(q.running)) {
		if q.matches(&k) {
			q.found = append(q.found, k)
		}
	}
	slices.SortStableFunc(q.found, func(a, b kept) int { return cmp.Or(cmp.Compare(b.Fence, a.Fence), b.start.compare(a.start)) })
	return q.found[:min(len(q.found), limit)], nil
}

// A query is a search under way, which goes from the newest segment to the oldest.
type query struct {
	namespace, name string
	hash            uint64
	limit           int
	match           func(*Attempt) bool
	running         map[place]kept // by their starts, those that are not found yet
	oldest          time.Time
	ends            map[place]kept // by their starts, which are not found yet
	found           []kept
	since           int64 // when the first of those found began
}

func (q *query) matches(k *kept) bool {
	if k.Name != q.name || k.Namespace != q.namespace {
		return false
	}
	last := k.Ended
	if last.IsZero() {
		last = k.Started
	}
	return (k.Running || !last.Before(q.oldest)) && (q.match == nil || q.match(&k.Attempt))
}

// read searches a segment.
func (q *query) read(s *segment) error {
	entries, err := s.find(q.hash)
	if err != nil || len(entries) == 0 {
		return err
	}
	f, err := os.Open(s.path(logSuffix))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	for _, e := range slices.Backward(entries) {
		if e.kind() == typePiece {
			continue
		}
		r, err := readRecord(f, int64(e.off()), nil)
		if errors.Is(err, errNoRecord) {
			continue
		}
		if err != nil {
			return err
		}
		if r.kind == typeEnd && q.enough(r.at) {
			return nil
		}
		q.take(place{s.id, e.off()}, &r)
	}
	return nil
}

// enough says that what was written by an instant has begun before all that were found, and is not asked for. One that was held is behind
// those that began after it and were written before.
func (q *query) enough(written int64) bool { return len(q.found) >= q.limit && written < q.since }

// take notes a start or an end. Of an attempt the end is seen first.
func (q *query) take(at place, r *record) {
	switch r.kind {
	case typeEnd:
		if len(r.content) < placeSize {
			return
		}
		k := kept{start: placeOf(r.content), end: at}
		if _, ok := q.running[k.start]; !ok && json.Unmarshal(r.content[placeSize:], &k.Attempt) == nil && q.matches(&k) {
			q.ends[k.start] = k
		}
	case typeStart:
		k, ended := q.ends[at]
		switch running, ok := q.running[at]; {
		case ok:
			k = running
			delete(q.running, at)
		case ended:
			delete(q.ends, at)
		default:
			k.start = at
			if json.Unmarshal(r.content, &k.Attempt) != nil {
				return
			}
		}
		if q.matches(&k) {
			q.found, q.since = append(q.found, k), min(q.since, k.Started.UnixNano())
		}
	}
}

// Chunks yields what an attempt has printed, in its order. With follow it goes on until the attempt has ended, as it prints. The
// attempt's number is that of [duly.AttemptInfo]. An error is the last thing it yields: one that is [duly.ErrNotFound] if no such
// attempt is kept, the cause of ctx, or that something could not be read.
func (o *Outputs) Chunks(ctx context.Context, namespace, name, runID string, attempt int, follow bool) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		if o == nil {
			yield(Chunk{}, notFound(name, runID, attempt))
			return
		}
		found, err := o.search(ctx, namespace, name, 1, func(a *Attempt) bool { return a.RunID == runID && a.Number == attempt })
		switch {
		case err != nil:
			yield(Chunk{}, err)
		case len(found) == 0:
			yield(Chunk{}, notFound(name, runID, attempt))
		case found[0].rec != nil:
			found[0].rec.chunks(ctx, follow, yield)
		default:
			o.chunks(ctx, &found[0], yield)
		}
	}
}

// chunks yields what is in the files.
func (o *Outputs) chunks(ctx context.Context, k *kept, yield func(Chunk, error) bool) {
	segs, _, err := o.view()
	next := int64(0) // offset in the output
	hash := hashOf(k.Namespace, k.Name)
	for i := range segs {
		s := &segs[i]
		if err != nil {
			break
		}
		if s.id < k.start.seg || k.end.seg > 0 && s.id > k.end.seg {
			continue
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
		err = k.read(s, hash, func(p *piece, at int64) bool {
			c := k.chunk(p, at)
			c.Omitted = max(p.off-next, 0)
			next = p.off + int64(len(p.data))
			return yield(c, nil)
		})
		if errors.Is(err, errStopReading) {
			return
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err != nil {
		yield(Chunk{}, err)
	} else if k.Bytes > next {
		yield(Chunk{RunID: k.RunID, Attempt: k.Number, At: k.Ended, Omitted: k.Bytes - next}, nil)
	}
}

func (a *Attempt) chunk(p *piece, at int64) Chunk {
	return Chunk{RunID: a.RunID, Attempt: a.Number, At: time.Unix(0, at).UTC(), Stream: streams[p.stream], Data: p.data}
}

var errStopReading = errors.New("the reader has enough")

// read yields the attempt's pieces in a segment.
func (k *kept) read(s *segment, hash uint64, yield func(p *piece, at int64) bool) error {
	entries, err := s.find(hash)
	if err != nil {
		return err
	}
	f, err := os.Open(s.path(logSuffix))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	buf := make([]byte, 4<<10)
	for _, e := range entries {
		at := place{s.id, e.off()}
		if e.kind() != typePiece || at.compare(k.start) < 0 || k.end.seg > 0 && at.compare(k.end) > 0 {
			continue
		}
		r, err := readRecord(f, int64(e.off()), buf)
		if errors.Is(err, errNoRecord) {
			continue
		}
		if err != nil {
			return err
		}
		if p, ok := pieceOf(r.content); ok && p.start == k.start && !yield(&p, r.at) {
			return errStopReading
		}
	}
	return nil
}
