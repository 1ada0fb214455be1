package deadline_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/deadline"
	"github.com/dulyhq/duly/timer"
)

// locked is a connection that lets one Read in at a time, as those of package net do, and notices a deadline only inside.
type locked struct {
	net.Conn
	turn chan struct{}
}

func newLocked(c net.Conn) *locked { return &locked{c, make(chan struct{}, 1)} }

func (l *locked) Read(p []byte) (int, error) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	return l.Conn.Read(p)
}

// A Read ends with its own context though another one, which goes on, came first. It is so on every clock.
func TestReadContext_BehindAnother(t *testing.T) {
	behind := func(t *testing.T, c *deadline.Conn, peer net.Conn, settle func()) {
		t.Helper()
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := c.Read(make([]byte, 1)); first <- err }()
		settle()
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { _, err := c.ReadContext(ctx, make([]byte, 1)); second <- err }()
		settle()
		cancel(cause)
		select {
		case err := <-second:
			e, ok := errors.AsType[*deadline.Error](err)
			if !ok || e.Limit != deadline.LimitContext || !errors.Is(err, cause) {
				t.Errorf("got %v, want the context's cause", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the Read behind has missed the end of its context")
		}
		if len(first) != 0 {
			t.Errorf("the first Read ended with %v", <-first)
		}
		go peer.Write([]byte{1}) //nolint:errcheck // the read tells
		if err := <-first; err != nil {
			t.Errorf("the first Read: %v", err)
		}
	}
	t.Run("in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			defer a.Close() //nolint:errcheck // the end
			behind(t, deadline.NewConn(newLocked(a), deadline.Idle(time.Hour)), b, synctest.Wait)
		})
	})
	t.Run("on a clock moved by hand", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e := timer.New(timer.Options{Clock: clock.NewManual(time.Unix(0, 0))})
			defer e.Close(t.Context()) //nolint:errcheck // nothing runs
			a, b := net.Pipe()
			defer a.Close() //nolint:errcheck // the end
			behind(t, deadline.NewConn(newLocked(a), deadline.Idle(1), deadline.WithEngine(e)), b, synctest.Wait)
		})
	})
	t.Run("on a socket and the real clock", func(t *testing.T) {
		c, peer := loopback(t, deadline.Idle(time.Hour))
		behind(t, c, peer, func() { time.Sleep(20 * time.Millisecond) })
	})
}

// A Read that begins while another one is being ended is not hit by the end of that.
func TestBeginWhileEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{let: make(chan struct{})}
		c := deadline.NewConn(s)
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { _, err := c.ReadContext(ctx, nil); first <- err }()
		synctest.Wait()
		cancel()
		synctest.Wait() // the first one is to end, and is not told yet
		go func() { _, err := c.Read(nil); second <- err }()
		synctest.Wait()
		for range 2 {
			select {
			case s.let <- struct{}{}:
			default:
			}
			synctest.Wait()
		}
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first one: %v", err)
		}
		close(s.let)
		if err := <-second; err != io.EOF { //nolint:errorlint // as it is
			t.Errorf("the one that began meanwhile: %v, want what the stream says", err)
		}
	})
}

// Each of several operations has its own limits, also one that waits for another.
func TestLimitsWhileWaitingForOthers(t *testing.T) {
	const d = time.Second
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{let: make(chan struct{})} // the first one does not even notice its end
		c := deadline.NewConn(s, deadline.ReadTimeout(d))
		first := make(chan error, 1)
		go func() { _, err := c.Read(nil); first <- err }()
		time.Sleep(d / 2)
		var ends []time.Duration
		for range 2 {
			ends = append(ends, took(func() { _, err := c.Read(nil); wantLimit(t, err, "read", deadline.LimitRead) }))
		}
		c.SetReadTimeout(0)
		time.AfterFunc(3*d, func() { c.SetTotal(d) })
		ends = append(ends, took(func() { _, err := c.Read(nil); wantLimit(t, err, "read", deadline.LimitTotal) }))
		if diff := cmp.Diff([]time.Duration{d, d, 4 * d}, ends); diff != "" {
			t.Errorf("ends (-want +got):\n%s", diff)
		}
		close(s.let)
		if err := <-first; err != io.EOF { //nolint:errorlint // as it is
			t.Error(err)
		}
	})
}

func TestNewConn_ForgetsDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close() //nolint:errcheck // the end
		if err := a.SetDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		c := deadline.NewConn(a)
		time.Sleep(2 * time.Second)
		go func() {
			buf := make([]byte, 1)
			_, _ = b.Read(buf)
			_, _ = b.Write(buf)
		}()
		if _, err := c.Write([]byte{1}); err != nil {
			t.Error(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
	})
}

func TestNilContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t)
		w, err := deadline.NewWriter(b, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		r, err := deadline.NewReader(b, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 1)
		var none context.Context
		go w.WriteContext(none, buf) //nolint:errcheck // the read tells
		if _, err := a.ReadContext(none, buf); err != nil {
			t.Error(err)
		}
		go a.WriteContext(none, buf) //nolint:errcheck // the read tells
		if _, err := r.ReadContext(none, buf); err != nil {
			t.Error(err)
		}
	})
}

// A Write that is interrupted to see how far it is goes on before any other begins.
func TestWritesStayWhole(t *testing.T) {
	const writers, size = 4, 50
	synctest.Test(t, func(t *testing.T) {
		a, peer := net.Pipe()
		defer a.Close() //nolint:errcheck // the end
		c := deadline.NewConn(a, deadline.WriteTimeout(time.Second))
		errs := make(chan error, writers)
		for i := range writers {
			go func() { _, err := c.Write(bytes.Repeat([]byte{byte('a' + i)}, size)); errs <- err }()
		}
		var got []byte
		for range writers * size {
			time.Sleep(900 * time.Millisecond)
			buf := make([]byte, 1)
			_, _ = peer.Read(buf)
			got = append(got, buf[0])
		}
		for range writers {
			// Each waits for the others, of which bytes move: none has reached a limit.
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		for i := 0; i < len(got); i += size {
			if want := bytes.Repeat(got[i:i+1], size); !bytes.Equal(got[i:i+size], want) {
				t.Errorf("got %q, want no Write inside of another", got)
				break
			}
		}
	})
}

// A limit of a stream below is not lost when the one above looks how far it is, before that or at the same moment.
func TestLimitBelow(t *testing.T) {
	const d = time.Second
	for _, above := range []time.Duration{2 * d, 4 * d, 5 * d, 8 * d, 9 * d} { // looks at an eighth of it
		synctest.Test(t, func(t *testing.T) {
			a, _ := net.Pipe()
			defer a.Close() //nolint:errcheck // the end
			below := deadline.NewConn(a, deadline.WriteTimeout(d))
			middle := deadline.NewConn(below, deadline.Idle(3*d))
			c := deadline.NewConn(middle, deadline.WriteTimeout(above))
			got := took(func() { _, err := c.Write(make([]byte, 8)); wantLimit(t, err, "write", deadline.LimitWrite) })
			if got < d || got > d+d/8 {
				t.Errorf("with %v above, ended after %v, want the limit below", above, got)
			}
		})
	}
}

type panics struct{ net.Conn }

func (panics) Read([]byte) (int, error)         { panic("no such luck") }
func (panics) SetReadDeadline(time.Time) error  { return nil }
func (panics) SetWriteDeadline(time.Time) error { return nil }

// A stream that panics keeps nobody out.
func TestStreamPanics(t *testing.T) {
	e := timer.New()
	defer e.Close(t.Context()) //nolint:errcheck // nothing runs
	c := deadline.NewConn(panics{}, deadline.ReadTimeout(time.Minute), deadline.WithEngine(e))
	for range 2 {
		func() {
			defer func() {
				if v := recover(); v != "no such luck" {
					t.Errorf("got %v", v)
				}
			}()
			_, _ = c.Read(nil)
		}()
	}
}

// Close answers everybody once, whoever is inside and whoever waits.
func TestClose_AnswersAll(t *testing.T) {
	run := func(t *testing.T, c *deadline.Conn, settle func(), want error) {
		t.Helper()
		const each = 5
		errs := make(chan error, 4*each)
		b := make([]byte, 32<<20) // more than a socket takes
		for range each {
			go func() { _, err := c.Read(make([]byte, 1)); errs <- err }()
			go func() { _, err := c.ReadContext(t.Context(), make([]byte, 1)); errs <- err }()
			go func() { _, err := c.Write(b); errs <- err }()
			go func() { _, err := c.WriteContext(t.Context(), b); errs <- err }()
		}
		settle()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for range 4 * each {
			if err := <-errs; !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, want) {
			t.Errorf("after it: %v", err)
		}
	}
	t.Run("in a bubble", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := pair(t, deadline.Idle(time.Hour))
			run(t, c, synctest.Wait, io.ErrClosedPipe)
		})
	})
	t.Run("a socket", func(t *testing.T) {
		c, _ := loopback(t, deadline.Idle(time.Hour))
		run(t, c, func() { time.Sleep(20 * time.Millisecond) }, net.ErrClosed)
	})
}

// Where only closing ends a Read, all who wait get the reason, also those who were not inside.
func TestClosedByLimit_AnswersAll(t *testing.T) {
	const d = time.Second
	synctest.Test(t, func(t *testing.T) {
		pr, _ := io.Pipe()
		r, err := deadline.NewReader(newLockedPipe(pr), d)
		if err != nil {
			t.Fatal(err)
		}
		errs := make(chan error, 3)
		for range 3 {
			go func() { _, err := r.Read(make([]byte, 1)); errs <- err }()
			time.Sleep(d / 4)
		}
		got := took(func() {
			for range 3 {
				wantLimit(t, <-errs, "read", deadline.LimitRead)
			}
		})
		if got != d/4 {
			t.Errorf("answered after %v", got)
		}
	})
}

// lockedPipe lets one Read in at a time.
type lockedPipe struct {
	io.ReadCloser
	turn chan struct{}
}

func newLockedPipe(r io.ReadCloser) *lockedPipe { return &lockedPipe{r, make(chan struct{}, 1)} }

func (l *lockedPipe) Read(p []byte) (int, error) {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	return l.ReadCloser.Read(p)
}

// An engine that is closed ends everybody who waits with a limit, once.
func TestEngineClosed_AnswersAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		c, _ := pair(t, deadline.Idle(time.Hour), deadline.WithEngine(e))
		const each = 5
		errs := make(chan error, 3*each)
		for range each {
			go func() { _, err := c.Read(make([]byte, 1)); errs <- err }()
			go func() { _, err := c.ReadContext(t.Context(), make([]byte, 1)); errs <- err }()
			go func() { _, err := c.Write(make([]byte, 1)); errs <- err }()
		}
		synctest.Wait()
		if _, err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for range 3 * each {
			err := <-errs
			if got, ok := errors.AsType[*deadline.Error](err); !ok || got.Limit != deadline.LimitEngine || !errors.Is(err, timer.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// An engine that New has not made keeps no limit, and says so; a context needs none.
func TestEngineNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t, deadline.Idle(time.Hour), deadline.WithEngine(&timer.Engine{}))
		_, err := c.Read(make([]byte, 1))
		if got, ok := errors.AsType[*deadline.Error](err); !ok || got.Limit != deadline.LimitEngine {
			t.Errorf("got %v", err)
		}
	})
}

// Many Reads and Writes at once, with contexts that end at random times, while the limits change: every byte that was sent is
// read by one of them or is left, in order on the wire; everybody comes back, and the stream is as good as new.
func TestStorm(t *testing.T) {
	rounds := 60
	if underRace {
		rounds = 25
	}
	c, peer := loopback(t, deadline.Idle(time.Hour))
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		_, _ = io.Copy(peer, peer)
	}()
	var wrote, read atomicSum
	end := make(chan struct{})
	var changer sync.WaitGroup
	changer.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
			}
			c.SetIdle(time.Duration(1+rand.IntN(3)) * time.Millisecond)
			c.SetMinRate(int64(rand.IntN(2)), time.Millisecond)
			c.SetWriteTimeout(time.Duration(rand.IntN(3)) * time.Millisecond)
			time.Sleep(100 * time.Microsecond)
		}
	})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			b := make([]byte, 1000)
			for range rounds {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(3000))*time.Microsecond)
				var n int
				var err error
				if i%2 == 0 {
					n, err = c.ReadContext(ctx, b)
					read.add(n)
				} else {
					n, err = c.WriteContext(ctx, b)
					wrote.add(n)
				}
				cancel()
				if e, ok := errors.AsType[*deadline.Error](err); err != nil && (!ok || e.Limit == deadline.LimitDeadline || e.Limit == deadline.LimitEngine) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	all.Wait()
	close(end)
	changer.Wait()
	c.SetMinRate(0, 0)
	c.SetWriteTimeout(0)
	c.SetIdle(30 * time.Second)
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	<-echoed
	_ = peer.(*net.TCPConn).CloseWrite() //nolint:forcetypeassert // it is one
	rest, err := io.ReadAll(c)
	read.add(len(rest))
	if err != nil || read.n != wrote.n || wrote.n == 0 {
		t.Errorf("%d bytes were written, %d read: %v", wrote.n, read.n, err)
	}
}

type atomicSum struct {
	mu sync.Mutex
	n  int
}

func (s *atomicSum) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n += n
}

// A Reader and a Writer of a pipe of the operating system, several at once, closed in the middle.
func TestFilesClosedInTheMiddle(t *testing.T) {
	for range 20 {
		pr, pw, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r, err := deadline.NewReader(pr, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		w, err := deadline.NewWriter(pw, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		w.SetMinRate(1, 8*time.Millisecond) // many looks
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if _, err := w.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the Write: %v", err)
				}
			})
		}
		time.Sleep(time.Duration(rand.IntN(4000)) * time.Microsecond)
		_ = w.Close()
		all.Wait()
		for range 3 {
			all.Go(func() {
				for err := error(nil); err == nil; {
					_, err = r.Read(make([]byte, 1<<16))
				}
			})
		}
		all.Wait()
		_ = r.Close()
	}
}
