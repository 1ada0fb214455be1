package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/pprof"
	"time"
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

// childReply is a child's output.
type childReply struct {
	Values values `json:"values,omitempty"`
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
		progress{errs}.printf("durable child: read spec: %v\n", err)
		return 2
	}
	if spec.Profile != "" {
		f, err := os.Create(spec.Profile)
		must("create profile", err)
		must("start profile", pprof.StartCPUProfile(f))
		defer func() {
			pprof.StopCPUProfile()
			must("close profile", f.Close())
		}()
	}
	if spec.Endure != nil {
		endure(spec.Where, spec.Endure, json.NewEncoder(out))
		return 0
	}
	l, okLine := findLine(spec.Line)
	e, okEngine := findEngine(spec.Engine)
	if !okLine || !okEngine {
		progress{errs}.printf("durable child: no line %q on engine %q\n", spec.Line, spec.Engine)
		return 2
	}
	c := &cell{spec: spec, line: l, eng: e}
	must("answer", json.NewEncoder(out).Encode(childReply{Values: l.work(c)}))
	return 0
}

func (c *cell) open() engine {
	e, err := c.eng.open(c.spec.Where)
	must("open", err)
	return e
}

// must ends the child with a stack: there is nothing to measure on a broken engine.
func must(what string, err error) {
	if err != nil {
		panic(fmt.Sprintf("durable: %s: %v", what, err))
	}
}
