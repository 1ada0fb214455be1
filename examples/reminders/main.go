// Reminders by name: put, listed, moved, cancelled and asked for by the name alone.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"slices"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

const minute = 100 * time.Millisecond // of the story

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	out := log.New(w, "", 0)                  // handlers write from goroutines of their own
	e := timer.New(timer.Options{Workers: 1}) // with one worker the order is exact
	remind := func(ctx context.Context) error {
		about, _ := timer.TaskFrom(ctx)
		out.Printf("reminder: %s", about.Name)
		return nil
	}
	for name, n := range map[string]int{"eggs": 6, "tea": 8, "oven": 10, "laundry": 12} {
		if _, err := e.Put(name, schedule.After(time.Duration(n)*minute), remind); err != nil {
			return err
		}
	}

	pending := slices.SortedFunc(e.Tasks(timer.AllTasks()), func(a, b timer.Info) int { return a.Due.Compare(b.Due) })
	for _, t := range pending {
		out.Printf("pending: %s", t.Name)
	}

	if err := e.Move("oven", schedule.After(7*minute)); err != nil {
		return err
	}
	out.Print("oven moved: in 7 minutes, not in 10")
	out.Printf("cancel laundry: %s", e.Cancel("laundry"))
	out.Printf("cancel it again: %s", e.Cancel("laundry")) // nobody has that name any more
	if task, ok := e.Find("tea"); ok {
		out.Printf("tea is %s", task.State())
	}

	_, err := e.Drain(ctx, timer.RunPending) // waits until all that is pending has come due and run
	return err
}
