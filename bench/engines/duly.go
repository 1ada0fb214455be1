package engines

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// Duly is ours on any store, with the options that it has when nobody sets any.
type Duly struct {
	store store.Store
	s     *duly.Scheduler
	kind  *duly.Kind[[]byte]
	begun func(id uint64)
	ended chan error // of Run; nil while it was not called
}

// Log is what an engine's warnings go to.
func Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// NewDuly takes the store over: Close closes it, and so does an error.
func NewDuly(st store.Store) (*Duly, error) {
	s, err := duly.New(duly.Options{Store: st, Logger: Log()})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	d := &Duly{store: st, s: s}
	d.kind = duly.Handle(s, "remind", func(_ context.Context, a *duly.Attempt[[]byte]) error {
		d.begun(IDOf(a.Raw))
		return nil
	})
	return d, nil
}

// Put puts tasks by PutMany.
func (d *Duly) Put(ctx context.Context, tasks []Task) error {
	entries, err := d.kind.PutMany(ctx, items(tasks))
	if err != nil {
		return err
	}
	for i := range entries {
		if entries[i].Err != nil {
			return entries[i].Err
		}
	}
	return nil
}

func items(tasks []Task) iter.Seq[duly.Item[[]byte]] {
	return func(yield func(duly.Item[[]byte]) bool) {
		for _, t := range tasks {
			if !yield(duly.Item[[]byte]{Name: t.Name(), Payload: t.Payload(), Schedule: schedule.At(t.Due)}) {
				return
			}
		}
	}
}

// PutOne puts as a request does.
func (d *Duly) PutOne(ctx context.Context, t Task) error {
	_, err := d.kind.Put(ctx, t.Name(), t.Payload(), schedule.At(t.Due))
	return err
}

// CancelOne cancels a task by its name. One that is not there is an error.
func (d *Duly) CancelOne(ctx context.Context, t Task) error {
	out, err := d.s.Cancel(ctx, t.Name())
	if err == nil && out != duly.Cancelled {
		err = fmt.Errorf("cancel %s: %v", t.Name(), out)
	}
	return err
}

// Finish takes tasks away in one call to the store.
func (d *Duly) Finish(ctx context.Context, tasks []Task) error {
	cancels := make([]store.Cancel, len(tasks))
	for i, t := range tasks {
		cancels[i] = store.Cancel{Key: store.Key{Namespace: d.s.Namespace(), Name: t.Name()}}
	}
	res, err := d.store.Cancel(ctx, cancels)
	for i := range res {
		if err == nil && res[i].Err == nil && res[i].Outcome != store.CancelCancelled {
			err = fmt.Errorf("cancel %s: %v", cancels[i].Name, res[i].Outcome)
		}
		err = errors.Join(err, res[i].Err)
	}
	return err
}

// Run starts what is due, from now on, and returns. It calls begun first of all in every attempt.
func (d *Duly) Run(begun func(id uint64)) error {
	d.begun, d.ended = begun, make(chan error, 1)
	go func() { d.ended <- d.s.Run(context.Background()) }()
	return nil
}

// Left counts the tasks that have not been done.
func (d *Duly) Left(ctx context.Context) (int, error) {
	st, err := d.store.Stats(ctx)
	return int(st.Tasks), err
}

// Drain ends the scheduler when no attempt runs any more. The store stays open.
func (d *Duly) Drain() error {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	err := d.s.Drain(ctx)
	if d.ended != nil {
		err = errors.Join(err, <-d.ended)
		d.ended = nil
	}
	return err
}

// Close drains, and closes the store.
func (d *Duly) Close() error { return errors.Join(d.Drain(), d.store.Close()) }
