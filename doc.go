// Package duly runs named tasks that outlive the process: put a task under a name, and it starts when it is due, is moved or cancelled
// by that name until it has started, recurs, is retried, and survives crashes, because a store keeps it. It is for what must not be
// lost: reminders, reports, retries, expiries. For closures that may end with the process there is package timer, which costs less.
//
// The central type is [Scheduler], made by [New] on a store: one in a directory (store/pebble), one in memory, which is the default,
// or one of your own. [Handle] ties a kind of task to the function that runs it, and returns the [Kind] to put tasks with.
// [Scheduler.Run] works; a process that only puts never calls it.
//
// # Who is authoritative
//
// The store is. Whatever this package keeps in memory is a copy of what is due soon, and decides nothing: an attempt begins only
// after the store has granted a lease on it, by the store's own clock.
//
// # What is promised
//
//   - A Put that has returned nil is as durable as the store promises, and runs at least once per occurrence, unless it is cancelled,
//     replaced or expires first. [AtMostOnce] turns that round: the start is recorded first, and what was lost is not tried again.
//   - Never early: no attempt begins before its due time by the store's clock. How late it began is measured in three parts, see [Lateness].
//   - Exactly one of Cancel and the start wins, and the answer says which.
//   - One name runs at most once at a time, unless [Overlap]([Allow]).
//   - A failed attempt is tried again with backoff, as [Retry] says; what is out of attempts is dead, kept, and can be redriven. An
//     error, a panic or a runtime.Goexit ends its attempt and nothing else.
//   - Nothing polls. A sleeping scheduler is woken by the earliest due time or by an earlier arrival.
//
// # What is not
//
// Effects are not exactly once: an attempt whose process dies after the effect and before the settlement is tried again. The fence,
// [AttemptInfo].Fence, lets what the handler writes to refuse a stale attempt. A running handler that ignores its context is not stopped.
//
// # On failure
//
// If the process dies, its runs are found when the store is opened again and tried again with the reason "lost", one at a time, and
// at most [MaxLost] times, or a few more where another may be to blame, so that a task that kills its process ends as dead and its
// neighbours do not. While the store fails, handlers that run go on, their outcomes wait, and nothing new starts.
package duly
