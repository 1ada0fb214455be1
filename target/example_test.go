//go:build unix

package target_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/target"
)

// A command is put as data, and run where its kind is handled. What it printed is kept, also when it has failed.
func ExampleCommands() {
	dir, err := os.MkdirTemp("", "output")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // of an example
	outputs, err := target.OpenOutputs(dir, target.OutputOptions{})
	if err != nil {
		panic(err)
	}
	defer outputs.Close() //nolint:errcheck // of an example
	d, err := duly.New(duly.Options{})
	if err != nil {
		panic(err)
	}
	commands := duly.Handle(d, target.KindCommand, target.Commands(target.CommandOptions{Outputs: outputs}),
		duly.Defaults(target.Defaults(target.KindCommand)...))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()

	c := target.Command{Shell: `echo "brewing $DULY_NAME for $WHO"`, Env: map[string]string{"WHO": "two"}}
	if _, err := commands.Put(ctx, "tea", c, schedule.After(10*time.Millisecond)); err != nil {
		panic(err)
	}
	for e, err := range d.Events(ctx, 0) {
		if err != nil {
			panic(err)
		}
		fmt.Println(e.Name, "is", e.To)
		break
	}
	attempts, err := outputs.Attempts(ctx, "", "tea", 1)
	if err != nil {
		panic(err)
	}
	a := attempts[0]
	for c, err := range outputs.Chunks(ctx, "", "tea", a.RunID, a.Number, false) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s: %s", c.Stream, c.Data)
	}
	fmt.Println("status", *a.ExitCode)
	cancel()
	if err := <-done; err != nil {
		panic(err)
	}
	// Output:
	// tea is done
	// stdout: brewing tea for two
	// status 0
}

// A callback is signed with every live secret, and has the run's id as its idempotency key.
func ExampleCallbacks() {
	key, err := target.ParseSecret("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	if err != nil {
		panic(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.Header.Get("Idempotency-Key"), len(r.Header.Get("Webhook-Signature")))
	}))
	defer s.Close()
	handler := target.Callbacks(target.CallbackOptions{
		Secrets: func() [][]byte { return [][]byte{key} },
		Allow:   target.Addresses{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, // or Private: true
	})
	info := &duly.AttemptInfo{Name: "tea", RunID: "tea@1@1700000000000000000", Number: 1}
	fmt.Println(handler(context.Background(), &duly.Attempt[target.Callback]{AttemptInfo: info, Payload: target.Callback{URL: s.URL}}))
	// Output:
	// POST tea@1@1700000000000000000 47
	// <nil>
}

func ExampleParseDuration() {
	for _, s := range []string{"1m30s", "PT1M30S", "P1DT2H", "90"} {
		fmt.Println(target.ParseDuration(s))
	}
	// Output:
	// 1m30s <nil>
	// 1m30s <nil>
	// 26h0m0s <nil>
	// 0s target: duration is "90", want a duration as "1m30s" or "PT1M30S", with a unit
}

// What is shown of a command has no secret in it.
func ExampleCommand_Redacted() {
	c := target.Command{Args: []string{"deploy"}, Env: map[string]string{"DEPLOY_TOKEN": "hush", "STAGE": "test"}}
	fmt.Println(c.Redacted().Env)
	fmt.Println(c)
	// Output:
	// map[DEPLOY_TOKEN:[redacted] STAGE:test]
	// {"args":["deploy"],"env":{"DEPLOY_TOKEN":"[redacted]","STAGE":"test"}}
}
