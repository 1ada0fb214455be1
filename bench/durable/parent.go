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

	"github.com/dulyhq/duly/bench/servers"
)

// A result is what a cell gave: its samples, and why there are none.
type result struct {
	line    line
	engine  engineSpec
	n       int
	samples []values
	problem string
	absent  string // the machine does not have the peer's server: no problem, but said
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
}

func newBench(root string, o options) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	// What a server's user may not enter, it can't work in.
	if err := os.Chmod(root, 0o711); err != nil {
		return nil, fmt.Errorf("open the directory to the servers: %w", err)
	}
	return &bench{self: self, root: root, o: o}, nil
}

// measureAll runs every cell that the options leave in, line by line. The engines take turns, sample by sample.
func (b *bench) measureAll(ctx context.Context, out progress) (results []*result, err error) {
	for _, l := range plan() {
		if b.o.lines != nil && !b.o.lines[l.name] {
			continue
		}
		var group []*result
		for _, name := range l.engines {
			if e, ok := findEngine(name); ok && (b.o.engines == nil || b.o.engines[name]) {
				group = append(group, &result{line: l, engine: e, n: l.sizeFor(b.o)})
			}
		}
		began := time.Now()
		out.printf("row %s %s n=%d:", rowLateness, l.name, l.sizeFor(b.o))
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
			if i >= b.samples(r) || r.problem != "" || r.absent != "" {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			out.printf(" %s", r.engine.name)
			v, err := b.sample(ctx, r, i == b.samples(r)-1)
			switch {
			case errors.Is(err, servers.ErrAbsent):
				r.absent = err.Error()
				out.printf(" (%s: %v: NOT MEASURED)", r.engine.server, err)
			case err != nil:
				r.problem = err.Error()
				out.printf(" (%v)", err)
			default:
				r.samples = append(r.samples, v)
			}
		}
	}
	return nil
}

func (b *bench) samples(r *result) int {
	if r.engine.name != engineDuly {
		return b.o.peers
	}
	return b.o.count
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
		return b.child(ctx, spec)
	}
	s, err := servers.Start(ctx, r.engine.server, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	spec.Where = s.Address
	return b.child(ctx, spec)
}

// child runs a process of one sample to its end.
func (b *bench) child(ctx context.Context, spec childSpec) (values, error) {
	ctx, stop := context.WithTimeout(ctx, 5*time.Minute+b.o.budget) // what takes longer hangs
	defer stop()
	cmd := exec.CommandContext(ctx, b.self)
	cmd.Stderr = os.Stderr
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("write spec: %w", err)
	}
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("child: %w", err)
	}
	var reply childReply
	if err := json.Unmarshal(out, &reply); err != nil {
		return nil, fmt.Errorf("read reply: %w", err)
	}
	return reply.Values, nil
}
