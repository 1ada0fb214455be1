package deadline_test

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/deadline"
)

func TestLimits(t *testing.T) {
	const d = time.Second
	b := make([]byte, 8)
	bubble := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
	}
	bubble("Total ends whoever waits and whoever comes", func(t *testing.T) {
		c, peer := pair(t, deadline.Total(d), deadline.Idle(d))
		go func() {
			for err := error(nil); err == nil; {
				time.Sleep(d * 3 / 10)
				_, err = peer.Write(b[:1])
			}
		}()
		var err error
		got := took(func() {
			for err == nil {
				_, err = c.Read(b)
			}
		})
		wantLimit(t, err, "read", deadline.LimitTotal)
		_, err = c.Write(b)
		wantLimit(t, err, "write", deadline.LimitTotal)
		if got != d {
			t.Errorf("ended after %v", got)
		}
		c.SetTotal(d)
		if _, err := c.Read(b); err != nil {
			t.Errorf("with more time: %v", err)
		}
	})
	bubble("MinRate ends one that sends a byte now and then", func(t *testing.T) {
		c, peer := pair(t, deadline.MinRate(10, d), deadline.Idle(d))
		go func() {
			for i := range 60 {
				if i < 50 {
					time.Sleep(d / 11)
				} else {
					time.Sleep(d / 9)
				}
				_, _ = peer.Write(b[:1])
			}
		}()
		n, err := 0, error(nil)
		for err == nil {
			n++
			_, err = c.Read(b)
		}
		wantLimit(t, err, "read", deadline.LimitRate)
		if n < 59 || n > 60 {
			t.Errorf("ended at byte %d, want the tenth of the slow ones", n)
		}
		time.Sleep(d) // the last ones wait
		_, _ = io.ReadFull(c, b[:60-n+1])
		c.SetIdle(0)
		got := took(func() { _, err := c.Read(b); wantLimit(t, err, "read", deadline.LimitRate) })
		again := took(func() { _, err := c.Read(b); wantLimit(t, err, "read", deadline.LimitRate) })
		if got > d || again != d {
			t.Errorf("after that it ended after %v and %v, want a whole second again", got, again)
		}
	})
	bubble("MinRate does not count while nobody waits", func(t *testing.T) {
		c, peer := pair(t, deadline.MinRate(10, d))
		for range 20 {
			time.Sleep(10 * d)
			go peer.Write(b[:1]) //nolint:errcheck // the read tells
			synctest.Wait()
			if _, err := c.Read(b); err != nil {
				t.Fatal(err)
			}
		}
	})
	bubble("MinRate of a Write", func(t *testing.T) {
		c, peer := pair(t, deadline.MinRate(10, d))
		go func() {
			for i := range 30 {
				time.Sleep(d / 20)
				if i >= 20 {
					time.Sleep(d / 5)
				}
				_, _ = peer.Read(b[:1])
			}
		}()
		n, err := c.Write(make([]byte, 100))
		wantLimit(t, err, "write", deadline.LimitRate)
		if n < 22 || n > 26 {
			t.Errorf("%d bytes were taken", n)
		}
	})
	bubble("a context", func(t *testing.T) {
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		c, _ := pair(t, deadline.WithContext(ctx))
		time.AfterFunc(d, func() { cancel(cause) })
		errs := make(chan error)
		go func() { _, err := c.Write(b); errs <- err }()
		_, err := c.Read(b)
		for _, err := range []error{err, <-errs} {
			e, ok := errors.AsType[*deadline.Error](err)
			if !ok || e.Limit != deadline.LimitContext || !errors.Is(err, cause) || e.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		if _, err := c.Read(b); !errors.Is(err, cause) {
			t.Errorf("after that: %v", err)
		}
	})
	bubble("the user's deadlines, of which the earliest wins", func(t *testing.T) {
		c, peer := pair(t, deadline.Idle(d))
		read := func(want time.Duration, limit deadline.Limit) {
			t.Helper()
			got := took(func() { _, err := c.Read(b); wantLimit(t, err, "read", limit) })
			if got != want {
				t.Errorf("ended after %v, want %v", got, want)
			}
		}
		_ = c.SetDeadline(time.Now().Add(d / 2))
		read(d/2, deadline.LimitDeadline)
		read(0, deadline.LimitDeadline)
		_, err := c.Write(b)
		wantLimit(t, err, "write", deadline.LimitDeadline)
		_ = c.SetDeadline(time.Now().Add(5 * d / 2))
		read(d, deadline.LimitIdle)
		read(d, deadline.LimitIdle)
		read(d/2, deadline.LimitDeadline)
		_ = c.SetDeadline(time.Time{})
		time.AfterFunc(d/4, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) }) // as net/http interrupts its own Read
		read(d/4, deadline.LimitDeadline)
		_ = c.SetReadDeadline(time.Time{})
		go peer.Write(b) //nolint:errcheck // the read tells
		if n, err := c.Read(b); n != len(b) || err != nil {
			t.Errorf("after all that: %d, %v", n, err)
		}
	})
	bubble("Close", func(t *testing.T) {
		c, _ := pair(t, deadline.Idle(d))
		time.AfterFunc(d/2, func() { _ = c.Close() })
		if _, err := c.Read(b); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
		time.Sleep(10 * d)
	})
	bubble("several Reads at a time", func(t *testing.T) {
		c, peer := pair(t, deadline.ReadTimeout(d))
		ends := make(chan time.Duration, 3)
		start := time.Now()
		for i := range 3 {
			go func() {
				time.Sleep(time.Duration(i) * d / 4)
				if _, err := c.Read(b[i : i+1]); err != nil {
					wantLimit(t, err, "read", deadline.LimitRead)
				}
				ends <- time.Since(start)
			}()
		}
		got := []time.Duration{<-ends, <-ends, <-ends}
		if diff := cmp.Diff([]time.Duration{d, d + d/4, d + d/2}, got); diff != "" {
			t.Errorf("ends (-want +got):\n%s", diff)
		}
		go peer.Write(b[:1]) //nolint:errcheck // the read tells
		if _, err := c.Read(b); err != nil {
			t.Error(err)
		}
	})
}
