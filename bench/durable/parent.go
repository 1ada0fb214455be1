package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/bench/servers"
)

// A result is what a cell gave.
type result struct {
	runs.Cell
	line   line
	engine engineSpec
	n      int
}

// A bench runs cells.
type bench struct {
	root string // where it measures
	o    options
	dirs int
}

func newBench(root string, o options) (*bench, error) {
	// What a server's user may not enter, it can't work in.
	if err := os.Chmod(root, 0o711); err != nil {
		return nil, fmt.Errorf("open the directory to the servers: %w", err)
	}
	return &bench{root: root, o: o}, nil
}

// measureAll runs every cell that the options leave in, line by line. The engines take turns, sample by sample.
func (b *bench) measureAll(ctx context.Context, out runs.Progress) (results []*result, err error) {
	for _, l := range plan() {
		if b.o.lines != nil && !b.o.lines[l.name] {
			continue
		}
		var group []*result
		for _, name := range l.engines {
			if e, ok := findEngine(name); ok && (b.o.engines == nil || b.o.engines[name]) {
				group = append(group, b.cell(l, e))
			}
		}
		title := fmt.Sprintf("row %s %s n=%d", rowLateness, l.name, l.sizeFor(b.o))
		if err := b.measure(ctx, out, title, group); err != nil {
			return nil, err
		}
		results = append(results, group...)
	}
	return results, ctx.Err()
}

func (b *bench) measure(ctx context.Context, out runs.Progress, title string, group []*result) error {
	return runs.Line(ctx, out, title, group, func(r *result) *runs.Cell { return &r.Cell }, func(ctx context.Context, r *result, last bool) (values, error) {
		v, err := b.sample(ctx, r, last)
		if errors.Is(err, servers.ErrAbsent) {
			r.Absent = fmt.Sprintf("%s: %v", r.engine.server, err)
			return nil, nil
		}
		return v, err
	})
}

// cell is a line on an engine.
func (b *bench) cell(l line, e engineSpec) *result {
	count := b.o.count
	if e.name != engineDuly {
		count = b.o.peers
	}
	return &result{Cell: runs.Cell{Engine: e.name, Count: count}, line: l, engine: e, n: l.sizeFor(b.o)}
}

// sample takes one sample in a directory of its own, with a server of its own if the engine needs one.
func (b *bench) sample(ctx context.Context, r *result, last bool) (v values, err error) {
	b.dirs++
	dir := filepath.Join(b.root, fmt.Sprintf("%s-%d", r.line.name, b.dirs))
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	spec := childSpec{Line: r.line.name, Engine: r.engine.name, Where: dir, N: r.n, Budget: b.o.budget, Quick: b.o.quick}
	if last && b.o.profile != "" {
		spec.Profile = filepath.Join(b.o.profile, fmt.Sprintf("%s-%s.pprof", r.line.name, r.engine.name))
	}
	if r.engine.server == "" {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make a directory: %w", err)
		}
		return runs.Child(ctx, childVariable, spec, 5*time.Minute+b.o.budget)
	}
	s, err := servers.Start(ctx, r.engine.server, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	spec.Where = s.Address
	return runs.Child(ctx, childVariable, spec, 5*time.Minute+b.o.budget)
}
