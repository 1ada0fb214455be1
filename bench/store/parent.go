package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly/bench/runs"
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
	kept map[string]filled // by engine and size, for the lines that start
}

// A filled directory.
type filled struct {
	dir   string
	tasks int
}

// measureAll runs every cell that the options leave in, line by line. The engines take turns, sample by sample.
func measureAll(ctx context.Context, root string, o options, out runs.Progress) ([]*result, error) {
	b := &bench{root: root, o: o, kept: make(map[string]filled)}
	var results []*result
	for _, l := range plan() {
		if !l.in(o) {
			continue
		}
		var group []*result
		for _, name := range l.engines {
			if e, ok := findEngine(name); ok && (o.engines == nil || o.engines[name]) {
				group = append(group, b.cell(l, e))
			}
		}
		if err := b.measure(ctx, out, fmt.Sprintf("row %s %s n=%d", l.row, l.name, l.sizeFor(o)), group); err != nil {
			return nil, err
		}
		results = append(results, group...)
	}
	return results, ctx.Err()
}

func (b *bench) measure(ctx context.Context, out runs.Progress, title string, group []*result) error {
	return runs.Line(ctx, out, title, group, func(r *result) *runs.Cell { return &r.Cell }, b.sample)
}

// cell is a line on an engine. One that takes minutes to fill is filled once.
func (b *bench) cell(l line, e engineSpec) *result {
	r := &result{Cell: runs.Cell{Engine: e.name, Count: b.o.count}, line: l, engine: e, n: l.sizeFor(b.o)}
	switch {
	case l.start:
	case r.n >= 10*million:
		r.Count = 1
	case e.peer:
		r.Count = b.o.peers
	}
	return r
}

// sample takes one sample in a directory of its own, or, of the lines that start, in one that was filled before.
func (b *bench) sample(ctx context.Context, r *result, last bool) (v values, err error) {
	spec := b.spec(r)
	if last && b.o.profile != "" {
		spec.Profile = filepath.Join(b.o.profile, fmt.Sprintf("%s-%s-%d.pprof", r.line.name, r.engine.name, r.n))
	}
	if r.line.start {
		return b.restart(ctx, r, spec)
	}
	spec.Dir = b.newDir(r.line.name)
	v, err = b.child(ctx, spec)
	if last && err == nil && r.line.name == "batch" && b.starts(r.engine.name) {
		b.kept[keptKey(r)] = filled{dir: spec.Dir, tasks: int(v[keyTasks])}
		return v, nil
	}
	return v, errors.Join(err, os.RemoveAll(spec.Dir))
}

func (b *bench) spec(r *result) childSpec {
	spec := childSpec{Line: r.line.name, Engine: r.engine.name, N: r.n, Quick: b.o.quick}
	if r.engine.peer {
		spec.Budget = b.o.budget
	}
	return spec
}

func (b *bench) newDir(what string) string {
	b.dirs++
	return filepath.Join(b.root, fmt.Sprintf("%s-%d", what, b.dirs))
}

func keptKey(r *result) string { return fmt.Sprintf("%s-%d", r.engine.name, r.n) }

// starts says whether a line that starts comes, and needs a filled directory.
func (b *bench) starts(engine string) bool {
	for _, l := range plan() {
		if l.start && l.in(b.o) && (b.o.engines == nil || b.o.engines[engine]) {
			return true
		}
	}
	return false
}

// restart takes one sample of a line that starts: a process that leaves something due, and one that fires it.
func (b *bench) restart(ctx context.Context, r *result, spec childSpec) (v values, err error) {
	f, ok := b.kept[keptKey(r)]
	if !ok {
		fill := b.spec(r)
		fill.Line, fill.Dir = "batch", b.newDir("batch")
		if v, err = b.child(ctx, fill); err != nil {
			return nil, err
		}
		f = filled{dir: fill.Dir, tasks: int(v[keyTasks])}
		b.kept[keptKey(r)] = f
	}
	spec.Dir, spec.N = f.dir, f.tasks
	first := spec
	first.Prepare, first.Kill, first.Profile = true, r.line.name == "start-killed", ""
	if _, err = b.child(ctx, first); err != nil {
		return nil, err
	}
	return b.child(ctx, spec)
}

// child runs a process of one sample to its end, or kills it where that is what is measured.
func (b *bench) child(ctx context.Context, spec childSpec) (v values, err error) {
	// What takes much longer than the slowest engine hangs.
	ctx, stop := context.WithTimeout(ctx, 5*b.o.budget+patience+time.Duration(spec.N)*100*time.Microsecond)
	defer stop()
	spec.Started = time.Now().UnixNano()
	cmd, err := runs.Command(ctx, childVariable, spec)
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	busy := false
	for lines := bufio.NewScanner(out); lines.Scan() && err == nil; {
		var reply childReply
		if err = json.Unmarshal(lines.Bytes(), &reply); err != nil {
			break
		}
		if reply.Values != nil {
			v = reply.Values
		}
		if reply.Busy {
			busy = true
			err = cmd.Process.Kill() // SIGKILL, and nothing of the process runs any more
		}
	}
	waited := cmd.Wait()
	switch {
	case err != nil:
		return nil, fmt.Errorf("read reply: %w", err)
	case spec.Kill && !busy:
		return nil, fmt.Errorf("child ended before it was killed: %w", waited)
	case !spec.Kill && waited != nil:
		return nil, fmt.Errorf("child: %w", waited)
	case v == nil:
		return nil, errors.New("child: no values")
	}
	return v, nil
}
