package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/bench/servers"
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
	self   string // the program
	o      options
	server *servers.Server
	admin  *pgx.Conn // to the database that is nobody's
	count  int       // of databases
}

// measure starts a server in a directory that it makes, and runs every cell that the options leave in, line by line.
func measure(ctx context.Context, dir string, o options, out progress) (results []*result, err error) {
	b := &bench{o: o}
	if b.self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	if b.server, err = servers.Start(ctx, servers.Postgres, dir); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.server.Stop()) }()
	if b.admin, err = pgx.Connect(ctx, b.server.Address); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, b.admin.Close(context.WithoutCancel(ctx))) }()
	for _, l := range plan() {
		if o.lines != nil && !o.lines[l.name] {
			continue
		}
		var group []*result
		for _, name := range l.engines {
			e, err := findEngine(name)
			if err != nil {
				return nil, err
			}
			if o.engines == nil || o.engines[name] {
				group = append(group, &result{line: l, engine: e, n: l.sizeFor(o, name)})
			}
		}
		began := time.Now()
		out.printf("%s:", l.name)
		if err := b.measure(ctx, group, out); err != nil {
			return nil, err
		}
		out.printf(" %.1f s\n", time.Since(began).Seconds())
		results = append(results, group...)
	}
	return results, ctx.Err()
}

// measure takes the samples of a line's cells. The engines take turns.
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

func (b *bench) samples(r *result) int {
	if r.engine.name != engineDuly {
		return b.o.peers
	}
	return b.o.count
}

// sample takes one sample in a database of its own. What the one before has left to be written is written first.
func (b *bench) sample(ctx context.Context, r *result, last bool) (v values, err error) {
	b.count++
	database := fmt.Sprintf("s%d", b.count)
	statements := []string{"create database " + database}
	if r.line.logged {
		statements = append(statements, "alter database "+database+" set log_min_duration_statement = 0")
	}
	for _, sql := range append(statements, "checkpoint") {
		if _, err := b.admin.Exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("make a database: %w", err)
		}
	}
	defer func() {
		if _, derr := b.admin.Exec(context.WithoutCancel(ctx), "drop database "+database+" with (force)"); derr != nil {
			err = errors.Join(err, fmt.Errorf("drop the database: %w", derr))
		}
	}()
	spec := childSpec{
		Line: r.line.name, Engine: r.engine.name, Server: strings.TrimSuffix(b.server.Address, " dbname=postgres"), Database: database,
		PID: b.server.PID, Log: b.server.Log, N: r.n, Budget: b.o.budget, Quick: b.o.quick,
	}
	if last && b.o.profile != "" {
		spec.Profile = filepath.Join(b.o.profile, fmt.Sprintf("%s-%s.pprof", r.line.name, r.engine.name))
	}
	ctx, stop := context.WithTimeout(ctx, 10*time.Minute+b.o.budget) // what takes longer hangs
	defer stop()
	return runChild(ctx, b.self, spec)
}
