// An outbox with retries: what is to be sent is put before an order is confirmed, and sent as often as it takes. What can't be sent is
// kept, and sent again when somebody has seen to it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/pebble"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// A message is what is to be sent.
type message struct{ To, Text string }

func run(ctx context.Context, w io.Writer) error {
	out := log.New(w, "", 0)
	home, err := os.MkdirTemp("", "duly-outbox")
	if err != nil {
		return err
	}
	defer os.RemoveAll(home)                                               //nolint:errcheck // a temporary directory
	st, err := pebble.Open(filepath.Join(home, "tasks"), pebble.Options{}) //nolint:contextcheck // the store ends with Close
	if err != nil {
		return err
	}
	defer st.Close() //nolint:errcheck // what was put is durable already

	var open sync.WaitGroup // messages that are neither sent nor dead
	post := &postOffice{known: map[string]bool{"ada": true, "bob": true}, strikes: 2}
	d, err := duly.New(duly.Options{Store: st, Workers: 1, OnDead: func(_ context.Context, d duly.Death) {
		out.Printf("%s is dead at attempt %d: %s", d.Name, d.Attempts, d.Reason)
		open.Done()
	}})
	if err != nil {
		return err
	}
	outbox := duly.Handle(d, "send", func(_ context.Context, a *duly.Attempt[message]) error {
		err := post.send(a.Payload) // which knows by a.RunID what it has sent already
		if err == nil {
			open.Done()
		}
		out.Printf("%s to %s, attempt %d: %v", a.Name, a.Payload.To, a.Number, err)
		return err
	}, duly.Defaults(duly.Retry(duly.RetryPolicy{Attempts: 5, Backoff: 50 * time.Millisecond})))

	order := func(id, customer string) error {
		open.Add(1)
		_, err := outbox.Put(ctx, "order-"+id, message{customer, "thank you"}, schedule.After(0))
		return err // nil: it is as safe as the disk, and the order can be confirmed
	}
	for _, o := range [][2]string{{"1", "ada"}, {"2", "cy"}, {"3", "bob"}} {
		if err := order(o[0], o[1]); err != nil {
			return err
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	open.Wait()

	post.know("cy")
	open.Add(1)
	n, err := d.Redrive(ctx, duly.Query{Kind: "send"})
	if err != nil {
		return err
	}
	out.Printf("cy is known now: %d tried again", n)
	open.Wait()
	if err := d.Drain(ctx); err != nil {
		return err
	}
	return <-ended
}

// A postOffice is on strike at first.
type postOffice struct {
	mu      sync.Mutex
	known   map[string]bool
	strikes int
}

var errStrike = errors.New("strike")

func (p *postOffice) send(m message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.known[m.To]:
		return duly.Permanent(fmt.Errorf("%s has no address", m.To))
	case m.To == "ada" && p.strikes > 0:
		p.strikes--
		return errStrike
	}
	return nil
}

func (p *postOffice) know(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[name] = true
}
