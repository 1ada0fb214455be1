package api

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/dulyhq/duly"
)

var batchRoutes = []route{
	{
		method: http.MethodPost, path: "/v1/tasks:batch", need: Write,
		what: "Put many tasks: a line of JSON for each, answered by a line each in the same order. A line that is refused has its error and " +
			"leaves the others alone. Lines are put, and answered, by up to 1000.",
		body: &Spec{}, media: ndjson, answer: &Entry{}, form: ndjson, serve: (*call).batch,
	},
}

const ndjson = "application/x-ndjson"

const (
	batchLines = 1000    // that are put as one
	batchBytes = 4 << 20 // as are no more than about so many
)

// errLines says that a batch has more lines than it may. It has no text of its own.
var errLines = errors.New("")

// A batch is a POST /v1/tasks:batch.
type batch struct {
	*stream

	in     *bufio.Reader
	lines  int // read so far
	execOK *error
	chunk  []line
	size   int               // of the chunk's lines that are kept, in bytes
	read   int               // since the last put, with what is between lines
	kinds  map[string]string // of the chunk's names
}

// A line is one of a batch: what it asks for, and what becomes of it.
type line struct {
	d     *declared
	entry Entry
}

// batch answers POST /v1/tasks:batch.
func (c *call) batch() error {
	if err := c.media(ndjson, "application/ndjson", "application/jsonl"); err != nil {
		return err
	}
	s := &stream{call: c, rc: http.NewResponseController(c.w)}
	// A server that can't do both at once reads what is small before it answers, and what is not it cuts off.
	if err := s.rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	// The answer may have begun when the body is cut off. A server that does not see to it would take what still comes of that for a request.
	if _, ok := c.w.(interface{ LeavesNothing() }); !ok && c.r.ProtoMajor == 1 {
		c.w.Header().Set("Connection", "close")
	}
	c.w.Header().Set("Content-Type", ndjson)
	b := &batch{stream: s, in: bufio.NewReaderSize(&patient{s}, 32<<10)}
	for last := false; !last; {
		last = b.fill()
		heard := b.put()
		b.lessen()
		if !heard {
			break // nobody listens any more
		}
	}
	return nil
}

// fill reads lines until there are enough to be put as one, and returns whether they are the last.
func (b *batch) fill() (last bool) {
	for len(b.chunk) < batchLines && b.size < batchBytes && b.read < batchBytes && !b.overlong() {
		text, err := b.next()
		if err == nil {
			err = takenBack(b.r.Context())
		}
		switch {
		case errors.Is(err, errLines):
			b.refuse("", err)
		case err != nil && !errors.Is(err, io.EOF):
			b.cut(err)
		case len(text) > 0:
			b.take(text)
		}
		if err != nil {
			return true
		}
	}
	return false
}

// patient reads a body, and gives up when its sender pauses for too long.
type patient struct{ *stream }

func (p *patient) Read(b []byte) (int, error) {
	if err := p.rc.SetReadDeadline(byRuntime(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.r.Body.Read(b)
}

// room waits until so many bytes of a line may be in memory. With what was read before it, a batch has more than a small body has only while
// it is one of the large ones, until what it has is put; else what was read before is put at once, and what is large itself waits. So what
// comes slowly and is small holds up nobody.
func (b *batch) room(n int) error {
	if b.size+n <= largeBody || b.enlarged() {
		return nil
	}
	b.put() // that nobody listens any more, the next one says, too
	if n <= largeBody {
		return nil
	}
	return b.enlarge()
}

// next returns the next line, without blanks around it. An error ends the batch, but for one that is of this line alone.
func (b *batch) next() ([]byte, error) {
	var text []byte
	long := false
	for {
		part, err := b.in.ReadSlice('\n')
		b.read += len(part)
		if n := len(text) + len(part); !long && int64(n) > b.o.MaxBody+1 {
			long, text = true, nil
			if b.size > largeBody {
				b.put() // it may never end
			}
			b.lessen()
		} else if !long {
			if err := b.room(n); err != nil {
				return nil, err
			}
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		}
		text = bytes.TrimSpace(text)
		if len(text) > 0 || long {
			if b.lines++; b.lines > b.o.MaxBatch {
				return nil, fmt.Errorf("%w%w", errLines, &mistake{
					class: ErrTooLarge, field: "body", value: "longer", want: "at most " + strconv.Itoa(b.o.MaxBatch) + " lines",
				})
			}
		}
		if long {
			b.refuse("", &mistake{class: ErrTooLarge, field: "line", value: "longer", want: "at most " + strconv.FormatInt(b.o.MaxBody, 10) + " bytes"})
		}
		return text, err
	}
}

// take understands a line.
func (b *batch) take(text []byte) {
	var s Spec
	given, err := decode(text, &s)
	if err != nil {
		b.refuse("", err)
		return
	}
	if s.Command != nil {
		if b.execOK == nil {
			err := b.allow(Exec)
			b.execOK = &err
		}
		if err := *b.execOK; err != nil {
			b.refuse(s.Name, err)
			return
		}
	}
	d, err := b.understand(&s, given)
	if err != nil {
		b.refuse(s.Name, err)
		return
	}
	if d.name == "" {
		d.name = madeUp()
	}
	if kind, there := b.kinds[d.name]; there && kind != d.kind {
		if !b.put() {
			return // nobody listens any more: the next write says so, too
		}
		if len(text) <= largeBody {
			b.lessen()
		}
	}
	if b.kinds == nil {
		b.kinds = map[string]string{}
	}
	b.kinds[d.name] = d.kind
	b.size += len(text)
	b.add(line{d: d})
}

// cut refuses what was not put when the body was cut off, or what allowed it was taken back. The request's context has ended with it.
func (b *batch) cut(err error) {
	var each error = &mistake{class: ErrUnavailable, why: "the body was cut off before this was put"}
	end := wrong("body", "cut off ("+err.Error()+")", "a whole one")
	if errors.Is(err, ErrUnavailable) { // it was not read on
		each, end = err, err
	}
	if back := takenBack(b.r.Context()); back != nil {
		each, end = back, back
	}
	for i := range b.chunk {
		if l := &b.chunk[i]; l.d != nil {
			*l = line{entry: Entry{Name: l.d.name, Error: problemOf(each)}}
		}
	}
	b.add(line{entry: Entry{Error: problemOf(end)}})
}

func (b *batch) add(l line) { b.chunk = append(b.chunk, l) }

// refuse answers a line with an error.
func (b *batch) refuse(name string, err error) {
	b.size += len(name)
	b.add(line{entry: Entry{Name: name, Error: problemOf(fmt.Errorf("line %d: %w", b.lines, err))}})
}

// put puts the lines of the chunk, kind by kind, each as one write, and answers them. A name that comes with two kinds is not among them,
// so that its lines take effect in their order. It returns whether somebody has taken the answers.
func (b *batch) put() bool {
	byKind := map[string][]int{}
	var kinds []string
	for i := range b.chunk {
		if d := b.chunk[i].d; d != nil {
			if byKind[d.kind] == nil {
				kinds = append(kinds, d.kind)
			}
			byKind[d.kind] = append(byKind[d.kind], i)
		}
	}
	for _, kind := range kinds {
		b.putKind(kind, byKind[kind])
	}
	for i := range b.chunk {
		b.line(&b.chunk[i].entry)
	}
	b.chunk, b.size, b.read = b.chunk[:0], 0, 0
	clear(b.kinds)
	return b.flush() == nil
}

// putKind puts lines of one kind. If that fails, it fails for each.
func (b *batch) putKind(kind string, places []int) {
	items := func(yield func(duly.Item[[]byte]) bool) {
		for _, i := range places {
			d := b.chunk[i].d
			if !yield(duly.Item[[]byte]{Name: d.name, Payload: d.payload, Schedule: d.when, Options: d.options}) {
				return
			}
		}
	}
	entries, err := duly.Declare[[]byte](b.d, kind).PutMany(b.r.Context(), items)
	for n, i := range places {
		if n < len(entries) {
			b.chunk[i].entry = entryOf(&entries[n])
			continue
		}
		b.chunk[i].entry = Entry{Name: b.chunk[i].d.name, Error: problemOf(err)}
	}
}
