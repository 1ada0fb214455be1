// Package runs is what the programs of this module have in common: a parent that has every sample taken by a process of its own, the
// engines of a line in turns, and writes a report; and the child that takes one. What is measured is the programs' own. Its central type
// is Cell.
package runs

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/dulyhq/duly/bench/figures"
)

// Values are the numbers of one sample.
type Values map[string]float64

// Main is the main function of a program. As a child, where the environment has the variable, it takes a sample: child is given what
// [Child] was, as JSON, and returns the exit code. Else it runs until an interrupt, and fails by the name of the program.
func Main(name, variable string, child func(spec string) int, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) {
	if spec, ok := os.LookupEnv(variable); ok {
		os.Exit(child(spec))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// TestMain is that of a program's tests: their binary is the child that the harness starts, as the program is.
func TestMain(variable string, child func(spec string) int, run func() int) {
	if spec, ok := os.LookupEnv(variable); ok {
		os.Exit(child(spec))
	}
	// A child under the race detector would sleep for a second before it ends.
	Must("set the environment", os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")))
	os.Exit(run())
}

// Progress tells whoever waits what is being measured.
type Progress struct{ W io.Writer }

// Printf does its best: a report is worth more than its progress.
func (p Progress) Printf(format string, args ...any) { _, _ = fmt.Fprintf(p.W, format, args...) }

// A Cell is one line on one engine.
type Cell struct {
	Engine  string // its name
	Count   int    // how many samples are to be taken
	Samples []Values
	Problem string // why there are fewer
	Absent  string // the machine does not have what the engine needs: no problem, but said
}

// Line takes the samples of a line's cells, whose engines take turns, so that a noisy machine disturbs all of them alike. A cell with a
// problem gets no further one. Take is told which is the last of its cell.
func Line[R any](
	ctx context.Context, out Progress, title string, group []R, cell func(R) *Cell, take func(ctx context.Context, r R, last bool) (Values, error),
) error {
	began := time.Now()
	out.Printf("%s:", title)
	most := 0
	for _, r := range group {
		most = max(most, cell(r).Count)
	}
	for i := range most {
		for _, r := range group {
			c := cell(r)
			if i >= c.Count || c.Problem != "" || c.Absent != "" {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			out.Printf(" %s", c.Engine)
			v, err := take(ctx, r, i == c.Count-1)
			switch {
			case err != nil:
				c.Problem = err.Error()
				out.Printf(" (%v)", err)
			case c.Absent != "":
				out.Printf(" (%s: NOT MEASURED)", c.Absent)
			default:
				c.Samples = append(c.Samples, v)
			}
		}
	}
	out.Printf(" %.1f s\n", time.Since(began).Seconds())
	return nil
}

// Command is a process of this program that is a child. It is asked to end when ctx does, because it may have processes of its own, and
// killed half a minute later.
func Command(ctx context.Context, variable string, spec any) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("write spec: %w", err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), variable+"="+string(text))
	return cmd, nil
}

// Child runs a child to its end and returns the values that it answers. What takes longer than the limit hangs.
func Child(ctx context.Context, variable string, spec any, limit time.Duration) (v Values, err error) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	cmd, err := Command(ctx, variable, spec)
	if err != nil {
		return nil, err
	}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	if err := json.Unmarshal(out, &v); err != nil {
		return nil, fmt.Errorf("read reply: %w", err)
	}
	return v, nil
}

// Profile writes a CPU profile to a file until stop is called; without a name it does nothing.
func Profile(path string) (stop func()) {
	if path == "" {
		return func() {}
	}
	f, err := os.Create(path)
	Must("create profile", err)
	Must("start profile", pprof.StartCPUProfile(f))
	return func() {
		pprof.StopCPUProfile()
		Must("close profile", f.Close())
	}
}

// Must ends a child with a stack: there is nothing to measure on what is broken.
func Must(what string, err error) {
	if err != nil {
		panic(fmt.Sprintf("%s: %v", what, err))
	}
}

// A Run is what every report says of when, where and how its figures were taken.
type Run struct {
	Program string // its name, "" for that of the module
	Args    []string
	Quick   bool
	Started time.Time
	Took    time.Duration
	Machine figures.Machine
	Mount   string // the file system that is measured on, "" where it does not matter
	Disk    figures.Disk
}

// Begin looks at the machine, and at the disk that a directory is on.
func Begin(ctx context.Context, program, dir string, args []string, quick bool) (Run, error) {
	r := Run{Program: program, Args: args, Quick: quick, Machine: figures.DescribeMachine(ctx), Mount: figures.MountOf(dir)}
	syncs := 1000
	if quick {
		syncs = 20
	}
	var err error
	r.Disk, err = figures.MeasureDisk(dir, syncs)
	r.Started = time.Now()
	return r, err
}

// Head is the beginning of a report that make with a target has written.
func (r *Run) Head(title, target string) string {
	return fmt.Sprintf("# %s\n\n%s", title, r.Began(target))
}

// Began says when the figures were taken, and how.
func (r *Run) Began(target string) string {
	text, program := "", ""
	if r.Quick {
		text = "**A quick run: it checks the harness; the figures mean nothing.**\n\n"
	}
	if r.Program != "" {
		program = fmt.Sprintf(", program `%s`", r.Program)
	}
	return text + fmt.Sprintf("Written by `make %s` (module `bench`%s, arguments: %s) on %s in %s. The next run replaces it.\n\n",
		target, program, figures.Arguments(r.Args), r.Started.UTC().Format("2006-01-02 15:04 UTC"), r.Took.Round(time.Second))
}

// Settings are the lines of a table about the machine and what was measured with.
func (r *Run) Settings(more ...[]string) figures.Table {
	m := r.Machine
	t := figures.Table{
		{"what", "value"},
		{"CPU", fmt.Sprintf("%s, %d cores, shared", figures.OrUnknown(m.CPU), m.Cores)},
		{"system", m.System + ", kernel " + figures.OrUnknown(m.Kernel)},
		{"load average at the start", figures.OrUnknown(m.Load)},
		{"Go", fmt.Sprintf("%s, GOMAXPROCS %s, GOGC %s", m.GoVersion, m.GOMAXPROCS, m.GOGC)},
	}
	if r.Mount != "" {
		t = append(t, []string{"file system", r.Mount}, []string{"a sync of the disk", r.Disk.String()})
	}
	return append(t, more...)
}

// End prints the tables, has the report written if it has a place, and fails for what must not happen.
func End(stdout io.Writer, tables, out string, write func(path string) error, problems []string) error {
	if _, err := io.WriteString(stdout, tables); err != nil {
		return fmt.Errorf("print tables: %w", err)
	}
	if out != "" {
		if err := write(out); err != nil {
			return err
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("check results: %s", strings.Join(problems, "; "))
	}
	return nil
}
