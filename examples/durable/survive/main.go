// A program that survives its own kill -9: it puts a task, kills itself, and runs the task when it is started again.
//
//	go run ./examples/durable/survive    twice
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/pebble"
)

func main() {
	if err := run(filepath.Join(os.TempDir(), "duly-survive")); err != nil {
		log.Fatal(err)
	}
}

func run(dir string) error {
	st, err := pebble.Open(dir, pebble.Options{})
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // what was put is durable already
	d, err := duly.New(duly.Options{Store: st})
	if err != nil {
		return err
	}
	ctx, done := context.WithCancel(context.Background())
	defer done()

	tea := duly.Handle(d, "tea", func(_ context.Context, a *duly.Attempt[int]) error {
		fmt.Printf("tea is ready: put by process %d, run by process %d\n", a.Payload, os.Getpid())
		done()
		return nil
	})
	entry, err := tea.Put(ctx, "tea", os.Getpid(), schedule.After(2*time.Second), duly.OnConflict(duly.Keep))
	if err != nil {
		return err
	}
	if entry.Outcome == duly.Created {
		fmt.Println("tea is put: now kill -9, start me again")
		me, _ := os.FindProcess(os.Getpid())
		return me.Kill()
	}
	return d.Run(ctx)
}
