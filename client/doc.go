// Package client puts and steers tasks of a daemon, or of any other process that serves package api, over its unix socket or over TCP.
//
// It has the verbs of [duly.Scheduler] and its errors: errors.Is finds duly.ErrNotFound where the scheduler would have returned it. What
// it takes and returns are the wire objects of package api. It is not for running tasks: handlers are functions of a process that has the
// store open. Its central type is [Client].
//
// # What an error says
//
// One that is [duly.ErrUnknown] is that of a write whose answer did not come: the connection broke, or the context ended, after the
// request had gone out. It may have taken place or not; look, or repeat what does no harm twice. Any other error of a write says that
// nothing was written.
//
// An [*UnreachableError] says that nobody answers at the address: nothing was sent. An [*api.Error] is what the daemon refused, with the
// field at fault and what would be right; a [*duly.Error] is what the client refuses itself.
//
// # What is tried again
//
// What only reads is tried again, a few times, when the connection breaks before the answer is there. A write never is once it may have
// reached the daemon. [Client.Events] goes on where it was after any break, until its context ends.
//
// # Time
//
// No call has a time limit of its own, but for the ten seconds in which a connection has to come about: give the context a deadline.
package client
