package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/target"
)

// TestAwait: a task is followed through what becomes of it, to its own end and no other's.
func TestAwait(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steer func(ctx context.Context, c *client.Client) error // after it was put, due in an hour
		want  string                                            // the state
		verb  string
	}{
		{"moved", func(ctx context.Context, c *client.Client) error {
			_, err := c.Move(ctx, "tea", schedule.After(0))
			return err
		}, "done", "settle"},
		{"moved twice", func(ctx context.Context, c *client.Client) error {
			_, err := c.Move(ctx, "tea", schedule.After(2*time.Hour))
			return errors.Join(err, c.RunNow(ctx, "tea"))
		}, "done", "settle"},
		{"paused and resumed", func(ctx context.Context, c *client.Client) error {
			_, perr := c.PauseTask(ctx, "tea", "a while")
			_, rerr := c.ResumeTask(ctx, "tea")
			return errors.Join(perr, rerr, c.RunNow(ctx, "tea"))
		}, "done", "settle"},
		{"cancelled", func(ctx context.Context, c *client.Client) error {
			_, err := c.Cancel(ctx, "tea")
			return err
		}, "cancelled", "cancel"},
		{"replaced", func(ctx context.Context, c *client.Client) error {
			_, err := c.Put(ctx, "tea", note("fail", "in 0s"))
			return err
		}, "cancelled", "put"},
		{"moved and replaced", func(ctx context.Context, c *client.Client) error {
			_, merr := c.Move(ctx, "tea", schedule.After(2*time.Hour))
			_, err := c.Put(ctx, "tea", note("any", "in 0s"))
			return errors.Join(merr, err)
		}, "cancelled", "put"},
	} {
		for _, when := range []string{"before", "after"} { // it is asked for
			t.Run(tt.name+", "+when, func(t *testing.T) {
				h := newHouse(t)
				c := ways["unix"](t, api.New(h.d, api.Options{}))
				ctx := t.Context()
				other := of(c.In("other").Put(ctx, "tea", note("any", "in 0s"))).must(t)
				of(c.In("other").Await(ctx, "tea", other.Generation)).must(t)
				e := of(c.Put(ctx, "tea", note("any", "in 1h"))).must(t)
				steered := make(chan error, 1)
				if when == "before" {
					steered <- tt.steer(ctx, c)
				} else {
					go func() { steered <- tt.steer(ctx, c) }()
				}
				ev := of(c.Await(ctx, "tea", e.Generation)).must(t)
				if ev.To != tt.want || ev.Verb != tt.verb || ev.Namespace != "" || ev.Generation < e.Generation {
					t.Errorf("it has ended by %+v, want %s by %s", ev, tt.want, tt.verb)
				}
				if err := <-steered; err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// TestAwait_Nothing: what can't end is an error, not a wait for ever.
func TestAwait_Nothing(t *testing.T) {
	h := newHouse(t)
	c := ways["unix"](t, api.New(h.d, api.Options{}))
	ctx := t.Context()
	e := of(c.Put(ctx, "tea", note("any", "in 0s"))).must(t)
	of(c.Await(ctx, "tea", e.Generation)).must(t)
	if _, err := c.Await(ctx, "nobody", 7); !errors.Is(err, duly.ErrNotFound) {
		t.Errorf("nobody: %v, want ErrNotFound", err)
	}
	if _, err := c.Await(ctx, "tea", e.Generation+1); !errors.Is(err, duly.ErrFinished) {
		t.Errorf("a generation that never was: %v, want ErrFinished", err)
	}
	if _, err := c.Await(ctx, "tea", 0); !errors.Is(err, duly.ErrFinished) {
		t.Errorf("what is to end next: %v, want ErrFinished", err)
	}
	cause := errors.New("enough")
	enough, cancel := context.WithCancelCause(ctx)
	later := of(c.Put(ctx, "later", note("any", "in 1h"))).must(t)
	go cancel(cause)
	if _, err := c.Await(enough, "later", later.Generation); !errors.Is(err, cause) {
		t.Errorf("with a context that ends: %v, want its cause", err)
	}
}

// TestAwait_DaemonGoes: a daemon that is not there is an error at the beginning alone, whichever request it is whose turn has come.
func TestAwait_DaemonGoes(t *testing.T) {
	h := newHouse(t)
	handler := api.New(h.d, api.Options{})
	var asked, down atomic.Int64
	c := ways["unix"](t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == down.Load() {
			problem(http.StatusServiceUnavailable, "unavailable")(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	ctx := t.Context()
	e := of(c.Put(ctx, "tea", note("any", "in 0s"))).must(t)
	of(c.Await(ctx, "tea", e.Generation)).must(t)
	for n := int64(1); n <= 4; n++ { // the seq, the history, the task, the events
		later := of(c.Put(ctx, "later", note("any", "in 300ms"))).must(t)
		down.Store(asked.Load() + n)
		ev, err := c.Await(ctx, "later", later.Generation)
		if n == 1 {
			if !errors.Is(err, api.ErrUnavailable) {
				t.Errorf("with none at the beginning: %v, want ErrUnavailable", err)
			}
			continue
		}
		if err != nil || ev.To != "done" {
			t.Errorf("with request %d refused: %+v, %v", n, ev, err)
		}
	}
}

// TestAwait_Next: a generation of 0 is whatever ends next, of a recurring task too.
func TestAwait_Next(t *testing.T) {
	h := newHouse(t)
	c := ways["unix"](t, api.New(h.d, api.Options{}))
	ctx := t.Context()
	of(c.Put(ctx, "beat", note("any", "every 50ms"))).must(t)
	var last api.Event
	for range 3 {
		ev := of(c.Await(ctx, "beat", 0)).must(t)
		if ev.To != "done" && ev.To != "skipped" || ev.Seq <= last.Seq { // skipped if this machine is slow
			t.Errorf("%+v, after %+v", ev, last)
		}
		last = ev
	}
	if seq := of(c.Seq(ctx)).must(t); seq < last.Seq {
		t.Errorf("the newest entry is %d, want %d or later", seq, last.Seq)
	}
}

// TestClient_Output: what a command prints comes while it is followed, and is there afterwards. The command is this program.
func TestClient_Output(t *testing.T) {
	h := newHouse(t)
	quiet := slog.New(slog.DiscardHandler)
	out, err := target.OpenOutputs(t.TempDir(), target.OutputOptions{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	})
	duly.Handle(h.d, target.KindCommand, target.Commands(target.CommandOptions{Outputs: out, Logger: quiet}))
	c := ways["unix"](t, api.New(h.d, api.Options{Commands: true, Outputs: out}))
	ctx := t.Context()
	now := api.Duration(0)
	e := of(c.Put(ctx, "tests", api.Spec{Command: &target.Command{Args: []string{os.Args[0], "-test.run=^$"}}, In: &now})).must(t)
	for { // until it has begun
		_, err := c.Attempts(ctx, "tests", 1)
		if err == nil {
			as := of(c.Attempts(ctx, "tests", 0)).must(t)
			if len(as) == 1 {
				break
			}
		} else if !errors.Is(err, duly.ErrNotFound) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	followed := text(t, c, "tests", "", 0, true)
	if !strings.Contains(followed, "PASS") {
		t.Errorf("it printed %q, want that it passes", followed)
	}
	if ev := of(c.Await(ctx, "tests", e.Generation)).must(t); ev.To != "done" {
		t.Errorf("it has ended by %+v", ev)
	}
	as := of(c.Attempts(ctx, "tests", 0)).must(t)
	if len(as) != 1 || as[0].Attempt != 1 || as[0].ExitCode == nil || *as[0].ExitCode != 0 || as[0].Bytes != int64(len(followed)) {
		t.Fatalf("attempts: %+v", as)
	}
	if got := text(t, c, "tests", as[0].RunID, 1, false); got != followed {
		t.Errorf("afterwards it printed %q, before %q", got, followed)
	}
	for _, err := range c.Output(ctx, "nobody", "", 0, true) {
		if !errors.Is(err, duly.ErrNotFound) {
			t.Errorf("of nobody: %v, want ErrNotFound", err)
		}
	}
}

// text returns what an attempt has printed.
func text(t *testing.T, c *client.Client, name, runID string, attempt int, follow bool) string {
	t.Helper()
	var b strings.Builder
	for chunk, err := range c.Output(t.Context(), name, runID, attempt, follow) {
		b.WriteString(of(chunk, err).must(t).Text)
	}
	return b.String()
}
