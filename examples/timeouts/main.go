// Ten thousand timeouts on one engine: most are stopped in time, as most requests are answered, and the others fire.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/timer"
)

const (
	requests = 10_000
	timeout  = 500 * time.Millisecond
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	out := log.New(w, "", 0)
	e := timer.New()
	var timedOut atomic.Int64

	// A request that is sent gets a timeout. AfterFunc allocates nothing, and the handle is a value.
	pending := make([]timer.Timer, requests)
	for i := range pending {
		pending[i] = e.AfterFunc(timeout, func() { timedOut.Add(1) })
	}
	out.Printf("%d requests under way, %d timeouts pending", requests, e.Stats().Pending)

	// An answer stops it. Stop says whether it was in time; one request in a hundred is never answered.
	answered := 0
	for i, t := range pending {
		if i%100 != 0 && t.Stop() {
			answered++
		}
	}
	out.Printf("%d answered, %d timeouts pending", answered, e.Stats().Pending)

	_, err := e.Drain(ctx, timer.RunPending) // waits for the others, which are never early
	s := e.Stats()
	out.Printf("%d timed out, %d of them early, %d pending, %d running", timedOut.Load(), s.Early, s.Pending, s.Running)
	return err
}
