package main

import (
	"context"

	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/bench/servers"
)

// The engines, by the names that flags and tables use.
const (
	engineDuly        = "duly"
	engineRiver       = "river"
	engineAsynq       = "asynq"
	engineAsynqAlways = "asynq-always"
)

// An engine puts durable tasks and runs them.
type engine interface {
	// Put declares tasks, in the way that is the fastest there for many.
	Put(ctx context.Context, tasks []engines.Task) error
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
	module      string // whose version the build information tells
	said        string // its settings
	server      string // that the engine needs: one of package servers; empty: none
	open        func(where string) (engine, error)
}

// allEngines lists ours first, then the peers, in the order of the table.
func allEngines() []engineSpec {
	return []engineSpec{
		{
			name: engineDuly, title: "duly on store/pebble", module: "github.com/cockroachdb/pebble/v2", open: openDuly,
			said: "the zero Options of both: every write synced",
		},
		{
			name: engineRiver, title: "River on PostgreSQL", module: "github.com/riverqueue/river", server: servers.Postgres, open: openRiver,
			said: "River's defaults and 100 workers; PostgreSQL's defaults, synchronous_commit on, a Unix socket",
		},
		{
			name: engineAsynq, title: "asynq on Redis, everysec", module: "github.com/hibiken/asynq", server: servers.Redis, open: openAsynq,
			said: "asynq's defaults; appendonly yes, appendfsync everysec, a Unix socket: a second may be lost",
		},
		{
			name: engineAsynqAlways, title: "asynq on Redis, always", module: "github.com/hibiken/asynq", server: servers.RedisAlways, open: openAsynq,
			said: "asynq's defaults; appendonly yes, appendfsync always, a Unix socket",
		},
	}
}

func findEngine(name string) (engineSpec, bool) {
	for _, e := range allEngines() {
		if e.name == name {
			return e, true
		}
	}
	return engineSpec{}, false
}

func openRiver(address string) (engine, error) {
	return engines.OpenRiver(address, engines.RiverOptions{})
}
