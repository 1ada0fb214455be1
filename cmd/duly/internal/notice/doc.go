// Package notice tells whoever runs the daemon which tasks went wrong: those that have died, that have expired, that start too late or
// have been due for too long.
//
// It is not for tasks themselves, whose callbacks are package target's, and not for saying that the daemon is well, which is package
// deadman's. Its central function is [Run], which follows the history of a store and hands a [Notice] to a [Receiver].
//
// # What is promised
//
//   - What is written in the history is told, or counted in a notice that is told, also if the daemon was killed in between or the receiver
//     was away: how far the history has been told is a note in the store. At least once: a notice that is told again has the same id.
//   - No more than Limit notices in an Interval, and of one task one. What is held back is counted, and a summary tells how many there were.
//   - One message is under way at a time, and what waits behind it is in the store. Memory does not grow with what there is to tell, and no
//     task waits for it.
//   - A receiver that fails is tried again, after up to five minutes, for ever. A notice that it does not take for a quarter of an hour is
//     counted in the next summary, so that the history can be read before its retention ends. It is logged when it begins to fail and when it
//     works again.
//   - Of daemons that share a store one tells. A receiver is no task: if it fails, nothing dies of which there would be something to tell.
package notice
