// Command cluster measures tasks in a PostgreSQL database: those of package duly on store/postgres side by side with River's jobs, on one
// server, which it starts itself. It is for the figures in docs/bench/cluster.md; correctness has its tests in the packages. Its central
// type is line: one thing measured, on all engines that can do it.
//
// Every sample runs in a process of its own, or two, in a database of its own, and the engines take turns sample by sample, so that a noisy
// machine disturbs all of them alike.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/bench/servers"
)

func main() { runs.Main("cluster", childVariable, asChild, run) }

func asChild(spec string) int { return childMain(spec, os.Stdout, os.Stderr) }

// options are the command's flags.
type options struct {
	quick   bool
	engines map[string]bool
	lines   map[string]bool
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
	if err := os.Chmod(root, 0o711); err != nil { // what the server's user may not enter, it can't work in
		return fmt.Errorf("open the directory to the server: %w", err)
	}
	rep := report{opts: opts}
	if rep.server, err = servers.Version(ctx, servers.Postgres); err != nil {
		return err
	}
	if rep.Run, err = runs.Begin(ctx, "cluster", root, args, opts.quick); err != nil {
		return err
	}
	if rep.results, err = measure(ctx, filepath.Join(root, "s"), opts, runs.Progress{W: stderr}); err != nil {
		return err
	}
	rep.Took = time.Since(rep.Started)
	return runs.End(stdout, rep.tables(), opts.out, rep.write, rep.problems())
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("cluster", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&o.quick, "quick", false, "small sizes: checks the harness, measures nothing worth keeping")
	names := fs.String("engines", "", "engines to run, comma-separated (default all)")
	lines := fs.String("lines", "", "lines to run, comma-separated names such as put-16,late-500 (default all)")
	fs.IntVar(&o.count, "count", 3, "samples of each cell of ours; medians are reported")
	fs.IntVar(&o.peers, "peer-count", 1, "samples of each cell of a peer")
	fs.DurationVar(&o.budget, "budget", 15*time.Second, "time after the last instant for what has not begun; a sample is cut where it ends")
	fs.StringVar(&o.dir, "dir", "", "where to measure: a directory on the disk that is meant (default that for temporary files)")
	fs.StringVar(&o.out, "out", "", "file to write the report to, as Markdown; its section Observations is kept")
	fs.StringVar(&o.profile, "profiles", "", "folder for CPU profiles, one of each cell's last sample, named line-engine.pprof")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case fs.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case o.count < 1 || o.peers < 1:
		return o, fmt.Errorf("count %d, peer-count %d: want at least 1", o.count, o.peers)
	case o.budget <= 0:
		return o, fmt.Errorf("budget %v: want more than 0", o.budget)
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
