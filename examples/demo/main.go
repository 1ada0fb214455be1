// Demo: four callbacks run in the order of their delays, not in that of their names, and a fifth is cancelled in time.
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

const second = 150 * time.Millisecond // of the story

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	out := log.New(w, "", 0)                  // handlers write from goroutines of their own
	e := timer.New(timer.Options{Workers: 1}) // with one worker the order is exact
	for _, c := range []struct {
		name  string
		delay int
	}{{"A", 3}, {"B", 2}, {"C", 1}, {"D", 7}, {"E", 5}} {
		out.Printf("put %s in %d s", c.name, c.delay)
		_, err := e.Put(c.name, schedule.After(time.Duration(c.delay)*second), timer.Plain(func() { out.Printf("%s runs", c.name) }))
		if err != nil {
			return err
		}
	}
	time.Sleep(4 * second)
	out.Printf("after 4 s, cancel E: %s", e.Cancel("E"))

	_, err := e.Drain(ctx, timer.RunPending)
	return err
}
