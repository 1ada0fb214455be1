package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/store/postgres"
)

// The engines, by the names that flags and tables use.
const (
	engineDuly   = "duly"
	engineRiver  = "river"
	engineTuned  = "river-tuned"
	engineUnique = "river-unique"
)

// An engine puts durable tasks and runs them.
type engine interface {
	// Put declares many tasks.
	Put(ctx context.Context, tasks []engines.Task) error
	// PutOne declares a task as a request does.
	PutOne(ctx context.Context, t engines.Task) error
	// CancelOne cancels a task that has not begun.
	CancelOne(ctx context.Context, t engines.Task) error
	// Run starts what is due, from now on, and returns. It calls begun first of all in every attempt.
	Run(begun func(id uint64)) error
	// Left counts the tasks that have not been done.
	Left(ctx context.Context) (int, error)
	// Close ends the engine when no attempt runs any more.
	Close() error
}

// An engineSpec describes an engine to the plan and to the table.
type engineSpec struct {
	name, title string
	module      string // whose version the build information tells; "": this one's
	said        string // its settings
	open        func(address string, callers int) (engine, error)
}

// River at its best on this machine, of what was tried.
const (
	tunedWorkers  = 2000
	tunedCooldown = 10 * time.Millisecond
	tunedPoll     = 50 * time.Millisecond
	tunedPool     = 8
	mostPool      = 32 // connections for callers of single inserts: more do not help it
)

// allEngines lists ours first, then the peers, in the order of the table.
func allEngines() []engineSpec {
	return []engineSpec{
		{
			name: engineDuly, title: "duly", said: "the zero Options of package duly and of store/postgres", open: func(address string, _ int) (engine, error) {
				_, d, err := openDuly(address)
				return d, err
			},
		},
		{
			name: engineRiver, title: "River", module: "github.com/riverqueue/river",
			said: fmt.Sprintf("its defaults and 100 workers; for single inserts and cancels a pool of as many connections as there are callers, %d at most", mostPool),
			open: func(address string, callers int) (engine, error) {
				return openRiver(address, engines.RiverOptions{Connections: min(callers, mostPool)})
			},
		},
		{
			name: engineTuned, title: "River, tuned", module: "github.com/riverqueue/river",
			said: fmt.Sprintf("%d workers, FetchCooldown %v, FetchPollInterval %v, %d connections: the best that was found", tunedWorkers, tunedCooldown, tunedPoll, tunedPool),
			open: func(address string, _ int) (engine, error) {
				return openRiver(address, engines.RiverOptions{Workers: tunedWorkers, Cooldown: tunedCooldown, Poll: tunedPoll, Connections: tunedPool})
			},
		},
		{
			name: engineUnique, title: "River, unique", module: "github.com/riverqueue/river", said: "its defaults; jobs are unique by their arguments",
			open: func(address string, _ int) (engine, error) {
				return openRiver(address, engines.RiverOptions{Unique: true})
			},
		},
	}
}

func openDuly(address string) (*postgres.Store, *engines.Duly, error) {
	st, err := postgres.Open(context.Background(), address, postgres.Options{Logger: engines.Log()})
	if err != nil {
		return nil, nil, err
	}
	d, err := engines.NewDuly(st)
	return st, d, err
}

func openRiver(address string, o engines.RiverOptions) (engine, error) {
	r, err := engines.OpenRiver(address, o)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func findEngine(name string) (engineSpec, error) {
	for _, e := range allEngines() {
		if e.name == name {
			return e, nil
		}
	}
	return engineSpec{}, fmt.Errorf("no engine %q", name)
}
