// Package clusterproof is for holding package duly, on several processes that share a PostgreSQL server, to its contract while they are
// killed and frozen, while servers restart and standbys take their place, while connections break and clocks are wrong. It is a module of
// its own, because the core must not require what the store does. It holds tests, and what only they need; what one process shows on this
// store is shown in store/postgres.
package clusterproof
