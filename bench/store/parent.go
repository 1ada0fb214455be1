package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A result is what a cell gave: its samples, and why there are none.
type result struct {
	line    line
	engine  engineSpec
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
	self string // the program
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
func measureAll(ctx context.Context, root string, o options, out progress) ([]*result, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	b := &bench{self: self, root: root, o: o, kept: make(map[string]filled)}
	var results []*result
	for _, l := range plan() {
		if !l.in(o) {
			continue
		}
		var group []*result
		for _, name := range l.engines {
			if e, ok := findEngine(name); ok && (o.engines == nil || o.engines[name]) {
				group = append(group, &result{line: l, engine: e, n: l.sizeFor(o)})
			}
		}
		began := time.Now()
		out.printf("row %s %s n=%d:", l.row, l.name, l.sizeFor(o))
		if err := b.measure(ctx, group, out); err != nil {
			return nil, err
		}
		out.printf(" %.1f s\n", time.Since(began).Seconds())
		results = append(results, group...)
	}
	return results, ctx.Err()
}

func (b *bench) measure(ctx context.Context, group []*result, out progress) error {
	for i := range max(b.o.count, b.o.peers) {
		for _, r := range group {
			if i >= b.samples(r) || r.problem != "" {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			out.printf(" %s", r.engine.name)
			v, err := b.sample(ctx, r, i == b.samples(r)-1)
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

// samples gives how many samples a cell has. One that takes minutes to fill is filled once.
func (b *bench) samples(r *result) int {
	switch {
	case r.line.start:
		return b.o.count
	case r.n >= 10*million:
		return 1
	case r.engine.peer:
		return b.o.peers
	}
	return b.o.count
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
	cmd := exec.CommandContext(ctx, b.self)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start child: %w", err)
	}
	spec.Started = time.Now().UnixNano()
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("write spec: %w", err)
	}
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
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
