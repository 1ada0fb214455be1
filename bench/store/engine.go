package main

import (
	"time"
)

// The engines, by the names that flags and tables use.
const (
	engineDuly   = "duly"
	engineSQLite = "sqlite"
	engineBolt   = "bbolt"
)

// An engine is one store under measurement. All methods but due, which one goroutine calls, are safe for use from several.
// Whatever writes has synced when it returns.
type engine interface {
	// put declares tasks, or replaces them by name.
	put(items []item) error
	// due gives the next page of tasks that wait and are due until an instant, in the order of instants, behind the last page. It is
	// empty at the end, and then begins anew.
	due(until int64, limit int) ([]ref, error)
	// claim takes tasks under a lease and fills in the fences. It fails if one is gone, replaced or taken.
	claim(refs []ref) error
	// settle ends tasks as done and writes their history.
	settle(refs []ref) error
	// pending counts the tasks there are.
	pending() (int, error)
	close() error
}

// An item is a task to put. What is the same for all is not in it: kind and schedule.
type item struct {
	name    string
	due     int64 // microseconds since 1970
	payload []byte
}

// The rest of the 235 bytes that a user gives for a task: 6 of the kind, 6 of the schedule, 22 of the name, 201 of the payload.
const (
	itemKind     = "remind"
	itemSchedule = "in 72h"
	itemOwner    = "bench"
	itemLease    = time.Minute
)

// A ref is a task that is due, and its lease.
type ref struct {
	name    string
	gen     int64
	at      int64 // nominal instant
	fence   int64
	payload []byte
}

// openOptions are what a line asks of an engine.
type openOptions struct {
	callers  int           // that call at once
	slowSync time.Duration // added to every sync
}

// engineSpec describes an engine to the plan and to the table.
type engineSpec struct {
	name, title string
	module      string // whose version the build information tells
	peer        bool   // its samples are few, and cut where the budget ends
	open        func(dir string, o openOptions) (engine, error)
}

// engines lists ours first, then the peers, in the order of the table.
func engines() []engineSpec {
	return []engineSpec{
		{name: engineDuly, title: "duly, store/pebble", module: "github.com/cockroachdb/pebble/v2", open: openDuly},
		{name: engineSQLite, title: "SQLite, modernc.org/sqlite", module: "modernc.org/sqlite", peer: true, open: openSQLite},
		{name: engineBolt, title: "bbolt", module: "go.etcd.io/bbolt", peer: true, open: openBolt},
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

// Items are made from their numbers, so that nothing but the counter is kept: a process of ten million has to weigh only what its
// store weighs.

// payloadShape is a payload whose # become random hexadecimal digits: text that compresses as such text does, by a third or so.
const payloadShape = `{"order":"################","customer":"############","channel":"email","template":"payment-reminder",` +
	`"locale":"de-DE","amount":"####","link":"https://s.example/o/####################","try":1,"n":"#"}`

// makeItem gives task i.
func makeItem(i uint64, due int64) item {
	return item{name: makeName(i), due: due, payload: makePayload(i)}
}

func makeName(i uint64) string {
	name := []byte("order-0000000000000000")
	hexTo(name[6:], mix(i))
	return string(name)
}

func makePayload(i uint64) []byte {
	p := []byte(payloadShape)
	seed, left := uint64(0), 0
	for at, c := range p {
		if c != '#' {
			continue
		}
		if left == 0 {
			i += 1 << 40
			seed, left = mix(i), 16
		}
		p[at] = hexDigits[seed&15]
		seed, left = seed>>4, left-1
	}
	return p
}

const hexDigits = "0123456789abcdef"

func hexTo(b []byte, x uint64) {
	for at := range b {
		b[at] = hexDigits[x>>60]
		x <<= 4
	}
}

// mix scrambles a counter (the finaliser of SplitMix64, Steele et al., OOPSLA 2014): a random stream without state.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
