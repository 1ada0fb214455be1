package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

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
	o      options
	server *servers.Server
	admin  *pgx.Conn // to the database that is nobody's
	count  int       // of databases
}

// measure starts a server in a directory that it makes, and runs every cell that the options leave in, line by line.
func measure(ctx context.Context, dir string, o options, out runs.Progress) (results []*result, err error) {
	b := &bench{o: o}
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
				group = append(group, b.cell(l, e))
			}
		}
		if err := b.measure(ctx, out, l.name, group); err != nil {
			return nil, err
		}
		results = append(results, group...)
	}
	return results, ctx.Err()
}

// measure takes the samples of a line's cells.
func (b *bench) measure(ctx context.Context, out runs.Progress, title string, group []*result) error {
	return runs.Line(ctx, out, title, group, func(r *result) *runs.Cell { return &r.Cell }, b.sample)
}

// cell is a line on an engine.
func (b *bench) cell(l line, e engineSpec) *result {
	count := b.o.count
	if e.name != engineDuly {
		count = b.o.peers
	}
	return &result{Cell: runs.Cell{Engine: e.name, Count: count}, line: l, engine: e, n: l.sizeFor(b.o, e.name)}
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
	return runs.Child(ctx, childVariable, spec, 10*time.Minute+b.o.budget)
}
