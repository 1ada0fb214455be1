// Recurring tasks that take longer than their period, under three overlap policies.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

const (
	period = 80 * time.Millisecond
	work   = 190 * time.Millisecond // more than two periods
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	out := log.New(w, "", 0)
	e := timer.New()
	for _, p := range []struct {
		name   string
		policy timer.OverlapPolicy
	}{
		{"skip", timer.Skip},            // occurrences that come due during a run are dropped
		{"buffer one", timer.BufferOne}, // they are folded into one, which runs next
		{"allow", timer.Allow},          // they run beside it
	} {
		begun := time.Now()
		handler := func(ctx context.Context) error {
			a, _ := timer.TaskFrom(ctx)
			beat := a.ScheduledFor.Sub(begun).Round(period) / period
			out.Printf("%s: run %d for beat %d, folded in %d", a.Name, a.Number, beat, a.Missed)
			time.Sleep(work)
			return nil
		}
		task, err := e.Put(p.name, schedule.Every(period).Times(3), handler, timer.Overlap(p.policy))
		if err != nil {
			return err
		}
		if err := task.Wait(ctx); err != nil { // until it has started three times and the last run has ended
			return err
		}
		out.Printf("%s: %d runs, %d beats dropped", p.name, task.Runs(), task.Info().Skipped)
	}
	_, err := e.Close(ctx)
	return err
}
