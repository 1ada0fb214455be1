package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// A result is what a cell gave.
type result struct {
	runs.Cell
	line   line
	engine string
	n      int
}

// A bench runs cells.
type bench struct {
	daemon string // duly
	root   string // where it measures
	o      options
	dirs   int
}

func newBench(ctx context.Context, root string, o options) (*bench, error) {
	b := &bench{daemon: o.daemon, root: root, o: o}
	if b.daemon == "" {
		var err error
		if b.daemon, err = buildDaemon(ctx, root); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// measureAll runs every cell that the options leave in, line by line. The engines take turns, sample by sample.
func (b *bench) measureAll(ctx context.Context, out runs.Progress) (results []*result, err error) {
	for _, l := range plan() {
		if b.o.lines != nil && !b.o.lines[l.name] {
			continue
		}
		var group []*result
		for _, name := range l.engines {
			group = append(group, &result{Cell: runs.Cell{Engine: name, Count: l.count(b.o)}, line: l, engine: name, n: l.sizeFor(b.o)})
		}
		if err := b.measure(ctx, out, fmt.Sprintf("%s n=%d", l.name, l.sizeFor(b.o)), group); err != nil {
			return nil, err
		}
		results = append(results, group...)
	}
	return results, ctx.Err()
}

func (b *bench) measure(ctx context.Context, out runs.Progress, title string, group []*result) error {
	return runs.Line(ctx, out, title, group, func(r *result) *runs.Cell { return &r.Cell }, b.sample)
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
	return runs.Child(ctx, childVariable, spec, 5*time.Minute)
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// treeMiB is what a directory takes; files that go meanwhile are not counted.
func treeMiB(dir string) float64 {
	sum, _ := figures.TreeBytes(os.DirFS(dir))
	return mib(sum)
}
