// Package sim runs package duly in a world that is drawn from a number, its seed, and judges what came of it. It holds tests only.
//
// A world has one process or two on one store in memory, tasks of every kind, producers that put, move, pause and cancel while it goes
// on, handlers that fail, panic and hang, and faults: wall-clock steps, suspends and pauses longer than a lease, store calls that are
// slow, fail, hang, or take effect and do not say so, deploys and crashes. Then everything is healed, and there must be progress.
//
// Time is virtual. A world lives in a testing/synctest bubble on a clock.Manual, which it moves to the next instant at which anything
// is to happen, once all goroutines wait. The seed decides everything but the order of goroutines that are ready at the same instant;
// the verdicts must not depend on that. It is not for the store's contract: that is package storetest's, and the store is believed here.
//
//	go test ./internal/sim -run TestSim -sim.seed=N       # one world again, with its log
//	go test ./internal/sim -run TestSim -sim.seeds=2000   # as many worlds
package sim
