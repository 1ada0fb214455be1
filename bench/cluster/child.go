package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"time"

	"github.com/dulyhq/duly/bench/figures"
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
	c := new(cell)
	err := json.Unmarshal([]byte(text), &c.spec)
	if err == nil {
		var errLine, errEngine error
		c.line, errLine = findLine(c.spec.Line)
		c.eng, errEngine = findEngine(c.spec.Engine)
		err = errors.Join(errLine, errEngine)
	}
	if err != nil {
		progress{errs}.printf("cluster child: read spec: %v\n", err)
		return 2
	}
	if c.spec.Profile != "" && c.spec.Base == 0 {
		f, err := os.Create(c.spec.Profile)
		must("create profile", err)
		must("start profile", pprof.StartCPUProfile(f))
		defer func() {
			pprof.StopCPUProfile()
			must("close profile", f.Close())
		}()
	}
	work := c.line.work
	if c.spec.Base != 0 {
		work = putAhead
	}
	must("answer", json.NewEncoder(out).Encode(childReply{Values: work(c)}))
	return 0
}

// runChild runs a process of one sample to its end.
func runChild(ctx context.Context, self string, spec childSpec) (values, error) {
	cmd := exec.CommandContext(ctx, self)
	cmd.Stderr = os.Stderr
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("write spec: %w", err)
	}
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	var reply childReply
	if err := json.Unmarshal(out, &reply); err != nil {
		return nil, fmt.Errorf("read reply: %w", err)
	}
	return reply.Values, nil
}

func (c *cell) open() engine {
	e, err := c.eng.open(c.spec.address(), c.line.callers)
	must("open", err)
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

// must ends the child with a stack: there is nothing to measure on a broken engine.
func must(what string, err error) {
	if err != nil {
		panic(fmt.Sprintf("cluster: %s: %v", what, err))
	}
}
