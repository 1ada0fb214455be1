package wait

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Semaphore has a number of permits, its size, of which each call takes some. The zero Semaphore has the size 0; Resize gives
// it another. It must not be copied after first use, and all methods are safe from several goroutines.
//
// It is bounded: no more can be released than is held, and an attempt panics. It is weighted, and first in, first out
// whatever the weights: a call that wants many permits and waits at the front is not overtaken by those behind it that want
// few, though these few are free; if it gives up, they are let in. Only 0 permits are always to be had.
//
// A semaphore of more than one permit excludes nobody: as many as it has permits are inside at a time, and what they share
// needs a lock of its own. One of a single permit is a Mutex.
//
// To ask for more than the size fails at once, with ErrTooMany, as it would wait for a Resize that need not come. A call that
// waits already when a Resize makes the semaphore too small for it waits on, until another makes it large enough; it keeps
// its place, but meanwhile it keeps nobody out.
type Semaphore struct {
	// Engine keeps the deadlines of AcquireFor. Nil is one that all share.
	Engine *timer.Engine

	mu   sync.Mutex
	size int64
	held int64 // more than size after a Resize, until enough are released
	list park.List
}

// NewSemaphore returns a semaphore of n permits, all of them free. It panics if n is negative.
func NewSemaphore(n int64) *Semaphore {
	notNegative("NewSemaphore", n)
	return &Semaphore{size: n}
}

func notNegative(op string, n int64) {
	if n < 0 {
		panic(fmt.Sprintf("wait: %s: n is %d, want 0 or more permits", op, n))
	}
}

// Acquire takes n permits, and blocks until it can. It gives up when ctx ends, and then returns its cause; an n that is more
// than the size is ErrTooMany. After nil all n are held, after an error none. A negative n panics.
func (s *Semaphore) Acquire(ctx context.Context, n int64) error {
	notNegative("Semaphore.Acquire", n)
	return s.acquire(n, park.Until(ctx))
}

// AcquireFor is Acquire that gives up when it has waited for d, and then returns ErrTimeout. With a d of 0 or less it does not
// wait.
func (s *Semaphore) AcquireFor(d time.Duration, n int64) error {
	notNegative("Semaphore.AcquireFor", n)
	if s.enter(n) {
		return nil
	}
	return s.acquire(n, park.For(d))
}

// TryAcquire takes n permits if they are free and nobody waits who could have them, and says whether it did. A negative n
// panics.
func (s *Semaphore) TryAcquire(n int64) bool {
	notNegative("Semaphore.TryAcquire", n)
	return s.enter(n)
}

func (s *Semaphore) enter(n int64) bool {
	s.mu.Lock()
	ok := s.enterLocked(n)
	s.mu.Unlock()
	return ok
}

func (s *Semaphore) acquire(n int64, l park.Limit) error {
	if err := l.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	if s.enterLocked(n) {
		s.mu.Unlock()
		return nil
	}
	if size := s.size; n > size {
		s.mu.Unlock()
		return tooMany(n, size)
	}
	if l.Spent() { // it would keep out those who need not wait
		s.mu.Unlock()
		return ErrTimeout
	}
	w := park.New()
	w.Want = n
	s.list.Push(w)
	s.mu.Unlock()
	err := w.Wait(s.Engine, &l)
	if err != nil {
		s.leave(w)
	}
	w.Release()
	return err
}

func tooMany(n, size int64) error {
	return fmt.Errorf("wait: acquire: n is %d, want at most the size, which is %d: %w", n, size, ErrTooMany)
}

// leave takes a waiter out, lets in whom it kept out, and says whether it was waiting.
func (s *Semaphore) leave(w *park.Waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.list.Remove(w)
	s.admitLocked()
	return was
}

// AcquireFunc is an Acquire that keeps no goroutine waiting: when its turn comes and n permits are free, they are taken and f is
// called on a goroutine of its own; at once, if that is now. It is f that has to Release them. A panic of f ends the program,
// as in any goroutine.
//
// The function that it returns gives up: it returns true if f will not be called and nothing is held for it, false if f was
// called, or is about to be, or was given up before. As nobody can be told an error, an n that is more than the size waits for a Resize. A
// negative n and an f that is nil panic.
func (s *Semaphore) AcquireFunc(n int64, f func()) (stop func() bool) {
	notNegative("Semaphore.AcquireFunc", n)
	if f == nil {
		panic("wait: Semaphore.AcquireFunc: f is nil, want a function")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.enterLocked(n) {
		go f()
		return func() bool { return false }
	}
	w := park.New() // stop may refer to it for ever, so it is never released
	w.Want, w.Value = n, f
	s.list.Push(w)
	return func() bool { return s.leave(w) }
}

// enterLocked takes permits if they are free and nobody waits who could have them.
func (s *Semaphore) enterLocked(n int64) bool {
	if n == 0 {
		return true
	}
	if n > s.size-s.held {
		return false
	}
	for w := s.list.Front(); w != nil; w = w.Next() {
		if w.Want <= s.size {
			return false
		}
	}
	s.held += n
	return true
}

// admitLocked lets in the first, one after the other, as long as there is enough. Those for which the semaphore has become too
// small are passed by.
func (s *Semaphore) admitLocked() {
	for w := s.list.Front(); w != nil; {
		next, n := w.Next(), w.Want // w is the caller's once it is granted
		if n <= s.size {
			if n > s.size-s.held {
				return
			}
			f, _ := w.Value.(func())
			if w.Grant() {
				s.held += n
				if f != nil {
					go f()
				}
			}
		}
		w = next
	}
}

// Release gives n permits back, which need not be as many as one call has taken, nor be given back by who took them. It panics
// if fewer are held; then none is given back. A negative n panics.
func (s *Semaphore) Release(n int64) {
	notNegative("Semaphore.Release", n)
	s.mu.Lock()
	if held := s.held; n > held {
		s.mu.Unlock()
		panic(fmt.Sprintf("wait: Semaphore.Release: n is %d, want at most what is held, which is %d", n, held))
	}
	s.held -= n
	if s.list.Len() > 0 {
		s.admitLocked()
	}
	s.mu.Unlock()
}

// Resize makes n the size. If more are held by then they stay held, and none is granted until enough were released. A negative n
// panics.
func (s *Semaphore) Resize(n int64) {
	notNegative("Semaphore.Resize", n)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size = n
	s.admitLocked()
}

// Size returns how many permits there are.
func (s *Semaphore) Size() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// Held returns how many permits are held. After a Resize these may be more than there are.
func (s *Semaphore) Held() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// Waiting returns how many calls wait, those of AcquireFunc among them.
func (s *Semaphore) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list.Len()
}
