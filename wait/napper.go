package wait

import (
	"context"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Napper sleeps, and can be woken: it stands for one sleeper, and to choose whom to wake is to choose a Napper. The zero
// Napper is awake. It must not be copied after first use, and all methods are safe from several goroutines.
//
// Each nap ends for one reason, and says for which: it was interrupted, or its time was up. An Interrupt that comes while nobody
// sleeps is not lost: one is kept, and the next nap uses it up and returns at once. So a loop that looks for work, and naps if
// there is none, misses no interrupt between the two; and as interrupts that nobody has used do not add up, nor say what
// has happened, it should look for work however its nap ended. Several goroutines may nap on one Napper, and then an Interrupt
// wakes the one that has slept longest; to wake a chosen one, give each a Napper of its own.
type Napper struct {
	// Engine is whose time is slept by. Nil is one that all share.
	Engine *timer.Engine

	mu     sync.Mutex
	permit bool // an Interrupt that nobody has used; then nobody sleeps
	list   park.List
}

// Nap sleeps for d, or with Forever without end, and says whether it was interrupted: true as soon as Interrupt is called, or
// at once if it was before; false when the time is up. A d of 0 or less does not sleep, but uses up an earlier Interrupt. If the
// napper's Engine is closed, a nap for a time ends early with false; NapContext tells this apart.
func (n *Napper) Nap(d time.Duration) (interrupted bool) {
	interrupted, _ = n.nap(context.Background(), lasting(context.Background(), d))
	return interrupted
}

// NapUntil is Nap until the wall clock shows t or later, which follows the clock when that is set as [SleepUntil] does.
func (n *Napper) NapUntil(t time.Time) (interrupted bool) {
	interrupted, _ = n.nap(context.Background(), park.UntilAt(context.Background(), t))
	return interrupted
}

// NapContext is Nap that ends also when ctx ends, and then returns false and the context's cause. If ctx has ended already, an
// earlier Interrupt is not used up. If the napper's Engine is closed, it returns an error for which errors.Is finds
// timer.ErrClosed. Without an error it says whether it was interrupted.
func (n *Napper) NapContext(ctx context.Context, d time.Duration) (interrupted bool, err error) {
	return n.nap(ctx, lasting(ctx, d))
}

// NapUntilContext is NapContext until the wall clock shows t or later.
func (n *Napper) NapUntilContext(ctx context.Context, t time.Time) (interrupted bool, err error) {
	return n.nap(ctx, park.UntilAt(ctx, t))
}

func (n *Napper) nap(ctx context.Context, l park.Limit) (interrupted bool, err error) {
	if err := l.Err(); err != nil {
		return false, err
	}
	n.mu.Lock()
	if n.permit {
		n.permit = false
		n.mu.Unlock()
		return true, nil
	}
	if l.Spent() {
		n.mu.Unlock()
		return false, nil
	}
	w := park.New()
	n.list.Push(w)
	n.mu.Unlock()
	if err = w.Wait(n.Engine, &l); err == nil {
		w.Release()
		return true, nil
	}
	n.mu.Lock()
	n.list.Remove(w)
	n.mu.Unlock()
	w.Release()
	if slept(ctx, err) {
		err = nil
	}
	return false, err
}

// Interrupt wakes the one who sleeps, and says whether there was one. If there was none, the next nap returns at once; calls
// beyond the first change nothing until then. It does not block, and one may interrupt oneself: that is for the next nap.
func (n *Napper) Interrupt() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for w := n.list.Front(); w != nil; w = n.list.Front() {
		if w.Grant() {
			return true
		}
	}
	n.permit = true
	return false
}
