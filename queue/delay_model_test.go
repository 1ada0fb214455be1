package queue_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
)

// A ledger follows a Delay on a clock moved by hand: what is in it, and when each value may come out.
type ledger struct {
	t    *testing.T
	v    parktest.Venue
	r    *rand.Rand
	d    *queue.Delay[int]
	boot time.Duration
	in   map[int]*entry
	n    int
	out  chan int // from getters that wait
}

// An entry is a value in the Delay. It is ripe once its time was reached, also if the wall clock is set back after that.
type entry struct {
	h       queue.Delayed[int]
	at      time.Duration // on the timeline of delays
	instant time.Time     // or on the wall clock
	ripe    bool
}

func (l *ledger) due(x *entry) bool {
	if x.instant.IsZero() {
		return l.boot >= x.at
	}
	return !l.v.Now().Before(x.instant)
}

// settle lets what is due happen, and notes what became due in between.
func (l *ledger) settle() {
	synctest.Wait()
	for _, x := range l.in {
		x.ripe = x.ripe || l.due(x)
	}
}

// pass lets time pass in small steps, so that no due time is jumped over.
func (l *ledger) pass(d time.Duration) {
	for end := l.boot + d; l.boot < end; {
		l.boot += time.Second
		l.v.Pass(time.Second)
		l.settle()
	}
}

// took notes what came out.
func (l *ledger) took(v int, now bool) {
	l.t.Helper()
	x := l.in[v]
	switch {
	case x == nil:
		l.t.Errorf("%d came out that is not in it", v)
	case !x.ripe || now && !l.due(x):
		l.t.Errorf("%d came early: at %v for %v, wall clock %v for %v", v, l.boot, x.at, l.v.Now(), x.instant)
	}
	delete(l.in, v)
}

// collect takes what getters got.
func (l *ledger) collect() {
	l.t.Helper()
	for {
		synctest.Wait()
		select {
		case v := <-l.out:
			l.took(v, false)
			continue
		default:
		}
		return
	}
}

func (l *ledger) put() {
	l.n++
	after := time.Duration(l.r.IntN(100)-10) * time.Second
	x := &entry{}
	if l.r.IntN(2) == 0 {
		x.at = l.boot + max(after, 0)
		x.h = put(l.t, l.d, l.n, after)
	} else {
		x.instant = l.v.Now().Add(after)
		x.h = must[queue.Delayed[int]](l.t)(l.d.PutAt(l.n, x.instant))
	}
	l.in[l.n] = x
	l.settle()
}

func (l *ledger) remove() {
	for v, x := range l.in {
		l.collect() // while v is chosen nothing happens
		if l.in[v] != nil {
			if !x.h.Remove() {
				l.t.Errorf("%d is in it and cannot be removed", v)
			}
			delete(l.in, v)
		}
		return
	}
}

// step sets the wall clock.
func (l *ledger) step() {
	l.v.Hand.Step(time.Duration(l.r.IntN(200)-100) * time.Second)
	l.v.Pass(0)
	l.settle()
}

// drain takes what is due without waiting: all of it, nothing else, and the latest first.
func (l *ledger) drain() {
	l.t.Helper()
	late := func(x *entry) time.Duration {
		if x.instant.IsZero() {
			return l.boot - x.at
		}
		return l.v.Now().Sub(x.instant)
	}
	last := time.Duration(1<<63 - 1)
	for v, has := l.d.TryGet(); has; v, has = l.d.TryGet() {
		if x := l.in[v]; x != nil {
			if late(x) > last {
				l.t.Errorf("%d is late by %v and came after one that is late by %v", v, late(x), last)
			}
			last = late(x)
		}
		l.took(v, true)
	}
	l.nothingDue("after TryGet found nothing")
}

func (l *ledger) nothingDue(when string) {
	l.t.Helper()
	for v, x := range l.in {
		if l.due(x) {
			l.t.Errorf("%d is due %s", v, when)
		}
	}
	if n := l.d.Len(); n != len(l.in) {
		l.t.Errorf("%d values are in it, want %d", n, len(l.in))
	}
}

// wait lets getters wait, some with a timeout, while values come and go and the wall clock is set.
func (l *ledger) wait() {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	ended := make(chan error, 3)
	getters := 1 + l.r.IntN(3)
	for g := range getters {
		go func() {
			for {
				v, err := l.d.Get(ctx)
				if g > 0 && err == nil {
					l.out <- v
					v, err = l.d.GetFor(time.Duration(v%50) * time.Second)
				}
				if errors.Is(err, queue.ErrTimeout) {
					continue
				}
				if err != nil {
					ended <- err
					return
				}
				l.out <- v
			}
		}()
	}
	l.collect()
	for range l.r.IntN(10) {
		switch l.r.IntN(4) {
		case 0:
			l.pass(time.Duration(l.r.IntN(30)) * time.Second)
		case 1:
			l.step()
		case 2:
			l.remove()
		default:
			l.put()
		}
		l.collect()
		l.nothingDue("although somebody waits")
	}
	cancel()
	l.pass(50 * time.Second) // the longest timeout
	l.collect()
	for range getters {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			l.t.Error(err)
		}
	}
}

// Whatever is put, removed, waited for, and however the wall clock is set: what is due comes out, nothing is early, nothing
// is lost.
func TestDelay_ModelWithClockSet(t *testing.T) {
	for seed := range uint64(parktest.Rounds(200)) {
		parktest.ByHand(t, func(t *testing.T, v parktest.Venue) {
			l := &ledger{
				t: t, v: v, r: rand.New(rand.NewPCG(seed, 9)), d: &queue.Delay[int]{Engine: v.Engine},
				in: map[int]*entry{}, out: make(chan int, 1000),
			}
			for range 30 {
				switch l.r.IntN(6) {
				case 0:
					l.pass(time.Duration(l.r.IntN(50)) * time.Second)
				case 1:
					l.step()
				case 2:
					l.remove()
				case 3:
					l.drain()
				case 4:
					l.wait()
				default:
					l.put()
				}
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
			left := l.d.CloseNow()
			slices.Sort(left)
			if len(slices.Compact(left)) != len(l.in) {
				t.Errorf("seed %d: %d are left, want %d", seed, len(left), len(l.in))
			}
		})
	}
}
