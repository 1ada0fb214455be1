package main

import (
	"encoding/json"
	"io"
	"time"

	"github.com/dulyhq/duly/bench/runs"
)

// childVariable is the environment variable that makes the program a child: it carries the childSpec.
const childVariable = "DULY_DURABLE_BENCH_CHILD"

// childSpec tells a child which sample it is.
type childSpec struct {
	Line   string        `json:"line"`
	Engine string        `json:"engine"`
	Where  string        `json:"where"` // a directory, or where the server listens
	N      int           `json:"n"`
	Budget time.Duration `json:"budget"` // for what is late; the sample is cut where it ends
	Quick  bool          `json:"quick,omitempty"`

	Endure *endureSpec `json:"endure,omitempty"` // the child is a part of the endurance run instead

	Profile string `json:"profile,omitempty"` // file for a CPU profile
}

// cell is a child at work.
type cell struct {
	spec childSpec
	line line
	eng  engineSpec
}

// childMain takes one sample and returns the exit code.
func childMain(text string, out, errs io.Writer) int {
	var spec childSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		runs.Progress{W: errs}.Printf("durable child: read spec: %v\n", err)
		return 2
	}
	defer runs.Profile(spec.Profile)()
	if spec.Endure != nil {
		endure(spec.Where, spec.Endure, json.NewEncoder(out))
		return 0
	}
	l, okLine := findLine(spec.Line)
	e, okEngine := findEngine(spec.Engine)
	if !okLine || !okEngine {
		runs.Progress{W: errs}.Printf("durable child: no line %q on engine %q\n", spec.Line, spec.Engine)
		return 2
	}
	c := &cell{spec: spec, line: l, eng: e}
	runs.Must("answer", json.NewEncoder(out).Encode(l.work(c)))
	return 0
}

func (c *cell) open() engine {
	e, err := c.eng.open(c.spec.Where)
	runs.Must("open", err)
	return e
}
