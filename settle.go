package duly

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/timer"
)

// A settler writes how attempts ended, all that wait at once. While the store fails it tries again: an outcome is not lost unless the
// process is, and then the run is tried again.
type settler struct {
	r    *run
	wake chan struct{}
	done chan struct{}

	mu    sync.Mutex
	queue []*settling
	busy  []*settling // somebody else's transaction holds their tasks: they rest
	rests timer.Timer
	over  bool
}

type settling struct {
	a       *attempt
	s       store.Settlement
	unknown bool // it may have been written already
	answer  chan settled
}

type settled struct {
	res store.SettleResult
	err error
}

func (s *settler) init(r *run) {
	s.r, s.wake, s.done = r, make(chan struct{}, 1), make(chan struct{})
}

// settle writes one, and returns when that is done. The error says that the scheduler ends, or the store.
func (s *settler) settle(a *attempt, x store.Settlement) (store.SettleResult, error) {
	w := &settling{a: a, s: x, answer: make(chan settled, 1)}
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return store.SettleResult{}, ErrClosed
	}
	s.queue = append(s.queue, w)
	s.mu.Unlock()
	s.poke()
	got := <-w.answer
	return got.res, got.err
}

func (s *settler) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// stop ends the settler, whose context has ended. Those that wait are told.
func (s *settler) stop() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.poke()
	<-s.done
}

const settleMost = 512

func (s *settler) work(ctx context.Context) {
	defer close(s.done)
	var batch []*settling
	for {
		s.mu.Lock()
		n := min(len(s.queue), settleMost-len(batch))
		batch = append(batch, s.queue[:n]...)
		rest := copy(s.queue, s.queue[n:])
		clear(s.queue[rest:])
		s.queue = s.queue[:rest]
		over := s.over
		s.mu.Unlock()
		if over {
			s.refuse(batch, ErrClosed)
			return
		}
		if len(batch) == 0 {
			select {
			case <-s.wake:
			case <-ctx.Done(): // stop comes next
				<-s.wake
			}
			continue
		}
		batch = s.write(ctx, batch)
	}
}

func (s *settler) refuse(batch []*settling, err error) {
	s.mu.Lock()
	batch = append(append(batch, s.queue...), s.busy...)
	s.queue, s.busy = nil, nil
	s.rests.Stop()
	s.mu.Unlock()
	for _, w := range batch {
		w.answer <- settled{err: err}
	}
}

// write writes a batch, and returns what has to be tried again.
func (s *settler) write(ctx context.Context, batch []*settling) (again []*settling) {
	c := s.r.c
	rows := make([]store.Settlement, len(batch))
	c.mu.Lock()
	for i, w := range batch {
		rows[i] = w.s
		c.beginLocked(w.s.Key)
	}
	c.mu.Unlock()
	res, err := c.store.Settle(ctx, rows)
	c.mu.Lock()
	for i, w := range batch {
		if err != nil {
			w.unknown = w.unknown || errors.Is(err, store.ErrUnknown)
			c.endLocked(w.s.Key, nil, false)
			continue
		}
		if res[i].Err == nil {
			w.a.e.memo.ran(w.a.begun, min(res[i].At, c.now()), nextOf(res[i].Task))
		}
		c.endLocked(w.s.Key, res[i].Task, res[i].Err == nil)
	}
	if err == nil {
		s.r.workedLocked("write how attempts ended")
	}
	s.r.pokeLocked()
	c.mu.Unlock()
	if err != nil {
		return s.failed(ctx, batch, err)
	}
	c.news.tell()
	for i, w := range batch {
		if errors.Is(res[i].Err, store.ErrBusy) {
			s.rest(w)
			continue
		}
		if errors.Is(res[i].Err, store.ErrFenced) && w.unknown { // the echo of a success
			res[i] = store.SettleResult{State: w.s.State}
		}
		w.answer <- settled{res: res[i]}
	}
	return batch[:0]
}

// busyRest is for how long an outcome rests whose task somebody else's transaction holds. Others are written meanwhile.
const busyRest = 250 * time.Millisecond

// rest puts an outcome off.
func (s *settler) rest(w *settling) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy = append(s.busy, w); len(s.busy) > 1 {
		return
	}
	s.rests = s.r.c.eng.AfterFunc(busyRest, func() {
		s.mu.Lock()
		s.queue, s.busy = append(s.queue, s.busy...), nil
		s.mu.Unlock()
		s.poke()
	})
}

// failed waits before the batch is tried again.
func (s *settler) failed(ctx context.Context, batch []*settling, err error) []*settling {
	if s.r.failed(err, "write how attempts ended") != nil || ctx.Err() != nil {
		for _, w := range batch {
			w.answer <- settled{err: err}
		}
		return batch[:0]
	}
	s.r.c.mu.Lock()
	wait := s.r.backoff
	s.r.c.mu.Unlock()
	a := newAlarm(s.r.c.eng, wait)
	defer a.stop()
	select {
	case <-a.rung:
	case <-ctx.Done():
	}
	return batch
}
