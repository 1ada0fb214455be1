// Command durable measures how late durable tasks begin: those of package duly on the embedded store, side by side with River and asynq
// on servers that it starts itself. It is for the figures in docs/bench/durable.md; correctness has its tests in the packages. Its central
// type is line: one thing measured, on all engines that can do it.
//
// Every sample runs in a process of its own, on a directory of its own, and the engines take turns sample by sample, so that a
// noisy machine disturbs all of them alike. With -endure it runs an hour under load instead, and kills itself in the middle.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

func main() { runs.Main("durable", childVariable, asChild, run) }

func asChild(spec string) int { return childMain(spec, os.Stdout, os.Stderr) }

// options are the command's flags.
type options struct {
	quick   bool
	engines map[string]bool
	lines   map[string]bool
	n       int
	count   int
	peers   int
	budget  time.Duration
	dir     string
	out     string
	profile string

	endure time.Duration // 0: the lines are measured instead
	rate   int           // of the endurance run
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
	b, err := newBench(root, opts)
	if err != nil {
		return err
	}
	rep := report{opts: opts, servers: serverVersions(ctx)}
	if rep.Run, err = runs.Begin(ctx, "durable", root, args, opts.quick); err != nil {
		return err
	}
	if opts.endure > 0 {
		rep.hour, err = b.endureAll(ctx, runs.Progress{W: stderr})
	} else {
		rep.results, err = b.measureAll(ctx, runs.Progress{W: stderr})
	}
	if err != nil {
		return err
	}
	rep.Took = time.Since(rep.Started)
	return runs.End(stdout, rep.tables(), opts.out, rep.write, rep.problems())
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("durable", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&o.quick, "quick", false, "small sizes: checks the harness, measures nothing worth keeping")
	names := fs.String("engines", "", "engines to run, comma-separated (default all)")
	lines := fs.String("lines", "", "lines to run, comma-separated names such as late-500,put (default all)")
	fs.IntVar(&o.n, "n", 0, "tasks in every line, or pending in the endurance run, in place of its own size (0 leaves them)")
	fs.IntVar(&o.count, "count", 3, "samples of each cell of ours; medians are reported")
	fs.IntVar(&o.peers, "peer-count", 1, "samples of each cell of a peer")
	fs.DurationVar(&o.budget, "budget", 15*time.Second, "time after the last instant for what has not begun; a sample is cut where it ends")
	fs.StringVar(&o.dir, "dir", "", "where to measure: a directory on the disk that is meant (default that for temporary files)")
	fs.StringVar(&o.out, "out", "", "file to write the report to, as Markdown; its section Observations is kept, and what this run does not measure")
	fs.StringVar(&o.profile, "profiles", "", "folder for CPU profiles, one of each cell's last sample, named line-engine.pprof")
	fs.DurationVar(&o.endure, "endure", 0, "run under load for so long, with a kill in the middle, instead of the lines")
	fs.IntVar(&o.rate, "rate", 2000, "tasks due each second of the endurance run")
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
	case o.endure < 0 || o.endure > 0 && o.endure < leastEndurance:
		return o, fmt.Errorf("endure %v: want at least %v", o.endure, leastEndurance)
	case o.rate < 1:
		return o, fmt.Errorf("rate %d: want at least 1", o.rate)
	}
	if o.quick {
		o.count, o.peers = 1, 1
	}
	var known [2][]string
	for _, l := range plan() {
		known[0] = append(known[0], l.name)
	}
	for _, e := range allEngines() {
		known[1] = append(known[1], e.name)
	}
	var errs [2]error
	o.lines, errs[0] = figures.Chosen("line", *lines, known[0])
	o.engines, errs[1] = figures.Chosen("engine", *names, known[1])
	return o, errors.Join(errs[:]...)
}
