package deadline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/deadline"
	"github.com/dulyhq/duly/timer"
)

// requirement: F04
func TestIOTimeoutResolution(t *testing.T) {
	for _, d := range []time.Duration{time.Microsecond, time.Millisecond, 50 * time.Millisecond, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := pair(t, deadline.Idle(d))
			var err error
			got := took(func() { _, err = c.Read(make([]byte, 1)) })
			wantLimit(t, err, "read", deadline.LimitIdle)
			if got != d {
				t.Errorf("a Read with %v ended after %v", d, got)
			}
		})
	}
	t.Run("on a socket and the real clock", func(t *testing.T) {
		const d = 50 * time.Millisecond
		c, _ := loopback(t, deadline.Idle(d))
		var err error
		best := time.Hour
		for range 5 { // the machine may be busy, but not always
			got := took(func() { _, err = c.Read(make([]byte, 1)) })
			wantLimit(t, err, "read", deadline.LimitIdle)
			if got < d {
				t.Errorf("early: after %v", got)
			}
			best = min(best, got)
		}
		if best >= 5*time.Second {
			t.Errorf("the best of five ended after %v, no finer than 5 s", best)
		}
	})
}

// requirement: F21
func TestStreamTimeouts(t *testing.T) {
	const d = time.Second
	b := make([]byte, 8)
	bubble := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
	bubble("a slow peer that is alive never times out", func(t *testing.T) {
		c, peer := pair(t, deadline.Idle(d), deadline.ReadTimeout(2*d))
		go func() {
			for range 1000 {
				time.Sleep(d - 1)
				_, _ = peer.Write(b[:1])
			}
		}()
		for range 1000 {
			if _, err := c.Read(b); err != nil {
				t.Fatal(err)
			}
		}
		got := took(func() { _, err := c.Read(b); wantLimit(t, err, "read", deadline.LimitIdle) })
		if got != d {
			t.Errorf("when it stalled, it ended after %v", got)
		}
	})
	bubble("what goes out keeps the other direction alive", func(t *testing.T) {
		c, peer := pair(t, deadline.Idle(d))
		go func() { _, _ = io.Copy(io.Discard, peer) }()
		go func() {
			for range 10 {
				time.Sleep(d / 2)
				if _, err := c.Write(b); err != nil {
					t.Error(err)
				}
			}
		}()
		got := took(func() { _, err := c.Read(b); wantLimit(t, err, "read", deadline.LimitIdle) })
		if got != 6*d {
			t.Errorf("ended after %v", got)
		}
	})
	bubble("a Write is alive as long as the peer takes a byte now and then", func(t *testing.T) {
		c, peer := pair(t, deadline.WriteTimeout(d), deadline.Idle(d))
		go func() {
			for range 20 {
				time.Sleep(d * 8 / 10)
				_, _ = peer.Read(make([]byte, 1))
			}
		}()
		var n int
		got := took(func() {
			var err error
			n, err = c.Write(make([]byte, 100))
			wantLimit(t, err, "write", deadline.LimitWrite)
		})
		if last := 16 * d; n != 20 || got < last+d || got > last+d+d/8 {
			t.Errorf("%d bytes in %v, want 20 and an end between 1 and 1.125 s after the last", n, got)
		}
	})
	bubble("a Read that waits lives as long as a Write does", func(t *testing.T) {
		c, peer := pair(t, deadline.Idle(d))
		go func() {
			time.Sleep(d / 16) // the looks at the Write are not at the moments when the Read would end
			_, _ = c.Write(make([]byte, 100))
		}()
		go func() {
			for range 20 {
				time.Sleep(d * 97 / 100)
				_, _ = peer.Read(make([]byte, 1))
			}
		}()
		got := took(func() { _, err := c.Read(b); wantLimit(t, err, "read", deadline.LimitIdle) })
		if last := 20 * d * 97 / 100; got < last+d || got > last+d+d/4 {
			t.Errorf("ended after %v", got)
		}
	})
	bubble("changed while a Read waits", func(t *testing.T) {
		c, _ := pair(t, deadline.Idle(d))
		change := func(at time.Duration, f func()) {
			go func() { time.Sleep(at); f() }()
		}
		change(d/2, func() { c.SetIdle(10 * d) })
		change(5*d, func() { c.SetIdle(0) })
		change(50*d, func() { c.SetReadTimeout(60 * d) })
		change(55*d, func() { c.SetReadTimeout(56 * d) })
		got := took(func() { _, err := c.Read(b); wantLimit(t, err, "read", deadline.LimitRead) })
		if got != 56*d {
			t.Errorf("ended after %v", got)
		}
		change(d, func() { c.SetIdle(d / 2) })
		if got := took(func() { _, err := c.Read(b); wantLimit(t, err, "read", deadline.LimitIdle) }); got != d {
			t.Errorf("made shorter than what has passed: ended after %v", got)
		}
	})
	bubble("no limit", func(t *testing.T) {
		c, peer := pair(t, deadline.Idle(0), deadline.ReadTimeout(-1), deadline.MinRate(0, d), deadline.Total(0))
		time.AfterFunc(1000*time.Hour, func() { _, _ = peer.Write(b[:1]) })
		if n, err := c.Read(b); n != 1 || err != nil {
			t.Error(n, err)
		}
	})
	t.Run("a pipe of the operating system", func(t *testing.T) {
		pr, pw, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer pw.Close() //nolint:errcheck // the end
		r, err := deadline.NewReader(pr, 20*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close() //nolint:errcheck // the end
		_, err = r.Read(b)
		wantLimit(t, err, "read", deadline.LimitRead)
		if _, err := pw.WriteString("on time"); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Read(b); string(b[:n]) != "on time" || err != nil {
			t.Errorf("after the timeout: %q, %v", b[:n], err)
		}
	})
	bubble("a ReadCloser without deadlines", func(t *testing.T) {
		pr, pw := io.Pipe()
		r, err := deadline.NewReader(pr, d)
		if err != nil {
			t.Fatal(err)
		}
		go func() { time.Sleep(d / 2); _, _ = pw.Write(b[:3]) }()
		if n, err := r.Read(b); n != 3 || err != nil {
			t.Error(n, err)
		}
		got := took(func() { _, err = r.Read(b) })
		wantLimit(t, err, "read", deadline.LimitRead)
		if got != d {
			t.Errorf("ended after %v", got)
		}
		if _, err := r.Read(b); err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("when it was closed by its limit: %v", err)
		}
		if _, err := pw.Write(b); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("the writer is told %v", err)
		}
	})
}

// requirement: X44
func TestStaleIOTimerNeverHitsNextOp(t *testing.T) {
	b := make([]byte, 8)
	t.Run("after every end of the one before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			const d = time.Second
			c, peer := pair(t, deadline.Idle(d))
			ctx, cancel := context.WithTimeout(t.Context(), d/2)
			defer cancel()
			ends := map[string]func() error{
				"with data":      func() error { go peer.Write(b[:1]); _, err := c.Read(b); return err }, //nolint:errcheck // the read tells
				"with a timeout": func() error { _, err := c.Read(b); wantLimit(t, err, "read", deadline.LimitIdle); return nil },
				"with the context": func() error {
					_, err := c.ReadContext(ctx, b)
					wantLimit(t, err, "read", deadline.LimitContext)
					return nil
				},
				"with the user's deadline": func() error {
					defer c.SetReadDeadline(time.Time{}) //nolint:errcheck // a pipe's
					_ = c.SetReadDeadline(time.Now().Add(d / 3))
					_, err := c.Read(b)
					wantLimit(t, err, "read", deadline.LimitDeadline)
					return nil
				},
			}
			for name, end := range ends {
				if err := end(); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				time.AfterFunc(d-1, func() { _, _ = peer.Write(b[:1]) })
				if _, err := c.Read(b); err != nil {
					t.Errorf("the next one after one that ended %s: %v", name, err)
				}
				time.Sleep(100 * d) // nobody waits: nothing is due
				time.AfterFunc(d-1, func() { _, _ = peer.Write(b[:1]) })
				if _, err := c.Read(b); err != nil {
					t.Errorf("after a pause: %v", err)
				}
			}
		})
	})
	// Data comes at the moment of the deadline: whoever wins, the next Read has no deadline in its way.
	t.Run("in a race", func(t *testing.T) {
		rounds := 1500
		if underRace {
			rounds = 300
		}
		c, peer := loopback(t)
		go func() {
			for buf := make([]byte, 1); ; {
				if _, err := io.ReadFull(peer, buf); err != nil {
					return
				}
				if buf[0] > 0 { // wait
					time.Sleep(time.Duration(buf[0]) * 10 * time.Microsecond)
				}
				_, _ = peer.Write(buf)
			}
		}()
		timeouts := 0
		for i := range rounds {
			c.SetReadTimeout(time.Millisecond)
			_, _ = c.Write([]byte{byte(50 + i%100)})
			_, err := c.Read(b[:1])
			c.SetReadTimeout(0)
			if err != nil {
				wantLimit(t, err, "read", deadline.LimitRead)
				timeouts++
				if _, err := c.Read(b[:1]); err != nil {
					t.Fatalf("the answer that was late: %v", err)
				}
			}
			_, _ = c.Write([]byte{0})
			if _, err := c.Read(b[:1]); err != nil || b[0] != 0 {
				t.Fatalf("round %d, after %v: %d, %v", i, err, b[0], err)
			}
		}
		if timeouts == 0 {
			t.Error("no timeout in all rounds: nothing was tested")
		}
	})
}

// requirement: F25
func TestEveryBlockingOpHasTimeout(t *testing.T) {
	const d = time.Second
	one := make([]byte, 1)
	pipes := func(t *testing.T) (*deadline.Reader, *deadline.Writer) {
		a, b := net.Pipe()
		t.Cleanup(func() { _, _ = a.Close(), b.Close() })
		r, err := deadline.NewReader(a, d)
		if err != nil {
			t.Fatal(err)
		}
		w, err := deadline.NewWriter(b, d)
		if err != nil {
			t.Fatal(err)
		}
		return r, w
	}
	for name, op := range map[string]func(t *testing.T, ctx context.Context) error{
		"Conn.Read": func(t *testing.T, _ context.Context) error {
			c, _ := pair(t, deadline.ReadTimeout(d))
			_, err := c.Read(one)
			return err
		},
		"Conn.Write": func(t *testing.T, _ context.Context) error {
			c, _ := pair(t, deadline.WriteTimeout(d))
			_, err := c.Write(one)
			return err
		},
		"Conn.ReadContext": func(t *testing.T, ctx context.Context) error {
			c, _ := pair(t)
			_, err := c.ReadContext(ctx, one)
			return err
		},
		"Conn.WriteContext": func(t *testing.T, ctx context.Context) error {
			c, _ := pair(t)
			_, err := c.WriteContext(ctx, one)
			return err
		},
		"Reader.Read":  func(t *testing.T, _ context.Context) error { r, _ := pipes(t); _, err := r.Read(one); return err },
		"Writer.Write": func(t *testing.T, _ context.Context) error { _, w := pipes(t); _, err := w.Write(one); return err },
		"Reader.ReadContext": func(t *testing.T, ctx context.Context) error {
			r, _ := pipes(t)
			r.SetReadTimeout(0)
			_, err := r.ReadContext(ctx, one)
			return err
		},
		"Writer.WriteContext": func(t *testing.T, ctx context.Context) error {
			_, w := pipes(t)
			w.SetWriteTimeout(0)
			_, err := w.WriteContext(ctx, one)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), d)
				defer cancel()
				var err error
				got := took(func() { err = op(t, ctx) })
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				if got < d || got > d+d/8 {
					t.Errorf("after %v", got)
				}
			})
		})
	}
}

func TestEngines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hand := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		e := timer.New(timer.Options{Clock: hand})
		c, _ := pair(t, deadline.Idle(time.Hour), deadline.WithEngine(e))
		errs := make(chan error, 1)
		read := func() { _, err := c.Read(make([]byte, 1)); errs <- err }
		go read()
		synctest.Wait()
		if n := e.Stats().Pending; n != 1 {
			t.Errorf("%d entries in the engine", n)
		}
		hand.Advance(time.Hour - 1)
		synctest.Wait()
		if len(errs) != 0 {
			t.Error("early")
		}
		hand.Advance(1)
		wantLimit(t, <-errs, "read", deadline.LimitIdle)

		go read()
		synctest.Wait()
		if _, err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for range 2 {
			err := <-errs
			if got, ok := errors.AsType[*deadline.Error](err); !ok || got.Limit != deadline.LimitEngine || got.Timeout() || !errors.Is(err, timer.ErrClosed) {
				t.Errorf("on a closed engine: %v", err)
			}
			go read()
		}
		if err := <-errs; !errors.Is(err, timer.ErrClosed) {
			t.Errorf("and again: %v", err)
		}
	})
}

// Many connections that wait, and one entry each, whatever the limits and however much moves.
func TestOneEntryEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conns = 1000
		e := timer.New()
		all := make([]*deadline.Conn, conns)
		for i := range conns {
			c, peer := pair(t, deadline.WithEngine(e), deadline.Idle(time.Hour), deadline.ReadTimeout(2*time.Hour), deadline.WriteTimeout(time.Hour), deadline.Total(24*time.Hour))
			all[i] = c
			go func() {
				for {
					if _, err := c.Read(make([]byte, 4)); err != nil {
						return
					}
				}
			}()
			go func() { _, _ = c.Write(make([]byte, 8)) }()
			for range 100 {
				_, _ = peer.Write([]byte("byte"))
			}
		}
		synctest.Wait()
		s := e.Stats()
		if s.Pending > conns || s.Pending == 0 {
			t.Errorf("%d entries for %d connections", s.Pending, conns)
		}
		for _, c := range all {
			_ = c.Close()
		}
		if n := e.Stats().Pending; n != 0 {
			t.Errorf("%d entries are left by connections that were closed", n)
		}
	})
}

func TestConstructors(t *testing.T) {
	f, err := os.Open(os.Args[0]) // a regular file
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // the end
	for _, r := range []io.Reader{new(bytes.Buffer), f, strings.NewReader(""), nil} {
		if _, err := deadline.NewReader(r, time.Second); !errors.Is(err, os.ErrNoDeadline) {
			t.Errorf("NewReader(%T): %v", r, err)
		}
	}
	for _, w := range []io.Writer{new(bytes.Buffer), f, io.Discard, nil} {
		if _, err := deadline.NewWriter(w, time.Second); !errors.Is(err, os.ErrNoDeadline) {
			t.Errorf("NewWriter(%T): %v", w, err)
		}
	}
	r, _ := io.Pipe()
	x, err := deadline.NewReader(r, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.SetReadDeadline(time.Now()); !errors.Is(err, os.ErrNoDeadline) {
		t.Errorf("a deadline where there is none: %v", err)
	}
}

func TestErrors(t *testing.T) {
	for want, err := range map[string]*deadline.Error{
		"deadline: read: no byte in either direction for 5s (limit: idle)": {Op: "read", Limit: deadline.LimitIdle, After: 5 * time.Second},
		"deadline: read: no byte came for 5s (limit: read)":                {Op: "read", Limit: deadline.LimitRead, After: 5 * time.Second},
		"deadline: write: no byte was taken for 1m0s (limit: write)":       {Op: "write", Limit: deadline.LimitWrite, After: time.Minute},
		"deadline: write: not done for 1h0m0s (limit: total)":              {Op: "write", Limit: deadline.LimitTotal, After: time.Hour},
		"deadline: read: too few bytes for 10s (limit: rate)":              {Op: "read", Limit: deadline.LimitRate, After: 10 * time.Second},
		"deadline: read: the deadline that was set has passed":             {Op: "read", Limit: deadline.LimitDeadline},
		"deadline: read: the context has ended: context canceled":          {Op: "read", Limit: deadline.LimitContext, Err: context.Canceled},
		"deadline: write: the limit cannot be kept: engine is closed":      {Op: "write", Limit: deadline.LimitEngine, Err: timer.ErrClosed},
	} {
		if err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	}
}

// stuck is a connection that notices a deadline late: a Read returns only when it is let, and if the deadline is past then.
type stuck struct {
	net.Conn
	let  chan struct{}
	past atomic.Bool
}

func (s *stuck) SetReadDeadline(t time.Time) error {
	s.past.Store(!t.IsZero() && !t.After(time.Now()))
	return nil
}

func (*stuck) SetWriteDeadline(time.Time) error { return nil }

func (s *stuck) Read([]byte) (int, error) {
	for range s.let {
		if s.past.Load() {
			return 0, os.ErrDeadlineExceeded
		}
	}
	return 0, io.EOF
}

// A deadline that the user sets while a limit is about to end a Read does not take its end from it, and holds afterwards.
func TestUserDeadlineWhileEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{Conn: nil, let: make(chan struct{})}
		c := deadline.NewConn(s, deadline.ReadTimeout(time.Second))
		errs := make(chan error, 1)
		go func() { _, err := c.Read(nil); errs <- err }()
		time.Sleep(time.Second)
		synctest.Wait()
		if !s.past.Load() {
			t.Error("the limit does nothing")
		}
		_ = c.SetReadDeadline(time.Time{})
		s.let <- struct{}{}
		close(s.let)
		wantLimit(t, <-errs, "read", deadline.LimitRead)
		if s.past.Load() {
			t.Error("the end of the Read is left to the next one")
		}
	})
}
