// Reminders that survive a restart: put one, kill the program with -9, start it again, and see it come.
//
//	go run ./examples/durable/reminders tea 20s    puts a reminder, and works until it is ended
//	go run ./examples/durable/reminders            works on what was put before
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/pebble"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir := filepath.Join(os.TempDir(), "duly-reminders")
	if err := run(ctx, os.Stdout, dir, os.Args[1:], pebble.Options{}, duly.Options{}); err != nil {
		log.Fatal(err) //nolint:gocritic // nothing is left to stop
	}
}

func run(ctx context.Context, w io.Writer, dir string, args []string, po pebble.Options, o duly.Options) error {
	if len(args) != 0 && len(args) != 2 {
		return fmt.Errorf("arguments are %q, want none, or a name and a delay such as: tea 20s", args)
	}
	out := log.New(w, "", 0)
	st, err := pebble.Open(dir, po) //nolint:contextcheck // the store ends with Close
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // what was put is durable already
	o.Store = st
	d, err := duly.New(o)
	if err != nil {
		return err
	}
	remind := duly.Handle(d, "remind", func(_ context.Context, a *duly.Attempt[string]) error {
		out.Printf("reminder: %s, %v late", a.Payload, a.Started.Sub(a.Due).Round(time.Second))
		return nil
	})
	if len(args) == 2 {
		in, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		if _, err := remind.Put(ctx, args[0], args[0], schedule.After(in)); err != nil {
			return err
		}
	}
	for t, err := range d.List(ctx, duly.Query{}) {
		if err != nil {
			return err
		}
		out.Printf("pending: %s, %s", t.Name, t.Schedule)
	}
	out.Printf("interrupt me, or kill -9 %d", os.Getpid())
	return d.Run(ctx)
}
