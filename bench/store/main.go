// Command store measures the embedded store side by side with what Go programs keep schedules in today when they want no server:
// SQLite and bbolt. It is for the figures in docs/bench/store.md; correctness has its tests in the stores' packages. Its central
// type is line: one thing measured, on all engines that can do it.
//
// Every sample runs in a process of its own, on a directory of its own, and the engines take turns sample by sample, so that a
// noisy machine disturbs all of them alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

func main() { runs.Main("store", childVariable, asChild, run) }

func asChild(spec string) int { return childMain(spec, os.Stdout, os.Stderr) }

// options are the command's flags.
type options struct {
	quick   bool
	rows    map[string]bool
	engines map[string]bool
	lines   map[string]bool
	n       int
	count   int
	peers   int
	budget  time.Duration
	dir     string
	out     string
	profile string
}

// run measures what the flags ask for and writes the report.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	opts, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	root, err := os.MkdirTemp(opts.dir, "duly-bench-")
	if err != nil {
		return fmt.Errorf("make a directory to measure in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	rep := report{opts: opts}
	if rep.Run, err = runs.Begin(ctx, "store", root, args, opts.quick); err != nil {
		return err
	}
	if rep.results, err = measureAll(ctx, root, opts, runs.Progress{W: stderr}); err != nil {
		return err
	}
	rep.Took = time.Since(rep.Started)
	return runs.End(stdout, rep.tables(), opts.out, rep.write, rep.problems())
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("store", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&o.quick, "quick", false, "small sizes: checks the harness, measures nothing worth keeping")
	rows := fs.String("rows", "", "rows of the targets to run, comma-separated (default all)")
	names := fs.String("engines", "", "engines to run, comma-separated (default all)")
	lines := fs.String("lines", "", "lines to run, comma-separated names such as calls,fire (default all)")
	fs.IntVar(&o.n, "n", 0, "tasks in every line, in place of the line's own size (0 leaves them)")
	fs.IntVar(&o.count, "count", 3, "samples of each cell; medians are reported. A cell of 10 million is filled once")
	fs.IntVar(&o.peers, "peer-count", 1, "samples of each cell of a peer, but where it is filled already")
	fs.DurationVar(&o.budget, "budget", time.Minute, "time for each part of a peer's sample; it is cut where this ends. Ours is not")
	fs.StringVar(&o.dir, "dir", "", "where to measure: a directory on the disk that is meant (default that for temporary files)")
	fs.StringVar(&o.out, "out", "", "file to write the report to, as Markdown; its section Observations is kept")
	fs.StringVar(&o.profile, "profiles", "", "folder for CPU profiles, one of each cell's last sample, named line-engine-N.pprof")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case o.count < 1 || o.peers < 1:
		return o, fmt.Errorf("count %d, peer-count %d: want at least 1", o.count, o.peers)
	case o.n < 0:
		return o, fmt.Errorf("n %d: want 0 or more", o.n)
	case o.budget <= 0:
		return o, fmt.Errorf("budget %v: want more than 0", o.budget)
	}
	if o.quick {
		o.count, o.peers = 1, 1
	}
	var known [3][]string
	for _, l := range plan() {
		known[1] = append(known[1], l.name)
		for _, row := range append([]string{l.row}, l.figureRows()...) {
			if !slices.Contains(known[0], row) {
				known[0] = append(known[0], row)
			}
		}
	}
	for _, e := range engines() {
		known[2] = append(known[2], e.name)
	}
	var errs [3]error
	o.rows, errs[0] = figures.Chosen("row", *rows, known[0])
	o.lines, errs[1] = figures.Chosen("line", *lines, known[1])
	o.engines, errs[2] = figures.Chosen("engine", *names, known[2])
	return o, errors.Join(errs[:]...)
}
