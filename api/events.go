package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/queue"
)

const (
	// beat is how often something is sent to who listens, so that either side notices when the other has gone.
	beat = 15 * time.Second
	// patience is how long a reader may take for what was written to it, and how long a sender may pause.
	patience = 30 * time.Second
	// ahead is how many entries are read before they are written.
	ahead = 32
	// bufferMost is about how much is written at a time.
	bufferMost = 16 << 10
)

// A stream is an answer that goes on.
type stream struct {
	*call

	rc  *http.ResponseController
	buf bytes.Buffer
}

// stream begins an answer that goes on, until the request's context ends or the handler is closed. The function returned ends it.
func (c *call) stream(form string) (*stream, context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(c.r.Context())
	go func() {
		select {
		case <-c.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	s := &stream{call: c, rc: http.NewResponseController(c.w)}
	c.w.Header().Set("Content-Type", form)
	c.w.Header().Set("X-Accel-Buffering", "no")
	return s, ctx, cancel
}

// byRuntime is an instant so far ahead by the runtime's clock, which deadlines of connections go by, whatever is done to the one that
// tasks follow.
func byRuntime(d time.Duration) time.Time {
	return time.Now().Add(d) //nolint:forbidigo // see above
}

// flush sends what is in the buffer. It fails when the reader does not take it in time, or has gone.
func (s *stream) flush() error {
	// A writer that knows no deadlines, or does not flush, is a test's or a middleware's: it is written to all the same.
	if err := s.rc.SetWriteDeadline(byRuntime(patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := s.w.Write(s.buf.Bytes()); err != nil {
		return err
	}
	s.buf.Reset()
	if err := s.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// after returns where the events begin.
func (c *call) after() (int64, error) {
	field, got := "Last-Event-ID", c.r.Header.Get("Last-Event-ID")
	if got == "" {
		field, got = "after", c.q.Get("after")
	}
	if got == "" || field == "after" && got == "now" {
		evs, err := c.d.History(c.r.Context(), duly.HistoryQuery{Newest: true, Limit: 1})
		if err != nil || len(evs) == 0 {
			return 0, err
		}
		return evs[0].Seq, nil
	}
	n, err := strconv.ParseInt(got, 10, 64)
	if err != nil || n < 0 {
		return 0, wrong(field, quote(got), "the seq of an entry, or now")
	}
	return n, nil
}

// events answers GET /v1/events.
func (c *call) events() error {
	after, err := c.after()
	if err != nil {
		return err
	}
	s, ctx, cancel := c.stream("text/event-stream")
	q := queue.New[duly.Event](ahead)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer q.Close()
		c.pump(ctx, q, after)
	}()
	defer func() { cancel(); <-ended }()
	if c.r.Method == http.MethodHead {
		return nil
	}
	s.buf.WriteString("retry: 1000\nid: " + strconv.FormatInt(after, 10) + "\n\n")
	for {
		if s.flush() != nil {
			return nil // whoever listened has gone, or is too slow: it comes back with the last id that it has seen
		}
		ev, err := q.GetFor(beat)
		switch {
		case errors.Is(err, queue.ErrClosed):
			return nil
		case err != nil:
			s.buf.WriteString(": beat\n\n")
			continue
		}
		for more := true; more; {
			s.event(&ev)
			if more = s.buf.Len() < bufferMost; more {
				ev, more = q.TryGet()
			}
		}
	}
}

// pump reads entries ahead of the writer.
func (c *call) pump(ctx context.Context, q *queue.Queue[duly.Event], after int64) {
	for ev, err := range c.d.Events(ctx, after) {
		if err != nil {
			if ctx.Err() == nil {
				c.log.WarnContext(ctx, "a stream of events has ended", "error", err)
			}
			return
		}
		if c.concerns(&ev, c.q.Get("name")) && q.Put(ctx, ev) != nil {
			return
		}
	}
}

// event adds an entry. What it looks like is worked out once for all who listen, as long as they are not far from each other: else many
// of them would take the time that the tasks need.
func (s *stream) event(ev *duly.Event) {
	slot := &s.told[uint64(ev.Seq)%toldMost]
	t := slot.Load()
	if t == nil || t.seq != ev.Seq {
		v := eventOf(ev)
		begin := s.buf.Len()
		s.buf.WriteString("id: " + strconv.FormatInt(ev.Seq, 10) + "\nevent: task\ndata: ")
		s.line(&v)
		s.buf.WriteString("\n")
		slot.Store(&told{ev.Seq, bytes.Clone(s.buf.Bytes()[begin:])})
		return
	}
	s.buf.Write(t.text)
}

// toldMost is how many entries are kept as streams have them.
const toldMost = 512

// A told is an entry as streams have it.
type told struct {
	seq  int64
	text []byte
}

// line adds a line of JSON.
func (s *stream) line(v any) {
	enc := json.NewEncoder(&s.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		s.log.Error("an answer has no JSON", "error", err)
	}
}
