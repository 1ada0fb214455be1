package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/wait"
)

// quietHome gives a script a directory for the daemon, the zone UTC, and nothing of whoever runs the tests. NOON names a zone in
// which it is about noon now: there a rule of every night is hours away, whenever the tests run.
func quietHome(env *testscript.Env) error {
	env.Setenv("DULY_DATA", filepath.Join(env.WorkDir, "d"))
	env.Setenv("TZ", "UTC")
	env.Setenv("NOON", fmt.Sprintf("Etc/GMT%+d", time.Now().UTC().Hour()-12))
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("GORACE", os.Getenv("GORACE")) // how long a command waits at its end when it looks for races
	env.Values[daemonKey{}] = &scriptDaemon{}
	return nil
}

// A scriptDaemon is the daemon of a script.
type scriptDaemon struct {
	cmd  *exec.Cmd // nil: it has none
	done chan error
}

// daemonKey finds the *scriptDaemon among a script's values.
type daemonKey struct{}

// daemonCommand is a command of the scripts, for a real process:
//
//	daemon start [FLAG...]   starts duly serve, on the socket only, and waits until it answers
//	daemon kill              kills it, as kill -9 does
//	daemon stop              asks it to end, and waits until it has
//
// What is still there when the script ends is killed. What it prints is in the file daemon.log.
func daemonCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: daemon start [FLAG...] | daemon kill | daemon stop")
	}
	d, _ := ts.Value(daemonKey{}).(*scriptDaemon)
	if args[0] != "start" && d.cmd == nil {
		ts.Fatalf("daemon %s: there is none", args[0])
	}
	switch args[0] {
	case "start":
		d.start(ts, args[1:])
	case "kill":
		ts.Check(d.cmd.Process.Kill())
		if err := <-d.done; err == nil {
			ts.Fatalf("the daemon has ended by itself:\n%s", ts.ReadFile("daemon.log"))
		}
		d.cmd = nil
	case "stop":
		ts.Check(d.cmd.Process.Signal(os.Interrupt))
		if err := <-d.done; err != nil {
			ts.Fatalf("the daemon has ended with %v:\n%s", err, ts.ReadFile("daemon.log"))
		}
		d.cmd = nil
	default:
		ts.Fatalf("daemon %s: want start, kill or stop", args[0])
	}
}

// start starts the daemon and waits until it is at work.
func (d *scriptDaemon) start(ts *testscript.TestScript, flags []string) {
	if d.cmd != nil {
		ts.Fatalf("daemon start: there is one already")
	}
	self, err := os.Executable()
	ts.Check(err)
	log, err := os.OpenFile(ts.MkAbs("daemon.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	defer func() { _ = log.Close() }() // the daemon has its own
	cmd := exec.Command(self, append([]string{"serve", "--listen", "none"}, flags...)...)
	cmd.Args[0] = "duly" // by which the test binary knows that it is to be the command
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "TZ", "TMPDIR", "DULY_DATA"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	d.cmd, d.done = cmd, done
	ts.Defer(func() {
		if d.cmd == cmd {
			_ = cmd.Process.Kill() // it may have ended
			ts.Logf("the daemon has ended: %v", <-done)
		}
	})
	socket, err := home.Socket(ts.Getenv("DULY_DATA"))
	ts.Check(err)
	c, err := client.New(client.Options{Socket: socket})
	ts.Check(err)
	defer c.Close()
	for c.Ready(context.Background()) != nil {
		select {
		case err := <-done:
			done <- err
			ts.Fatalf("the daemon has ended with %v:\n%s", err, ts.ReadFile("daemon.log"))
		default:
			ts.Check(wait.Sleep(context.Background(), 5*time.Millisecond))
		}
	}
}
