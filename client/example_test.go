package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

// A client needs the address of a process that serves package api: here a scheduler of the example's own, elsewhere the daemon's socket,
// which `duly serve` prints.
func Example() {
	d, err := duly.New(duly.Options{})
	if err != nil {
		log.Fatal(err)
	}
	duly.Handle(d, "brew", func(_ context.Context, a *duly.Attempt[string]) error {
		fmt.Println("brewing", a.Payload)
		return nil
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	srv := httptest.NewServer(api.New(d, api.Options{}))

	c, err := client.New(client.Options{URL: srv.URL})
	if err != nil {
		log.Fatal(err)
	}
	e, err := c.Put(ctx, "tea", api.Spec{Kind: "brew", Payload: json.RawMessage(`"green"`), Schedule: "in 100ms"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Name, "is", e.Outcome)
	end, err := c.Await(ctx, "tea", e.Generation)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(end.Name, "is", end.To)
	_, err = c.Get(ctx, "coffee")
	fmt.Println("coffee:", errors.Is(err, duly.ErrNotFound))

	c.Close()
	srv.Close()
	stop()
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
	// Output:
	// tea is created
	// brewing green
	// tea is done
	// coffee: true
}
