package wait

import (
	"context"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A RWMutex is a lock that many readers or one writer hold, and whose locking can end in time. The zero RWMutex is unlocked.
// It must not be copied after first use, and all methods are safe from several goroutines.
//
// Readers and writers wait in one queue. What is at its front enters as soon as it can, a run of readers together, and a
// newcomer goes to its end, so that neither kind starves the other. In particular a reader lets a writer that came before it
// go first, though other readers are inside; a goroutine that read-locks again what it has read-locked may therefore wait for
// itself. A writer that gives up lets the readers behind it in.
//
// It cannot be turned from a reader's into a writer's lock or back, it is not re-entrant, and it belongs to no goroutine (see
// the package comment). Where what it guards takes less than about a microsecond to read, a Mutex is as good.
type RWMutex struct {
	// Engine keeps the deadlines of LockFor and RLockFor. Nil is one that all share.
	Engine *timer.Engine

	mu      sync.Mutex
	readers int
	writing bool
	list    park.List
}

var _ sync.Locker = (*RWMutex)(nil)

// What a waiter wants.
const (
	toRead int64 = iota
	toWrite
)

// Lock locks rw for writing, and blocks until it can.
func (rw *RWMutex) Lock() { _ = rw.lock(toWrite, park.Limit{}) }

// LockContext is Lock that gives up when ctx ends, and then returns its cause. It returns nil with rw locked, or an error
// without.
func (rw *RWMutex) LockContext(ctx context.Context) error { return rw.lock(toWrite, park.Until(ctx)) }

// LockFor is Lock that gives up when it has waited for d, and then returns ErrTimeout. With a d of 0 or less it does not wait.
func (rw *RWMutex) LockFor(d time.Duration) error { return rw.lock(toWrite, park.For(d)) }

// TryLock locks rw for writing if it is free, and says whether it did.
func (rw *RWMutex) TryLock() bool {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	return rw.enterLocked(toWrite)
}

// RLock locks rw for reading, and blocks until it can.
func (rw *RWMutex) RLock() { _ = rw.lock(toRead, park.Limit{}) }

// RLockContext is RLock that gives up when ctx ends, and then returns its cause. It returns nil with rw locked, or an error
// without.
func (rw *RWMutex) RLockContext(ctx context.Context) error { return rw.lock(toRead, park.Until(ctx)) }

// RLockFor is RLock that gives up when it has waited for d, and then returns ErrTimeout. With a d of 0 or less it does not
// wait.
func (rw *RWMutex) RLockFor(d time.Duration) error { return rw.lock(toRead, park.For(d)) }

// TryRLock locks rw for reading if no writer holds it and nobody waits for it, and says whether it did.
func (rw *RWMutex) TryRLock() bool {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	return rw.enterLocked(toRead)
}

func (rw *RWMutex) lock(want int64, l park.Limit) error {
	if err := l.Err(); err != nil {
		return err
	}
	rw.mu.Lock()
	if rw.enterLocked(want) {
		rw.mu.Unlock()
		return nil
	}
	if l.Spent() { // it would keep out those who need not wait
		rw.mu.Unlock()
		return ErrTimeout
	}
	w := park.New()
	w.Want = want
	rw.list.Push(w)
	rw.mu.Unlock()
	err := w.Wait(rw.Engine, &l)
	if err != nil {
		rw.mu.Lock()
		rw.list.Remove(w)
		rw.admitLocked()
		rw.mu.Unlock()
	}
	w.Release()
	return err
}

// enterLocked takes the lock if it is free for that, and nobody waits.
func (rw *RWMutex) enterLocked(want int64) bool {
	if rw.list.Len() > 0 {
		return false
	}
	return rw.takeLocked(want)
}

// takeLocked takes the lock if it is free for that.
func (rw *RWMutex) takeLocked(want int64) bool {
	switch {
	case rw.writing || want == toWrite && rw.readers > 0:
		return false
	case want == toWrite:
		rw.writing = true
	default:
		rw.readers++
	}
	return true
}

func (rw *RWMutex) giveBackLocked(want int64) {
	if want == toWrite {
		rw.writing = false
	} else {
		rw.readers--
	}
}

// admitLocked lets in who is at the front, as many as can be in together.
func (rw *RWMutex) admitLocked() {
	for w := rw.list.Front(); w != nil; w = rw.list.Front() {
		want := w.Want // it is the caller's once it is granted
		if !rw.takeLocked(want) {
			return
		}
		if !w.Grant() {
			rw.giveBackLocked(want)
		}
	}
}

// Unlock ends a writer's lock. It panics if rw is not locked for writing.
func (rw *RWMutex) Unlock() {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if !rw.writing {
		panic("wait: Unlock of a RWMutex that is not locked for writing")
	}
	rw.writing = false
	rw.admitLocked()
}

// RUnlock ends one reader's lock. It panics if rw is not locked for reading.
func (rw *RWMutex) RUnlock() {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if rw.readers == 0 {
		panic("wait: RUnlock of a RWMutex that is not locked for reading")
	}
	rw.readers--
	rw.admitLocked()
}

// RLocker returns a sync.Locker whose Lock and Unlock are rw's RLock and RUnlock.
func (rw *RWMutex) RLocker() sync.Locker { return (*rlocker)(rw) }

type rlocker RWMutex

func (r *rlocker) Lock()   { (*RWMutex)(r).RLock() }
func (r *rlocker) Unlock() { (*RWMutex)(r).RUnlock() }
