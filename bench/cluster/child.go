package main

import (
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// childVariable is the environment variable that makes the program a child: it carries the childSpec.
const childVariable = "DULY_CLUSTER_BENCH_CHILD"

// childSpec tells a child which sample it is.
type childSpec struct {
	Line     string        `json:"line"`
	Engine   string        `json:"engine"`
	Server   string        `json:"server"`   // a connection string that lacks the database
	Database string        `json:"database"` // of this sample
	PID      int           `json:"pid"`      // of the server's first process
	Log      string        `json:"log"`      // the server's
	N        int           `json:"n"`
	Budget   time.Duration `json:"budget"` // for what is late; the sample is cut where it ends
	Quick    bool          `json:"quick,omitempty"`

	Base int64 `json:"base,omitempty"` // the child is the second process of a sample, which puts; when the first task is due: nanoseconds since 1970

	Profile string `json:"profile,omitempty"` // file for a CPU profile
}

// address is where the sample's database is.
func (s *childSpec) address() string { return s.Server + " dbname=" + s.Database }

// cell is a child at work.
type cell struct {
	spec childSpec
	line line
	eng  engineSpec
}

// childMain takes one sample and returns the exit code.
func childMain(text string, out, errs io.Writer) int {
	c := new(cell)
	err := json.Unmarshal([]byte(text), &c.spec)
	if err == nil {
		var errLine, errEngine error
		c.line, errLine = findLine(c.spec.Line)
		c.eng, errEngine = findEngine(c.spec.Engine)
		err = errors.Join(errLine, errEngine)
	}
	if err != nil {
		runs.Progress{W: errs}.Printf("cluster child: read spec: %v\n", err)
		return 2
	}
	if c.spec.Base == 0 {
		defer runs.Profile(c.spec.Profile)()
	}
	work := c.line.work
	if c.spec.Base != 0 {
		work = putAhead
	}
	runs.Must("answer", json.NewEncoder(out).Encode(work(c)))
	return 0
}

func (c *cell) open() engine {
	e, err := c.eng.open(c.spec.address(), c.line.callers)
	runs.Must("open", err)
	return e
}

// A meter is what both sides had used at an instant.
type meter struct {
	client figures.Cost
	server time.Duration
}

func (c *cell) meter() meter {
	server, _ := figures.TreeCPU(c.spec.PID) // 0 where the system does not tell
	return meter{figures.ReadCost(), server}
}

// since gives the figures of n tasks since b.
func (m meter) since(b meter, n int) values {
	spent := m.client.Since(b.client)
	return values{
		keyRate: float64(n) / spent.Wall.Seconds(), keyClient: figures.Micros(spent.CPU) / float64(n), keyServer: figures.Micros(m.server-b.server) / float64(n),
	}
}
