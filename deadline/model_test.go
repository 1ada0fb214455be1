package deadline_test

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/deadline"
)

// Bytes come and go at random times and Idle is changed at random times, while a Read waits that is begun again whenever it
// has ended. What must happen, and when, is worked out beside it.
func TestIdle_Model(t *testing.T) {
	type step struct {
		at   time.Duration
		kind string // in, out, set
		idle time.Duration
	}
	type end struct {
		At  time.Duration
		Got bool
	}
	rapid.Check(t, func(rt *rapid.T) {
		// Steps are at whole milliseconds, and limits are some microseconds beside them, however many follow each other: nothing
		// is at the same time.
		ms := func(name string) time.Duration {
			return time.Duration(rapid.IntRange(1, 40).Draw(rt, name)) * time.Millisecond
		}
		limit := func() time.Duration {
			if rapid.IntRange(0, 4).Draw(rt, "off") == 0 {
				return 0
			}
			return ms("idle") + time.Microsecond
		}
		first := limit()
		var steps []step
		var at time.Duration
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			at += ms("gap")
			s := step{at: at, kind: rapid.SampledFrom([]string{"in", "in", "out", "set"}).Draw(rt, "kind")}
			if s.kind == "set" {
				s.idle = limit()
			}
			steps = append(steps, s)
		}
		last := at + 100*time.Millisecond

		var want []end
		idle, moved := first, time.Duration(0) // moved: the last byte, or the beginning of the Read
		quiet := func(until time.Duration) {   // nothing moves
			for idle > 0 && moved+idle < until {
				moved += idle
				want = append(want, end{moved, false})
			}
		}
		for _, s := range steps {
			quiet(s.at)
			switch s.kind {
			case "in":
				moved = s.at
				want = append(want, end{s.at, true})
			case "out":
				moved = s.at
			case "set":
				if idle = s.idle; idle > 0 && moved+idle < s.at { // longer ago than the new limit
					moved = s.at
					want = append(want, end{s.at, false})
				}
			}
		}
		quiet(last)

		var got []end
		synctest.Test(t, func(t *testing.T) {
			c, peer := pair(t, deadline.Idle(first))
			start := time.Now()
			go func() {
				for b := make([]byte, 1); ; {
					_, err := peer.Read(b)
					if err != nil {
						return
					}
				}
			}()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					n, err := c.Read(make([]byte, 1))
					if time.Since(start) >= last {
						return
					}
					if err != nil {
						wantLimit(t, err, "read", deadline.LimitIdle)
					}
					got = append(got, end{time.Since(start), n == 1})
				}
			}()
			for _, s := range steps {
				time.Sleep(time.Until(start.Add(s.at)))
				switch s.kind {
				case "in":
					_, _ = peer.Write([]byte{1})
				case "out":
					_, _ = c.Write([]byte{1})
				case "set":
					c.SetIdle(s.idle)
				}
			}
			time.Sleep(time.Until(start.Add(last)))
			_ = c.Close()
			<-done
		})
		if len(got) != len(want) {
			rt.Fatalf("first limit %v\ngot  %v\nwant %v\nsteps %v", first, got, want, steps)
		}
		for i := range got {
			if got[i] != want[i] {
				rt.Fatalf("first limit %v, end %d\ngot  %v\nwant %v\nsteps %v", first, i, got, want, steps)
			}
		}
	})
}
