// Package deadline puts limits of time on streams: no byte for so long, so long in all, fewer bytes than so many in so long.
// Its central type is [Conn], a net.Conn whose blocked Read or Write ends when a limit is reached; [Reader] and [Writer] do
// the same for a pipe, a file that can be polled, or anything that Close interrupts.
//
// It is not needed for one absolute deadline: net.Conn's own SetDeadline is that. It is for what a deadline that must be moved
// after every byte is asked to do, and for a server that cannot move deadlines itself because net/http or another package
// does the reading.
//
// # What is promised
//
// A peer that stalls ends the operation that waits for it when the limit is reached, never before. A peer that is slow but
// alive never does, but for [Total] and [MinRate], which are there to end it: each byte counts, also in the middle of a
// long Write. Limits count only while an operation waits: between operations nobody is timed, and what was reached
// in one never hits the next. Limits can be changed at any time, also while a Read or a Write blocks.
//
// The error is an [*Error], which names the operation and the limit, is a net.Error whose Timeout is true, and is
// os.ErrDeadlineExceeded and context.DeadlineExceeded to errors.Is. After it the stream can be used again: the next
// operation has its whole time, as after an extended deadline of a net.Conn. [Total] is different, as it counts from the
// beginning: everything fails until SetTotal.
//
// A limit ends an operation and closes nothing, but what has no deadlines of its own and can only be interrupted
// by Close. Whoever gets the error decides.
//
// # How it works, and what it costs
//
// A stream has one entry in the engine at most, and no goroutine. The entry is set when an operation begins and none is set
// that would come early enough; it is not moved for each byte. When it comes and bytes have moved meanwhile, it is set
// anew: a busy stream touches the engine once in the time of its limit. An operation costs two looks at the clock, no
// allocation and no system call; BenchmarkConnRead measures it. When a limit is reached, a deadline that has passed is set
// on the underlying stream, the runtime's poller wakes the blocked operation, and the deadline of the user is put back.
//
// Of several Reads of a stream at a time, or several Writes, one is on the underlying stream and the others wait in the wrapper,
// first come, first served, as they would below it. So an end that is meant for one of them hits no other one, and a Write that
// was interrupted goes on before the next begins.
//
// How far a Write has come is known only when it returns. So while one blocks, it is interrupted and continued eight
// times in the time of the shortest limit, and a write that stalls ends between the limit and an eighth more after its
// last byte. That is possible with the streams of packages net and os, and with a Conn above one. With others, a
// *tls.Conn above all, whose writes cannot be continued, a Write counts as a whole: put the Conn between the socket and TLS,
// as tls.NewListener over [NewListener] does. What counts as written is what the kernel has taken.
package deadline
