package main

import (
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/dulyhq/duly/bench/runs"
)

// childVariable is the environment variable that makes the program a child: it carries the childSpec.
const childVariable = "DULY_STORE_BENCH_CHILD"

// childSpec tells a child which sample it is.
type childSpec struct {
	Line   string        `json:"line"`
	Engine string        `json:"engine"`
	Dir    string        `json:"dir"`
	N      int           `json:"n"`
	Budget time.Duration `json:"budget,omitempty"` // of each part; 0 is without end
	Quick  bool          `json:"quick,omitempty"`

	// Of the lines that start.
	Prepare bool  `json:"prepare,omitempty"` // only leave a task that is due for the next process
	Kill    bool  `json:"kill,omitempty"`    // write until the end comes from outside
	Started int64 `json:"started,omitempty"` // when the parent started this process: nanoseconds since 1970

	Profile string `json:"profile,omitempty"` // file for a CPU profile
}

// childReply is one line of a child's output.
type childReply struct {
	Values values `json:"values,omitempty"`
	Busy   bool   `json:"busy,omitempty"` // it writes, and may be killed
}

// cell is a child at work.
type cell struct {
	spec childSpec
	eng  engineSpec
	out  *json.Encoder
}

// childMain takes one sample and returns the exit code.
func childMain(text string, out, errs io.Writer) int {
	var spec childSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		runs.Progress{W: errs}.Printf("store child: read spec: %v\n", err)
		return 2
	}
	l, okLine := findLine(spec.Line)
	e, okEngine := findEngine(spec.Engine)
	if !okLine || !okEngine {
		runs.Progress{W: errs}.Printf("store child: no line %q on engine %q\n", spec.Line, spec.Engine)
		return 2
	}
	defer runs.Profile(spec.Profile)()
	c := &cell{spec: spec, eng: e, out: json.NewEncoder(out)}
	c.answer(childReply{Values: l.work(c)})
	return 0
}

func (c *cell) answer(r childReply) { runs.Must("answer", c.out.Encode(r)) }

func (c *cell) open(o openOptions) engine {
	runs.Must("make directory", os.MkdirAll(c.spec.Dir, 0o700))
	e, err := c.eng.open(c.spec.Dir, o)
	runs.Must("open", err)
	return e
}

// end gives the instant at which a part of the sample is cut.
func (c *cell) end(share time.Duration) time.Time {
	if c.spec.Budget == 0 {
		return time.Time{}
	}
	return time.Now().Add(c.spec.Budget / share)
}

func nowMicros() int64 { return time.Now().UnixMicro() }
