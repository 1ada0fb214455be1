// Migrating has what the pages of docs/migrating show, as a program: for each of the peers the same on duly, and then a list of what is
// scheduled. Nothing of it comes due while the program runs; the test lets four days pass.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/store/pebble"
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	home, err := os.MkdirTemp("", "duly-migrating")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home) //nolint:errcheck // a temporary directory
	st, err := pebble.Open(filepath.Join(home, "tasks"), pebble.Options{})
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // what was put is durable already
	d, err := duly.New(duly.Options{Store: st})
	if err != nil {
		return err
	}
	out := log.New(w, "", 0)
	ctx := context.Background()
	if err := pages(ctx, d, &app{out: out}); err != nil {
		return err
	}
	for t, err := range d.List(ctx, duly.Query{}) {
		if err != nil {
			return err
		}
		out.Printf("%s %s: %s", t.Kind, t.Name, t.Schedule)
	}
	return d.Close(ctx)
}

// pages does what the pages show.
func pages(ctx context.Context, d *duly.Scheduler, a *app) error {
	for _, from := range []func(context.Context, *duly.Scheduler, *app) error{fromAfterFunc, fromCron, fromGocron, fromRiver, fromAsynq} {
		if err := from(ctx, d, a); err != nil {
			return err
		}
	}
	return nil
}

// An app is what there is to be done. Its mail server is down at first.
type app struct {
	out  *log.Logger
	down int
}

func (a *app) mail(to, text string) error {
	if a.down > 0 {
		a.down--
		return errDown
	}
	a.out.Printf("mail to %s: %s", to, text)
	return nil
}

func (a *app) report(_ context.Context) error {
	a.out.Print("report")
	return nil
}

func (a *app) sync(_ context.Context, region string) error {
	a.out.Printf("sync %s", region)
	return nil
}
