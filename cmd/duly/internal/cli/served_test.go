package cli

import (
	"context"
	"errors"
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
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/target"
)

// A served is what the command line talks to: the API on a socket, before a scheduler in memory that runs commands.
type served struct {
	*testing.T

	socket string
	dir    string // the only directory in the PATH of what is run
	d      *duly.Scheduler
	now    func() time.Time
}

// serve starts one whose time is that of the clock.
func serve(t *testing.T, clk clock.Clock) *served {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the programs that the tests run are lines of a Unix shell")
	}
	quiet := slog.New(slog.DiscardHandler)
	dir := t.TempDir()
	outputs, err := target.OpenOutputs(filepath.Join(dir, "output"), target.OutputOptions{Logger: quiet, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	d, err := duly.New(duly.Options{Logger: quiet, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	duly.Handle(d, target.KindCommand, target.Commands(target.CommandOptions{Outputs: outputs, Logger: quiet}))
	socketDir, err := os.MkdirTemp("", "duly") //nolint:usetesting // that of a test is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	s := &served{T: t, socket: filepath.Join(socketDir, "s"), dir: filepath.Join(dir, "bin"), d: d}
	s.now = func() time.Time { return time.Unix(0, clk.Read().Wall) }
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	h := api.New(d, api.Options{Outputs: outputs, Commands: true, Callbacks: true, Defaults: target.Defaults, Logger: quiet, Clock: clk})
	srv := &http.Server{Handler: h}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 2)
	go func() { ended <- d.Run(ctx) }()
	go func() { ended <- srv.Serve(ln) }()
	t.Cleanup(func() {
		cancel()
		err := srv.Close()
		for range 2 {
			if e := <-ended; !errors.Is(e, http.ErrServerClosed) && !errors.Is(e, context.Canceled) {
				err = errors.Join(err, e)
			}
		}
		if err := errors.Join(err, outputs.Close(), os.RemoveAll(socketDir)); err != nil {
			t.Errorf("stop serving: %v", err)
		}
	})
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// program puts a shell script into the PATH.
func (s *served) program(name, script string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		s.Fatal(err)
	}
}

// run is a run of the command against it.
func (s *served) run(args ...string) (stdout, stderr string, status int) {
	s.Helper()
	var out, err strings.Builder
	status = Run(Process{
		Args: args, Stdin: strings.NewReader("from here\n"), Stdout: &out, Stderr: &err, Now: s.now, Local: time.UTC,
		Environ: []string{"DULY_SOCKET=" + s.socket, "PATH=" + s.dir, "HOME=/home/u", "LANG=C.UTF-8", "SECRET=x", "TZ=UTC"},
	})
	return out.String(), err.String(), status
}

// ok is a run that succeeds and says nothing on standard error.
func (s *served) ok(args ...string) string {
	s.Helper()
	stdout, stderr, status := s.run(args...)
	if status != exitOK || stderr != "" {
		s.Fatalf("duly %q: status %d, %s%s", args, status, stdout, stderr)
	}
	return stdout
}
