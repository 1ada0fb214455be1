// Debounce: a document is saved when its author pauses, and at the latest some time after the first unsaved word.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

const (
	quiet  = 200 * time.Millisecond // save once nobody has typed for so long
	latest = 450 * time.Millisecond // but no later than this after the first unsaved word
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	out := log.New(w, "", 0)
	e := timer.New()
	var text atomic.Value
	save := timer.Plain(func() { out.Printf("saved: %q", text.Load()) })

	// Each word puts the task again, which moves it; a burst of words is saved once.
	write := func(words string, pause time.Duration) error {
		out.Printf("a word every %v", pause)
		typed := strings.Fields(words)
		for i := range typed {
			text.Store(strings.Join(typed[:i+1], " "))
			_, err := e.Put("save", schedule.After(quiet), save, timer.OnConflict(timer.Debounce(latest)))
			if err != nil {
				return err
			}
			time.Sleep(pause)
		}
		time.Sleep(2 * quiet) // a pause to think, in which the rest is saved
		return nil
	}
	if err := write("duly runs things later", 10*time.Millisecond); err != nil {
		return err
	}
	if err := write("one who never rests is saved from time to time", 100*time.Millisecond); err != nil {
		return err
	}
	_, err := e.Close(ctx)
	return err
}
