// Package timer runs things later, in this process: unnamed timers with the contract of [time.AfterFunc], and named
// tasks that start at a given time, are moved or cancelled by name until they have started, recur, and survive panics and
// clock changes. It replaces time.AfterFunc with a map and a mutex around it, java.util.Timer and hand-written heaps. It
// is not for tasks that must outlive the process; those want a durable store.
//
// The central type is [Engine]. All engines are alike; one is enough for a process.
//
// # What is promised
//
//   - Never early: no run begins before its due time. Late by a wake-up, a fraction of a millisecond on an idle Linux
//     machine, and by what the machine needs if it is busy; [Engine.Stats] counts both.
//   - Delays count elapsed time, suspend included where the platform can tell; setting the wall clock does not touch them.
//     Instants ([schedule.At], and recurring schedules with From, Until or AlignTo) follow the wall clock, also when it is
//     set: forward, and what was passed is late; back, and nothing that has started starts again.
//   - Exactly one of Cancel and the start wins. After Cancelled the handler of that task will not be called any more; after
//     Running it may be running, and may go on after Cancel has returned.
//   - One name runs at most once at a time, unless Overlap(Allow).
//   - No handler blocks, starves or kills another: handlers run on goroutines of their own, reused, that grow in number
//     when handlers block; a panic or runtime.Goexit ends the run and nothing else, and is reported with its stack.
//   - Nothing polls. The driver sleeps until the earliest due time and is woken by an earlier arrival. An engine with
//     nothing pending holds no goroutine, and within some milliseconds no armed timer. The one exception is a platform
//     other than Linux, which cannot announce that the wall clock was set: there it is read again at least once a minute
//     while an instant is pending.
//   - After [Engine.Close] has returned nil, nothing runs any more and nothing is left.
//
// In plain words: what you put runs once it is due, unless you cancelled it first, and you are told which.
//
// # Costs
//
// Put and Cancel of a plain one-off, AfterFunc, Stop, Reset and Move cost one lock of one shard, read the clock once, and
// allocate nothing; a pending task costs about 70 bytes besides its name. What a task needs rarely is made when first
// asked for: a record when it has options or starts, a channel for [Task.Done], a context's channel for its Done.
//
// # Bubbles
//
// An engine made inside a testing/synctest bubble follows the bubble's time and belongs to it; used on the other side of
// the bubble's edge it refuses, with [ErrBubble]. Tests that cannot live in a bubble set Options.Clock to a
// [clock.Manual].
package timer
