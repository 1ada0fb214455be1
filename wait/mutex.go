package wait

import (
	"context"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Mutex is a lock whose Lock can end in time. The zero Mutex is unlocked. It must not be copied after first use, and all
// methods are safe from several goroutines.
//
// It is handed over: Unlock gives it to the goroutine that has waited longest, before that runs, and nobody overtakes. Nobody
// starves, and a deadline means something under load. The price is that while somebody waits every hand-over takes a switch
// of goroutines, where a sync.Mutex lets the one that runs take the lock again and again; many goroutines that lock for some
// nanoseconds each are better served by a sync.Mutex.
//
// Like a sync.Mutex it belongs to no goroutine: one may lock it and another unlock it; and it is not re-entrant (see the
// package comment).
type Mutex struct {
	// Engine keeps the deadlines of LockFor. Nil is one that all share.
	Engine *timer.Engine

	mu     sync.Mutex
	locked bool
	list   park.List
}

var _ sync.Locker = (*Mutex)(nil)

// Lock locks m, and blocks until it can.
func (m *Mutex) Lock() { _ = m.lock(park.Limit{}) }

// LockContext is Lock that gives up when ctx ends, and then returns its cause. It returns nil with m locked, or an error
// without.
func (m *Mutex) LockContext(ctx context.Context) error { return m.lock(park.Until(ctx)) }

// LockFor is Lock that gives up when it has waited for d, and then returns ErrTimeout. With a d of 0 or less it does not wait.
func (m *Mutex) LockFor(d time.Duration) error { return m.lock(park.For(d)) }

// TryLock locks m if it is free, and says whether it did.
func (m *Mutex) TryLock() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked {
		return false
	}
	m.locked = true
	return true
}

func (m *Mutex) lock(l park.Limit) error {
	if err := l.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	if !m.locked { // then nobody waits: Unlock would have handed it over
		m.locked = true
		m.mu.Unlock()
		return nil
	}
	if l.Spent() {
		m.mu.Unlock()
		return ErrTimeout
	}
	w := park.New()
	m.list.Push(w)
	m.mu.Unlock()
	err := w.Wait(m.Engine, &l)
	if err != nil { // it kept nobody out
		m.mu.Lock()
		m.list.Remove(w)
		m.mu.Unlock()
	}
	w.Release()
	return err
}

// Unlock unlocks m, or hands it to the one that has waited longest. It panics if m is not locked.
func (m *Mutex) Unlock() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.locked {
		panic("wait: Unlock of a Mutex that is not locked")
	}
	for w := m.list.Front(); w != nil; w = m.list.Front() {
		if w.Grant() {
			return // it stays locked, for w
		}
	}
	m.locked = false
}

// Do calls f with m locked, and unlocks it however f ends: also when it panics, or calls runtime.Goexit.
func (m *Mutex) Do(f func()) {
	m.Lock()
	defer m.Unlock()
	f()
}

// DoContext is Do that gives up when ctx ends before m is locked. Then it returns the context's cause, and f was not called;
// otherwise it returns nil. What happens to ctx while f runs is for f to see.
func (m *Mutex) DoContext(ctx context.Context, f func()) error {
	if err := m.LockContext(ctx); err != nil {
		return err
	}
	defer m.Unlock()
	f()
	return nil
}

// DoFor is Do that gives up when it has waited for d. Then it returns ErrTimeout, and f was not called; otherwise it returns
// nil, however long f takes.
func (m *Mutex) DoFor(d time.Duration, f func()) error {
	if err := m.LockFor(d); err != nil {
		return err
	}
	defer m.Unlock()
	f()
	return nil
}
