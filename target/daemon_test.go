package target_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/target"
)

// A daemon runs tasks of both kinds, in real time.
type daemon struct {
	*duly.Scheduler

	commands  *duly.Kind[target.Command]
	callbacks *duly.Kind[target.Callback]
	outputs   *target.Outputs
}

// serve starts one, which ends with the test.
func serve(t *testing.T, cb target.CallbackOptions) *daemon {
	t.Helper()
	o, err := target.OpenOutputs(t.TempDir(), target.OutputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := duly.New(duly.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	cb.Outputs = o
	d := &daemon{
		Scheduler: s, outputs: o,
		commands:  duly.Handle(s, target.KindCommand, target.Commands(target.CommandOptions{Outputs: o}), duly.Defaults(target.Defaults(target.KindCommand)...)),
		callbacks: duly.Handle(s, target.KindHTTP, target.Callbacks(cb), duly.Defaults(target.Defaults(target.KindHTTP)...)),
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(ctx)); err != nil && !errors.Is(err, duly.ErrClosed) {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// now puts a command that is due.
func (d *daemon) now(t *testing.T, name string, c target.Command, opts ...duly.PutOption) {
	t.Helper()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.commands.Put(t.Context(), name, c, schedule.After(0), opts...); err != nil {
		t.Fatal(err)
	}
}

// await waits until an attempt at a task has been settled, and returns its entry of the history.
func (d *daemon) await(t *testing.T, name string) duly.Event {
	t.Helper()
	for e, err := range d.Events(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Name == name {
			return e
		}
	}
	t.Fatal("no event")
	return duly.Event{}
}

// attempt returns what is kept of the only attempt at a task.
func (d *daemon) attempt(t *testing.T, name string) target.Attempt {
	t.Helper()
	all, err := d.outputs.Attempts(t.Context(), "", name, 0)
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v, %v", all, err)
	}
	return all[0]
}

// printing waits until a task has printed something, and returns what.
func (d *daemon) printing(t *testing.T, name string) string {
	t.Helper()
	for {
		all, err := d.outputs.Attempts(t.Context(), "", name, 1)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			time.Sleep(time.Millisecond) // until it begins, of which nobody tells
			continue
		}
		return d.printingOf(t, &duly.AttemptInfo{Name: name, RunID: all[0].RunID, Number: all[0].Number})
	}
}

// printingOf waits until an attempt has printed something, and returns what.
func (d *daemon) printingOf(t *testing.T, a *duly.AttemptInfo) string {
	t.Helper()
	for {
		for c, err := range d.outputs.Chunks(t.Context(), a.Namespace, a.Name, a.RunID, a.Number, true) {
			if errors.Is(err, duly.ErrNotFound) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			return string(c.Data)
		}
		time.Sleep(time.Millisecond) // until it begins, of which nobody tells
	}
}
