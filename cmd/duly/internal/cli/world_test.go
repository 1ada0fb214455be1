package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

// A world is a daemon's inside on a socket: a scheduler on the memory store that runs commands, and the API before it. It is a real one
// on real time, because sockets and processes are; its tests wait for what they expect, and never for a time to pass.
type world struct {
	*testing.T

	d       *duly.Scheduler
	dir     string
	outputs *target.Outputs
	handler http.Handler
	srv     *http.Server
	served  chan error
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("what the tests run are lines of a Unix shell")
	}
	dir, err := os.MkdirTemp("", "duly") //nolint:usetesting // that of a test is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	w := &world{T: t, dir: dir}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if w.outputs, err = target.OpenOutputs(filepath.Join(dir, "output"), target.OutputOptions{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	if w.d, err = duly.New(duly.Options{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	duly.Handle(w.d, target.KindCommand, target.Commands(target.CommandOptions{Outputs: w.outputs, Logger: quiet}))
	duly.Handle(w.d, target.KindHTTP, target.Callbacks(target.CallbackOptions{Outputs: w.outputs, Allow: target.Addresses{Private: true}}))
	w.handler = api.New(w.d, api.Options{Commands: true, Callbacks: true, Outputs: w.outputs, Defaults: target.Defaults, Version: "test", Logger: quiet})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- w.d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
		if err := errors.Join(w.d.Close(context.WithoutCancel(t.Context())), w.outputs.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	w.serve()
	t.Cleanup(func() {
		if w.srv != nil {
			w.hangUp()
		}
	})
	return w
}

func (w *world) socket() string { return filepath.Join(w.dir, "duly.sock") }

// serve lets the world be reached.
func (w *world) serve() {
	w.Helper()
	var listen net.ListenConfig
	l, err := listen.Listen(w.Context(), "unix", w.socket())
	if err != nil {
		w.Fatal(err)
	}
	if err := os.Chmod(w.socket(), 0o600); err != nil {
		w.Fatal(err)
	}
	w.srv = &http.Server{Handler: w.handler, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	w.served = make(chan error, 1)
	go func() { w.served <- w.srv.Serve(l) }()
}

// hangUp cuts all connections, and lets the world not be reached any more. What is in it goes on.
func (w *world) hangUp() {
	w.Helper()
	if err := w.srv.Close(); err != nil {
		w.Error(err)
	}
	if err := <-w.served; !errors.Is(err, http.ErrServerClosed) {
		w.Error(err)
	}
	w.srv = nil
}

// process is the command with these arguments as a process of the world.
func (w *world) process(args ...string) Process {
	return Process{
		Args: args, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard, Now: time.Now, Local: time.UTC,
		Environ: []string{"DULY_DATA=" + w.dir},
	}
}

// run runs a command in the world.
func (w *world) run(args ...string) (stdout, stderr string, status int) {
	w.Helper()
	var out, errs strings.Builder
	p := w.process(args...)
	p.Stdout, p.Stderr = &out, &errs
	status = Run(p)
	return out.String(), errs.String(), status
}

// ok runs a command that succeeds without a word on standard error, and returns what it prints.
func (w *world) ok(args ...string) string {
	w.Helper()
	stdout, stderr, status := w.run(args...)
	if status != exitOK || stderr != "" {
		w.Fatalf("duly %q: status %d, standard error %q, standard output %q", args, status, stderr, stdout)
	}
	return stdout
}

// put puts a task over the API.
func (w *world) put(name string, spec api.Spec) {
	w.Helper()
	s := newSession(w.process())
	c, err := s.connect()
	if err != nil {
		w.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Put(w.Context(), name, spec); err != nil {
		w.Fatal(err)
	}
}

// later is a spec of a command that is due in an hour.
func later(args ...string) api.Spec {
	hour := api.Duration(time.Hour)
	return api.Spec{Command: &target.Command{Args: args}, In: &hour}
}

// now is a spec of a shell line that is due at once.
func now(line string) api.Spec {
	none := api.Duration(0)
	return api.Spec{Command: &target.Command{Shell: line}, In: &none}
}
