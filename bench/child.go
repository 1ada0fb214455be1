package main

import (
	"bufio"
	"encoding/json"
	"io"
	"time"

	"github.com/dulyhq/duly/bench/runs"
)

// childVariable is the environment variable that makes the program a child: it carries the childSpec.
const childVariable = "DULY_BENCH_CHILD"

// childSpec tells a child which cell it is.
type childSpec struct {
	Line   string        `json:"line"`
	Engine string        `json:"engine"`
	N      int           `json:"n"`
	Quick  bool          `json:"quick"`
	Sample time.Duration `json:"sample"`
	Budget time.Duration `json:"budget"`

	Profile string `json:"profile,omitempty"` // file for a CPU profile of the samples
}

// childReply is one line of a child's output: the first says that the cell is filled, each further one is a sample.
type childReply struct {
	Pending int    `json:"pending"`
	Values  values `json:"values,omitempty"`
}

// childMain fills a cell, then takes a sample for every line that it reads, until its input ends. It returns the exit code.
func childMain(text string, in io.Reader, out, errs io.Writer) int {
	var spec childSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		runs.Progress{W: errs}.Printf("bench child: read spec: %v\n", err)
		return 2
	}
	l, okLine := findLine(spec.Line)
	e, okEngine := findEngine(spec.Engine)
	if !okLine || !okEngine || e.create == nil {
		runs.Progress{W: errs}.Printf("bench child: no line %q on engine %q\n", spec.Line, spec.Engine)
		return 2
	}
	c := newCell(spec, l, e)
	l.setup(c)
	answer := json.NewEncoder(out)
	runs.Must("answer", answer.Encode(childReply{Pending: c.pending}))
	defer runs.Profile(spec.Profile)()
	for orders := bufio.NewScanner(in); orders.Scan(); {
		v := l.sample(c)
		runs.Must("answer", answer.Encode(childReply{Pending: c.pending, Values: v}))
	}
	// No Close: taking ten million timers down by hand would only delay the next cell.
	return 0
}
