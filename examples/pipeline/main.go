// A shell pipeline with a hard limit: when the time is up, all of its processes are ended, and none is left behind.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"os"
	"time"

	"github.com/dulyhq/duly/proc"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	out := log.New(w, "", 0)

	// One that ends in time. What comes from elsewhere is an argument of the shell, not part of its program.
	r, err := proc.Run(ctx, proc.Spec{
		Args:    proc.Shell(`printf 'pear\napple\nplum\n' | grep "$1" | sort`, "p[le]"),
		Timeout: time.Minute,
	})
	if err != nil {
		return err
	}
	out.Printf("exit status %d, and it printed %q", r.Code, r.Stdout.String())

	// One that would run for ever. The limit covers the whole pipeline, and the reading of what it prints.
	r, err = proc.Run(ctx, proc.Spec{
		Args:    proc.Shell(`yes "much ado" | grep nothing`),
		Timeout: time.Second / 2,
		Grace:   time.Second,
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(errors.New("it ended before its time"), err)
	}
	out.Printf("%v; it printed %q", err, r.Stdout.String())

	// Two processes that sleep: the shell is not waited for alone.
	_, err = proc.Run(ctx, proc.Spec{Args: proc.Shell("sleep 60 | sleep 60"), Timeout: time.Second / 4})
	if !errors.Is(err, proc.ErrTimeout) {
		return errors.Join(errors.New("it ended before its time"), err)
	}
	out.Print(err)
	return nil
}
