// Package proof is for holding package duly on the embedded store and on PostgreSQL to its contract: the suite of internal/contract,
// processes that are killed, machines that lose their power. It is a module of its own, because the core must not require what the
// stores do. It holds tests, and what only they need; whatever a store by itself has to be shown is shown in its own module, and what
// several processes do to one database in internal/clusterproof.
package proof
