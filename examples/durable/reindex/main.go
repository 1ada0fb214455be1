// A debounced reindex: a document is indexed when its author pauses, at the latest some time after the first change, and if the program
// ends in between, then when it is started again.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/pebble"
)

const (
	quiet  = 200 * time.Millisecond // index once nobody has changed the document for so long
	latest = 450 * time.Millisecond // but no later than this after the first change
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	out := log.New(w, "", 0)
	home, err := os.MkdirTemp("", "duly-reindex")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home) //nolint:errcheck // a temporary directory
	dir := filepath.Join(home, "tasks")

	err = program(ctx, out, dir, func(change func(doc string, revision int) error) error {
		for i := range 5 { // a burst
			if err := change("poem", i+1); err != nil {
				return err
			}
		}
		time.Sleep(2 * quiet)
		for i := range 9 { // an author who never rests
			if err := change("novel", i+1); err != nil {
				return err
			}
			time.Sleep(quiet / 2)
		}
		time.Sleep(2 * quiet)
		return change("poem", 6)
	})
	if err != nil {
		return err
	}
	out.Print("restart")
	return program(ctx, out, dir, func(func(string, int) error) error {
		time.Sleep(2 * quiet)
		return nil
	})
}

// program works while the authors write.
func program(ctx context.Context, out *log.Logger, dir string, write func(change func(doc string, revision int) error) error) error {
	st, err := pebble.Open(dir, pebble.Options{}) //nolint:contextcheck // the store ends with Close
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // what was put is durable already
	d, err := duly.New(duly.Options{Store: st})
	if err != nil {
		return err
	}
	index := duly.Handle(d, "index", func(_ context.Context, a *duly.Attempt[int]) error {
		out.Printf("%s is indexed with change %d", a.Name, a.Payload)
		return nil
	})
	change := func(doc string, revision int) error {
		_, err := index.Put(ctx, doc, revision, schedule.After(quiet), duly.OnConflict(duly.Debounce(latest)))
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	if err := write(change); err != nil {
		return err
	}
	if err := d.Drain(ctx); err != nil {
		return err
	}
	return <-ended
}
