package main

import (
	"bufio"
	"context"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store/pebble"
)

// epoch is when the test's first child works, which stands still there as in the others.
var epoch = time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC)

// The test's program is the example, too, if it is told where to keep its tasks; and if it is told so, it is two hours later there. It
// works until its input ends, or it is killed.
func TestMain(m *testing.M) {
	dir := os.Getenv("DULY_REMINDERS")
	if dir == "" {
		os.Exit(m.Run())
	}
	c := clock.NewManual(epoch)
	if os.Getenv("DULY_LATER") != "" {
		c = clock.NewManual(epoch.Add(2 * time.Hour))
	}
	po, o := pebble.Options{MinFree: -1, Clock: c}, duly.Options{Clock: c}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	if err := run(ctx, os.Stdout, dir, os.Args[1:], po, o); err != nil {
		log.Fatal(err)
	}
}

// A reminder whose process is killed comes when the program is started again, and not again when that has ended in peace.
//
// contract: A1, C4.
func TestKilled(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tasks")
	c := start(t, dir, []string{"tea", "1h"})
	c.says("pending: tea", "interrupt me")
	c.kill()

	c = start(t, dir, nil, "DULY_LATER=1")
	c.says("pending: tea", "interrupt me", "reminder: tea, 1h0m0s late")
	c.end()

	c = start(t, dir, []string{"milk", "1h"}, "DULY_LATER=1")
	c.says("pending: milk", "interrupt me")
	c.end()
	if strings.Contains(c.said, "tea") {
		t.Errorf("the reminder had come, and the program says\n%s", c.said)
	}
}

// A child is the example as a process of its own.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	in   io.Closer
	out  *bufio.Scanner
	said string
}

func start(t *testing.T, dir string, args []string, env ...string) *child {
	t.Helper()
	c := &child{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], args...)}
	c.cmd.Env = append(append(os.Environ(), "DULY_REMINDERS="+dir), env...)
	c.cmd.Stderr = os.Stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewScanner(out)
	return c
}

// says waits until the child has said the lines, of which the beginnings are given, among others.
func (c *child) says(lines ...string) {
	c.t.Helper()
	for len(lines) > 0 {
		if !c.out.Scan() {
			c.t.Fatalf("the program ended before it said %q: %v; it said\n%s", lines[0], c.out.Err(), c.said)
		}
		c.said += c.out.Text() + "\n"
		if strings.HasPrefix(c.out.Text(), lines[0]) {
			lines = lines[1:]
		}
	}
}

// kill is kill -9.
func (c *child) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatalf("kill: %v", err)
	}
	if err := c.cmd.Wait(); err == nil {
		c.t.Fatal("the program ended in peace before it was killed")
	}
}

// end ends the program's input, and waits until it has ended.
func (c *child) end() {
	c.t.Helper()
	if err := c.in.Close(); err != nil {
		c.t.Error(err)
	}
	for c.out.Scan() {
		c.said += c.out.Text() + "\n"
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the program ended with %v", err)
	}
}
