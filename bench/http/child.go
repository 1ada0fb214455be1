package main

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/dulyhq/duly/bench/runs"
)

// childVariable is the environment variable that makes the program a child: it carries the childSpec.
const childVariable = "DULY_HTTP_BENCH_CHILD"

// childSpec tells a child which sample it is, or that it is a sink.
type childSpec struct {
	Line    string `json:"line,omitempty"`
	Engine  string `json:"engine,omitempty"`
	Dir     string `json:"dir,omitempty"`
	Daemon  string `json:"daemon,omitempty"` // the binary
	N       int    `json:"n,omitempty"`
	Quick   bool   `json:"quick,omitempty"`
	Profile string `json:"profile,omitempty"` // file for a CPU profile of the daemon

	Sink int `json:"sink,omitempty"` // the child is a sink for so many callbacks
}

// A cell is a child at work.
type cell struct {
	spec childSpec
	line line
	ctx  context.Context //nolint:containedctx // it ends when the child is asked to

	called []time.Duration // how long calls took, sorted
}

// childMain takes one sample, or is a sink, and returns the exit code.
func childMain(text string, in io.Reader, out, errs io.Writer) int {
	var spec childSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		runs.Progress{W: errs}.Printf("http child: read spec: %v\n", err)
		return 2
	}
	if spec.Sink > 0 {
		signal.Ignore(os.Interrupt) // it ends when its input does
		runs.Must("be a sink", sinkMain(spec.Sink, in, out))
		return 0
	}
	l, ok := findLine(spec.Line)
	if !ok {
		runs.Progress{W: errs}.Printf("http child: no line %q\n", spec.Line)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	runs.Must("answer", json.NewEncoder(out).Encode(l.work(&cell{spec: spec, line: l, ctx: ctx})))
	return 0
}
