// A nightly report, by a machine that is not always on: what was missed is caught up, as far as anybody wants it.
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

const day = 200 * time.Millisecond // of the story

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, w io.Writer) error {
	home, err := os.MkdirTemp("", "duly-report")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home) //nolint:errcheck // a temporary directory
	m := machine{out: log.New(w, "", 0), dir: filepath.Join(home, "tasks"), begun: time.Now()}
	if err := m.on(ctx, 3*day+day/2); err != nil {
		return err
	}
	m.out.Print("the machine is off for five nights")
	time.Sleep(5 * day)
	return m.on(ctx, 2*day)
}

type machine struct {
	out   *log.Logger
	dir   string
	begun time.Time
}

// on is the program as it would be: it opens the store, says what is to be done, as it does at each start, and works until it is ended.
func (m *machine) on(ctx context.Context, uptime time.Duration) error {
	st, err := pebble.Open(m.dir, pebble.Options{}) //nolint:contextcheck // the store ends with Close
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // what was put is durable already
	d, err := duly.New(duly.Options{Store: st})
	if err != nil {
		return err
	}
	report := duly.Handle(d, "report", func(_ context.Context, a *duly.Attempt[string]) error {
		m.out.Printf("%s: night %d, %d before it left out", a.Payload, a.ScheduledFor.Sub(m.begun).Round(day)/day, a.Missed)
		return nil
	})
	// In earnest this is schedule.Cron("0 3 * * *").In("Europe/Berlin"). That it is there already changes nothing.
	_, err = report.Put(ctx, "nightly", "sales", schedule.Every(day), duly.CatchUp(duly.All(2)), duly.Window(7*day))
	if err != nil {
		return err
	}
	ctx, off := context.WithTimeout(ctx, uptime)
	defer off()
	return d.Run(ctx)
}
