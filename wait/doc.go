// Package wait is for blocking with a deadline: sleeps that can be interrupted, locks, semaphores, events, conditions, latches,
// futures, groups and pools, every one of which takes a context or a time. Where one goroutine hands a value to another, where
// a select over several sources is wanted, or where nobody ever gives up, a plain channel or package sync is the better answer:
// both are faster than anything here, and every reader knows them. Take this package when a wait must end in time and the thing
// waited for is a lock, some permits or a state, rather than a value.
//
// What blocks here costs no timer of the runtime and no goroutine of its own. A call that finds what it wants returns at once
// and allocates nothing. Only one that must block arms a deadline, of a [timer.Engine]: an entry in its wheel. Nothing polls.
//
// # Names
//
// Where Op waits, Op(ctx, ...) waits until the context ends, and OpFor(d, ...) for d at most. Where Op has a shape that
// everybody knows (Lock, Wait), the form with a context is OpContext. TryOp does not wait. Where both a context and a time
// are wanted, give the context a deadline.
//
// # What all of them promise
//
//   - First come, first served. What is freed is handed to the call that has waited longest; a newcomer does not overtake.
//   - Of the grant, the end of the context and the end of the time exactly one wins. A call that returns nil has what it asked
//     for, one that returns an error has nothing and has changed nothing; a grant is not lost between the two, but goes to the
//     next in line.
//   - A context that has ended fails the call with its cause, even if what is wanted is free. A nil one is context.Background().
//     OpFor with a d of 0 or less takes what is free and fails otherwise; it has no place in the line, and keeps nobody out.
//   - A time that is up is [ErrTimeout], which errors.Is finds to be context.DeadlineExceeded and os.ErrDeadlineExceeded, and
//     whose Timeout method returns true. A context's own deadline gives the context's cause.
//   - Times are counted from when the call blocks, by elapsed time: setting the clock does not move them. Only what takes an
//     instant ([SleepUntil], [Napper.NapUntil]) follows the wall clock.
//
// # Engines
//
// A type that can block has a field Engine. Nil, as in the zero value, is an engine that all share, that holds no goroutine
// while it has no deadline, and is never closed. One that is set is for tests with a clock moved by hand, and for those who
// want deadlines counted apart; closing it answers those who wait for a time on it with [timer.ErrClosed], and a call that
// must block for a time on it fails with that as well.
//
// Inside of a testing/synctest bubble a nil Engine means the bubble's own time. A value is then to be used on one side of the
// bubble's edge only, like a channel.
//
// # What there is not
//
// No lock here is re-entrant. Whoever holds a lock may rely on what it guards being whole; a function that locks again what
// its caller has locked sees it half-changed, and works until somebody else calls it. Split such a function in two: one that
// locks, and one, whose name ends in Locked, that must be called with the lock held.
//
// No goroutine can be killed from outside: it might hold a lock, or be half through a change. Ask it to end, by a context, and
// let it end where that is safe.
//
// Nothing is released by a finalizer. When the collector runs is nobody's deadline; Unlock, Release and Close are.
package wait
