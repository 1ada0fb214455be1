// Package queue hands values over from one goroutine to another. If a plain channel will do, use it: it is faster, select
// understands it, and a bounded one that a single sender closes needs nothing from here. This package is for what a channel
// cannot do: hold without limit and give the memory back, be closed while others put, take with a timeout that costs no timer
// of the runtime, hand out by priority or newest first, tell when everything was processed, pick out one message and leave
// the rest in order, answer, or keep a value until it is due.
//
// The central type is [Queue]: values for workers, with back-pressure and an account of what is not done yet. [Mailbox] is
// what one goroutine receives from many, in an order of its own choice. [Call] is a question with an answer. [Delay] gives
// values out when their time has come.
//
// # What holds for all of them
//
// An operation that can block comes in three forms. Op(ctx, ...) blocks as long as the context lets it and then fails with the
// context's cause, also if what it wants is there. OpFor(d, ...) blocks for d at most and then fails with [ErrTimeout]; with a
// d of zero or less it takes what can be had at once, and does not join those who wait. A timeout is an absolute deadline, d
// from when the call first blocks, and [Mailbox.ReceiveIfFor], which may look around for long before that, counts from the
// call: however often the call is woken for nothing, its end stays where it is. TryOp never blocks.
//
// A value is handed to exactly one receiver. If a receiver gives up at the moment at which it would be given a value, exactly
// one of the two happens, and the value that it did not get goes to the next. Those who wait are served first come, first
// served. Nothing polls, and nobody is woken who has nothing to do; the one exception is [Mailbox.ReceiveIf], which is woken to
// look at each new message.
//
// Values are never copied but by assignment, and none is referred to after it was handed out: who puts a pointer shares what it
// points to. After a burst the memory shrinks again. There are no finalizers and no goroutines: something here that is not
// used any more is closed by its owner, or just forgotten if nobody waits on it.
//
// The zero values are ready for use, except where a constructor is needed to say more. All methods are safe from several
// goroutines. Nothing may be copied after its first use. The field Engine is the engine whose deadlines the timeouts are; nil
// is a default engine, shared by all. It must not be changed while something waits. If it is closed or breaks, calls that need
// it for a timeout fail with its reason, also those that wait already. Inside a testing/synctest bubble the default is the
// bubble's own time.
package queue
