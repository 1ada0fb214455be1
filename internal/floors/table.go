package floors

// Module is the path of the core module; every import below it is an import of a room.
const Module = "github.com/dulyhq/duly"

// Table is the house as it stands. A room is added in the commit that brings its first file, because a row without files
// is an error too. What each is for is told at more length in docs/architecture.md.
var Table = []Room{
	{Path: "clock", Floor: 0, Waits: true, For: "reading time and waiting for it"},
	{Path: "internal/zonedb", Floor: 0, For: "where time zones are read from, so that a test can change their rules"},
	{Path: "internal/spelling", Floor: 0, For: "words as people type them: the one that was meant"},
	{Path: "internal/verdict", Floor: 0, Tests: true, For: "what a scheduler really did, judged by a log that is kept outside it"},
	{Path: "internal/pgtest", Floor: 0, Tests: true, For: "PostgreSQL servers for tests, shared or to be broken"},
	{Path: "schedule", Floor: 1, For: "when: pure rules from one instant to the next"},
	{Path: "schedule/when", Floor: 2, For: "instants as people write them: tomorrow 9:30, now + 3 days"},
	{Path: "timer", Floor: 2, Waits: true, For: "the in-process engine"},
	{Path: "internal/park", Floor: 3, Waits: true, For: "how a call blocks: the list of waiters; in a bubble it waits by the runtime's timer"},
	{Path: "wait", Floor: 4, For: "blocking with a time limit: sleeps, locks, events, conditions, futures, pools"},
	{Path: "queue", Floor: 4, For: "handing values over, with a time limit"},
	{Path: "deadline", Floor: 4, For: "streams with a time limit: idle, read, write, total, a least rate"},
	{Path: "proc", Floor: 4, For: "child processes with a time limit, their whole group"},
	{Path: "store", Floor: 4, For: "the durable contract: what is kept, which moves are legal, the interface in words"},
	{Path: "store/storetest", Floor: 5, Tests: true, For: "the contract as a suite that holds any store to it"},
	{Path: "store/memory", Floor: 5, For: "the reference store, in memory"},
	{Path: "store/pebble", Floor: 5, Own: true, For: "the embedded store, in a directory"},
	{Path: "store/postgres", Floor: 5, Own: true, Waits: true, For: "the shared store, in a PostgreSQL database"},
	{Path: ".", Floor: 6, For: "durable named tasks: putting them, and running them: claim, attempt, settle"},
	{Path: "internal/contract", Floor: 7, Tests: true, For: "the contract of duly as a suite, on any store"},
	{Path: "internal/sim", Floor: 7, Tests: true, For: "a seeded simulation of package duly: a world of tasks and faults, in virtual time"},
	{Path: "internal/proof", Floor: 8, Own: true, Tests: true, For: "duly on the embedded store and on PostgreSQL: its contract, kills and power cuts"},
	{Path: "internal/clusterproof", Floor: 8, Own: true, Tests: true, For: "duly on several processes and one server: kills, freezes, failovers, lost connections, wrong clocks"},
	{Path: "dulytest", Floor: 7, Tests: true, For: "tests of programs that schedule tasks, which own the time"},
	{Path: "internal/scrape", Floor: 7, For: "asking a scheduler for its counters without being held up by its store"},
	{Path: "target", Floor: 7, For: "what the daemon can run for a task: a command, an HTTP callback"},
	{Path: "telemetry/otel", Floor: 8, Own: true, For: "spans of attempts and instruments over the counters, for OpenTelemetry"},
	{Path: "telemetry/prometheus", Floor: 8, Own: true, For: "the counters for Prometheus, with a board and alert rules"},
	{Path: "api", Floor: 8, For: "a scheduler over HTTP: the handler, and what its requests and answers are made of"},
	{Path: "client", Floor: 9, For: "talking to whoever serves package api, with duly's verbs and errors"},
	{Path: "cmd/duly", Floor: 10, Own: true, For: "the command line"},
	{Path: "examples", Floor: 10, Tree: true, Waits: true, For: "programs a reader can run; they wait as a user's own program would"},
	{Path: "examples/cluster", Floor: 10, Tree: true, Own: true, Waits: true, For: "programs of several processes, on one database"},
	{Path: "examples/durable", Floor: 10, Tree: true, Own: true, Waits: true, For: "programs whose tasks outlive them, in a directory"},
	{Path: "bench", Floor: 10, Tree: true, Own: true, Waits: true, For: "measurements beside other engines, which wait in their own ways"},
	{Path: "internal/floors", Floor: Apart, For: "this table and its check"},
	{Path: "internal/mutate", Floor: Apart, Waits: true, For: "the check that the tests notice small changes of the code"},
	{Path: "internal/readme", Floor: Apart, For: "the check that the README is true"},
}
