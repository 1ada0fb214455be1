package duly

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/dulyhq/duly/store"
)

// An ear listens to the hints of the store. One that has ended, because the store was opened anew, is followed by another at once. If that
// ends soon too it is no use to listen again and again: then it waits, twice as long each time.
type ear struct {
	hints <-chan store.Hint // nil while there are none
	stop  func()
	since time.Duration // when it began to listen, by eng.Elapsed
	pause time.Duration
}

// Between two attempts to listen to a store whose hints end at once.
const (
	shortDeaf = time.Second
	longDeaf  = time.Minute
)

func (r *run) listen() ear {
	e := ear{stop: func() {}, since: r.c.eng.Elapsed()}
	if h, ok := r.c.store.(store.Hinter); ok {
		e.hints, e.stop = h.Hints()
	}
	return e
}

// deaf deals with the end of the hints. The error says that the store is closed.
func (r *run) deaf(ctx context.Context, e *ear) error {
	if err := r.c.tune(ctx); errors.Is(err, store.ErrClosed) {
		return err
	}
	e.stop()
	now := r.c.eng.Elapsed()
	if now-e.since >= longDeaf {
		e.pause = 0
		r.listenAgain(e)
		return nil
	}
	e.hints, e.stop = nil, func() {}
	r.c.mu.Lock()
	r.listenAt = now + e.pause
	r.c.mu.Unlock()
	e.pause = min(max(2*e.pause, shortDeaf), longDeaf)
	return nil
}

// listenAgain listens, and looks at all that may have been told meanwhile.
func (r *run) listenAgain(e *ear) {
	pause := e.pause
	*e = r.listen()
	e.pause = pause
	r.c.mu.Lock()
	r.listenAt = math.MaxInt64
	r.c.mu.Unlock()
	r.hint(store.Hint{At: store.Over})
}
