package main

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"os"
	"time"

	duly "github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/pebble"
)

// dulyEngine is ours: both with the options that they have when nobody sets any.
type dulyEngine struct {
	store *pebble.Store
	s     *duly.Scheduler
	kind  *duly.Kind[[]byte]
	begun func(id uint64)
	ended chan error // of Run; nil while it was not called
}

func openDuly(dir string) (engine, error) { return newDuly(dir) }

func newDuly(dir string) (*dulyEngine, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	st, err := pebble.Open(dir, pebble.Options{Logger: log})
	if err != nil {
		return nil, err
	}
	s, err := duly.New(duly.Options{Store: st, Logger: log})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	d := &dulyEngine{store: st, s: s}
	d.kind = duly.Handle(s, "remind", func(_ context.Context, a *duly.Attempt[[]byte]) error {
		d.begun(idOf(a.Raw))
		return nil
	})
	return d, nil
}

func (d *dulyEngine) put(ctx context.Context, tasks []task) error {
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

func items(tasks []task) iter.Seq[duly.Item[[]byte]] {
	return func(yield func(duly.Item[[]byte]) bool) {
		for _, t := range tasks {
			if !yield(duly.Item[[]byte]{Name: t.name(), Payload: t.payload(), Schedule: schedule.At(t.due)}) {
				return
			}
		}
	}
}

// putOne puts as a request does.
func (d *dulyEngine) putOne(ctx context.Context, t task) error {
	_, err := d.kind.Put(ctx, t.name(), t.payload(), schedule.At(t.due))
	return err
}

func (d *dulyEngine) run(begun func(id uint64)) error {
	d.begun, d.ended = begun, make(chan error, 1)
	go func() { d.ended <- d.s.Run(context.Background()) }()
	return nil
}

func (d *dulyEngine) left(ctx context.Context) (int, error) {
	st, err := d.store.Stats(ctx)
	return int(st.Tasks), err
}

// drain ends the scheduler when no attempt runs any more. The store stays open.
func (d *dulyEngine) drain() error {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	err := d.s.Drain(ctx)
	if d.ended != nil {
		err = errors.Join(err, <-d.ended)
		d.ended = nil
	}
	return err
}

func (d *dulyEngine) close() error { return errors.Join(d.drain(), d.store.Close()) }
