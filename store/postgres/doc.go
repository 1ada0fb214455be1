// Package postgres keeps tasks in a PostgreSQL database, for any number of processes at once: the same contract as the embedded store, and
// tasks that exist if and only if the application's own transaction commits.
//
// Its central type is [Store]. It is not for tables of the application's, and it is no general layer over SQL: the rules are package
// store's, and the database keeps what they say, serialises the writes of a name, and owns the time.
//
// # How it works
//
// A task is a row under its name. Writes are merged by a few writers into batches, each a transaction of two round trips: the rows are
// locked, the transitions of package store are applied to what they hold, and what has become of them is written and committed. Tasks
// are found by their place in one index, so that a page costs what is on it.
//
// Processes divide the tasks by shards, 256 for ever: each shard is owned by one process under a lease of two seconds, and a process
// that dies is followed by another. Owning is about who looks, not about who may: a claim is a conditional write, and every write of a
// worker carries its fence.
//
// # What is promised
//
// A call is answered when its transaction has committed: as durable as synchronous_commit says. What is not known is ErrUnknown: the
// connection was lost with the commit under way. docs/operating-postgres.md tells of roles, poolers, sizing and failover.
package postgres
