//go:build clockstep

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/dulyhq/duly/clock"
)

// A test build takes steps of its clock, a line each, on the socket that this variable names, and answers each when it is done.
const stepsAt = "DULY_CLOCKSTEP"

func init() {
	path := os.Getenv(stepsAt)
	if path == "" {
		return
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the steps of the clock:", err)
		os.Exit(1)
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				d, err := time.ParseDuration(lines.Text())
				if err == nil {
					clock.Step(d)
				}
				fmt.Fprintln(conn, d, err)
			}
			_ = conn.Close()
		}
	}()
}
