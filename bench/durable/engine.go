package main

import (
	"context"
	"encoding/binary"
	"time"
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
	// put declares tasks, in the way that is the fastest there for many.
	put(ctx context.Context, tasks []task) error
	// run starts what is due, from now on, and returns. It calls begun first of all in every attempt.
	run(begun func(id uint64)) error
	// left counts the tasks that have not been done.
	left(ctx context.Context) (int, error)
	// close ends the engine when no attempt runs any more.
	close() error
}

// A task is one to put: its number, of which all the rest is made, and its instant.
type task struct {
	id  uint64
	due time.Time
}

// payload gives the 235 bytes less name, kind and schedule that a user keeps: the number, and text.
func (t task) payload() []byte {
	p := make([]byte, 8, 201)
	binary.LittleEndian.PutUint64(p, t.id)
	for seed := t.id; len(p) < cap(p); {
		seed = mix(seed)
		p = hexOf(p, seed, min(16, cap(p)-len(p)))
	}
	return p
}

// name gives the task's name: in no order.
func (t task) name() string { return string(hexOf([]byte("order-"), mix(t.id), 16)) }

// idOf gives the number that a payload begins with.
func idOf(payload []byte) uint64 { return binary.LittleEndian.Uint64(payload) }

// hexOf appends digits of x.
func hexOf(p []byte, x uint64, digits int) []byte {
	for range digits {
		p = append(p, "0123456789abcdef"[x>>60])
		x <<= 4
	}
	return p
}

// mix scrambles a counter (the finaliser of SplitMix64, Steele et al., OOPSLA 2014): a random stream without state.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// An engineSpec describes an engine to the plan and to the table.
type engineSpec struct {
	name, title string
	module      string // whose version the build information tells
	said        string // its settings
	server      string // that the engine needs: serverPostgres or one of Redis; empty: none
	open        func(where string) (engine, error)
}

// engines lists ours first, then the peers, in the order of the table.
func engines() []engineSpec {
	return []engineSpec{
		{
			name: engineDuly, title: "duly on store/pebble", module: "github.com/cockroachdb/pebble/v2", open: openDuly,
			said: "the zero Options of both: every write synced",
		},
		{
			name: engineRiver, title: "River on PostgreSQL", module: "github.com/riverqueue/river", server: serverPostgres, open: openRiver,
			said: "River's defaults and 100 workers; PostgreSQL's defaults, synchronous_commit on, a Unix socket",
		},
		{
			name: engineAsynq, title: "asynq on Redis, everysec", module: "github.com/hibiken/asynq", server: serverRedis, open: openAsynq,
			said: "asynq's defaults; appendonly yes, appendfsync everysec, a Unix socket: a second may be lost",
		},
		{
			name: engineAsynqAlways, title: "asynq on Redis, always", module: "github.com/hibiken/asynq", server: serverRedisAlways, open: openAsynq,
			said: "asynq's defaults; appendonly yes, appendfsync always, a Unix socket",
		},
	}
}

func findEngine(name string) (engineSpec, bool) {
	for _, e := range engines() {
		if e.name == name {
			return e, true
		}
	}
	return engineSpec{}, false
}
