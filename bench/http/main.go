// Command http measures the daemon from outside: the real binary, which it builds and starts in a directory of its own, over TCP on
// loopback, with a token. It is for the figures in docs/bench/http.md and docs/bench/soak.md; correctness has its tests in the packages.
// Its central type is line: one thing measured.
//
// Every sample has a new daemon and a process of its own that asks it, so that the CPU of the two can be told apart. With -soak it keeps a
// daemon under a mixed load instead, and judges whether goroutines, descriptors and memory stay flat.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

func main() { runs.Main("http", childVariable, asChild, run) }

func asChild(spec string) int { return childMain(spec, os.Stdin, os.Stdout, os.Stderr) }

// options are the command's flags.
type options struct {
	quick   bool
	lines   map[string]bool
	n       int
	count   int
	daemon  string
	dir     string
	out     string
	profile string

	soak time.Duration // 0: the lines are measured instead
	rate int           // of the soak
}

// run measures what the flags ask for and writes the report.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	root, err := os.MkdirTemp(o.dir, "duly-http-")
	if err != nil {
		return fmt.Errorf("make a directory to measure in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	b, err := newBench(ctx, root, o)
	if err != nil {
		return err
	}
	rep := report{opts: o}
	if rep.Run, err = runs.Begin(ctx, "http", root, args, o.quick); err != nil {
		return err
	}
	if o.soak > 0 {
		rep.soak, err = b.soakAll(ctx, runs.Progress{W: stderr})
	} else {
		rep.results, err = b.measureAll(ctx, runs.Progress{W: stderr})
	}
	if err != nil {
		return err
	}
	rep.Took = time.Since(rep.Started)
	return runs.End(stdout, rep.tables(), o.out, rep.write, rep.problems())
}

// leastSoak leaves each third of a soak some samples.
const leastSoak = 2 * time.Second

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("http", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&o.quick, "quick", false, "small sizes: checks the harness, measures nothing worth keeping")
	lines := fs.String("lines", "", "lines to run, comma-separated names such as put,burst (default all)")
	fs.IntVar(&o.n, "n", 0, "tasks in every line in place of its own number (0 leaves them)")
	fs.IntVar(&o.count, "count", 3, "samples of each cell; medians are reported")
	fs.StringVar(&o.daemon, "daemon", "", "the duly binary to measure (default: built from this tree)")
	fs.StringVar(&o.dir, "dir", "", "where to measure: a directory on the disk that is meant (default that for temporary files)")
	fs.StringVar(&o.out, "out", "", "file to write the report to, as Markdown; its section Observations is kept")
	fs.StringVar(&o.profile, "profiles", "", "folder for CPU profiles of the daemon, one of each cell's last sample, named line-engine.pprof")
	fs.DurationVar(&o.soak, "soak", 0, "keep a daemon under a mixed load for so long, instead of the lines")
	fs.IntVar(&o.rate, "rate", 300, "one-off callbacks that come due each second of the soak")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case o.count < 1:
		return o, fmt.Errorf("count %d: want at least 1", o.count)
	case o.n < 0:
		return o, fmt.Errorf("n %d: want 0 or more", o.n)
	case o.soak < 0 || o.soak > 0 && o.soak < leastSoak:
		return o, fmt.Errorf("soak %v: want at least %v", o.soak, leastSoak)
	case o.rate < 1 || o.rate > mostSoakRate:
		return o, fmt.Errorf("rate %d: want 1 to %d", o.rate, mostSoakRate)
	}
	if o.quick {
		o.count = 1
	}
	var known []string
	for _, l := range plan() {
		known = append(known, l.name)
	}
	var err error
	o.lines, err = figures.Chosen("line", *lines, known)
	return o, err
}

// buildDaemon builds duly from the tree that this module stands in, as the README says.
func buildDaemon(ctx context.Context, root string) (string, error) {
	path := filepath.Join(root, "duly")
	where := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/dulyhq/duly")
	where.Env = append(os.Environ(), "GOWORK=off")
	tree, err := where.Output()
	if err != nil {
		return "", fmt.Errorf("find the tree of duly: %w", err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", path, ".")
	build.Dir = filepath.Join(strings.TrimSpace(string(tree)), "cmd", "duly")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build duly: %w: %s", err, said)
	}
	return path, nil
}
