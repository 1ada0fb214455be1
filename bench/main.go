// Command bench measures the timer engine side by side with what Go programs use today: time.AfterFunc bare and in a
// hand-written registry, gocron, go-quartz and robfig/cron. It is for the figures in docs/bench; correctness has its tests in
// the timer package. Its central type is line: one thing measured, on all engines that can do it.
//
// Every engine of a line runs in a process of its own, so that heaps and garbage collections do not mix, and the processes take
// turns sample by sample, so that a noisy machine disturbs all of them alike.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

func main() {
	if spec, ok := os.LookupEnv(schedulesVariable); ok {
		os.Exit(scheduleChild(spec, os.Stdout))
	}
	runs.Main("bench", childVariable, asChild, run)
}

func asChild(spec string) int { return childMain(spec, os.Stdin, os.Stdout, os.Stderr) }

// run measures what the flags ask for and writes the report.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	if opts.schedules > 0 {
		return runSchedules(ctx, opts.schedules, opts.seed, opts.out, stdout, stderr)
	}
	if opts.waits {
		return runWaits(ctx, opts.out, stdout, stderr)
	}
	rep := report{opts: opts, Run: runs.Run{Args: args, Quick: opts.quick, Started: time.Now(), Machine: figures.DescribeMachine(ctx)}}
	if rep.results, err = measureAll(ctx, opts, runs.Progress{W: stderr}); err != nil {
		return err
	}
	rep.Took = time.Since(rep.Started)
	return runs.End(stdout, rep.tables(), opts.out, rep.write, rep.problems())
}

// options are the command's flags.
type options struct {
	quick   bool
	rows    map[int]bool
	engines map[string]bool
	lines   map[string]bool
	maxN    int
	count   int
	sample  time.Duration
	budget  time.Duration
	out     string
	profile string

	schedules int // cases of row 13, which is measured alone; 0 for the engine
	seed      uint64
	waits     bool // rows 10 to 12, which are measured alone
}

// maxSample keeps a sample shorter than the deadlines that must not come true in it.
const maxSample = 4 * time.Second

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&o.quick, "quick", false, "small sizes and short samples: checks the harness, measures nothing worth keeping")
	rows := fs.String("rows", "", "rows of the targets to run, comma-separated (default all)")
	names := fs.String("engines", "", "engines to run, comma-separated (default all)")
	lines := fs.String("lines", "", "lines to run, comma-separated names such as hot,churn (default all)")
	fs.IntVar(&o.maxN, "max-n", 0, "leave out sizes above this many timers (0 leaves out none)")
	fs.IntVar(&o.count, "count", 5, "samples of each cell; medians are reported")
	fs.DurationVar(&o.sample, "sample", 500*time.Millisecond, "length of a sample, where a line has no length of its own")
	fs.DurationVar(&o.budget, "budget", time.Minute, "time for filling a cell; it is cut where this ends")
	fs.StringVar(&o.out, "out", "", "file to write the report to, as Markdown; its section Observations is kept")
	fs.StringVar(&o.profile, "profiles", "", "folder for CPU profiles of the samples, one of each cell, named line-engine-N.pprof")
	fs.IntVar(&o.schedules, "schedules", 0, "measure Next of so many random rules in place of the engine")
	fs.BoolVar(&o.waits, "waits", false, "measure what waiting with a timeout costs in place of the engine")
	fs.Uint64Var(&o.seed, "seed", 13, "seed of the random rules")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if o.count < 1 {
		return o, fmt.Errorf("count %d: want at least 1", o.count)
	}
	if o.sample <= 0 || o.sample > maxSample {
		return o, fmt.Errorf("sample %v: want more than 0 and at most %v", o.sample, maxSample)
	}
	if o.quick {
		o.sample = min(o.sample, 5*time.Millisecond)
		if !isSet(fs, "count") {
			o.count = 2
		}
	}
	var err error
	if o.rows, err = rowSet(*rows); err != nil {
		return o, err
	}
	if o.engines, err = figures.Chosen("engine", *names, engineNames()); err != nil {
		return o, err
	}
	o.lines, err = figures.Chosen("line", *lines, lineNames())
	return o, err
}

func isSet(fs *flag.FlagSet, name string) bool {
	found := false
	fs.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

// rowSet reads "1,2,5"; nil means all rows.
func rowSet(text string) (map[int]bool, error) {
	if text == "" {
		return nil, nil
	}
	set := make(map[int]bool)
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > 9 {
			return nil, fmt.Errorf("row %q: want a number from 1 to 9", part)
		}
		set[n] = true
	}
	return set, nil
}

func engineNames() []string {
	var names []string
	for _, e := range engines() {
		names = append(names, e.name)
	}
	return names
}

func lineNames() []string {
	var names []string
	for _, l := range plan() {
		names = append(names, l.name)
	}
	return names
}
