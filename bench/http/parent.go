package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly/bench/figures"
)

// A result is what a cell gave: its samples, and why there are none.
type result struct {
	line    line
	engine  string
	n       int
	samples []values
	problem string
}

// progress tells whoever waits what is being measured.
type progress struct{ w io.Writer }

// printf does its best: a report is worth more than its progress.
func (p progress) printf(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format, args...) }

// A bench runs cells.
type bench struct {
	self   string // the program
	daemon string // duly
	root   string // where it measures
	o      options
	dirs   int
}

func newBench(ctx context.Context, root string, o options) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	daemon := o.daemon
	if daemon == "" {
		if daemon, err = buildDaemon(ctx, root); err != nil {
			return nil, err
		}
	}
	return &bench{self: self, daemon: daemon, root: root, o: o}, nil
}

// measureAll runs every cell that the options leave in, line by line. The engines take turns, sample by sample.
func (b *bench) measureAll(ctx context.Context, out progress) (results []*result, err error) {
	for _, l := range plan() {
		if b.o.lines != nil && !b.o.lines[l.name] {
			continue
		}
		var group []*result
		for _, name := range l.engines {
			group = append(group, &result{line: l, engine: name, n: l.sizeFor(b.o)})
		}
		began := time.Now()
		out.printf("%s n=%d:", l.name, l.sizeFor(b.o))
		if err := b.measure(ctx, group, out); err != nil {
			return nil, err
		}
		out.printf(" %.1f s\n", time.Since(began).Seconds())
		results = append(results, group...)
	}
	return results, ctx.Err()
}

func (b *bench) measure(ctx context.Context, group []*result, out progress) error {
	for i := range group[0].line.count(b.o) {
		for _, r := range group {
			if r.problem != "" {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			out.printf(" %s", r.engine)
			v, err := b.sample(ctx, r, i == r.line.count(b.o)-1)
			if err != nil {
				r.problem = err.Error()
				out.printf(" (%v)", err)
				continue
			}
			r.samples = append(r.samples, v)
		}
	}
	return nil
}

// sample takes one sample in a directory of its own.
func (b *bench) sample(ctx context.Context, r *result, last bool) (v values, err error) {
	b.dirs++
	dir := filepath.Join(b.root, fmt.Sprintf("%s-%d", r.line.name, b.dirs))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	spec := childSpec{Line: r.line.name, Engine: r.engine, Dir: dir, Daemon: b.daemon, N: r.n, Quick: b.o.quick}
	if last && b.o.profile != "" {
		spec.Profile = filepath.Join(b.o.profile, fmt.Sprintf("%s-%s.pprof", r.line.name, r.engine))
	}
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute) // what takes longer hangs
	defer stop()
	cmd := exec.CommandContext(ctx, b.self)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it has a daemon to end
	cmd.WaitDelay = 30 * time.Second
	cmd.Stderr = os.Stderr
	if cmd.Env, err = spec.environment(); err != nil {
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

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// treeMiB is what a directory takes; files that go meanwhile are not counted.
func treeMiB(dir string) float64 {
	sum, _ := figures.TreeBytes(os.DirFS(dir))
	return mib(sum)
}
