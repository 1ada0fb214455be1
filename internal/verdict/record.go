package verdict

import (
	"fmt"
	"time"
)

// An Op is what a record says.
type Op uint8

// The ops, each with the fields of Record that it has beside At and the incarnation. All others are not written.
const (
	_         Op = iota // the zero Op is none
	Start               // the incarnation starts: Pid, Torn. A Writer writes it
	Died                // the incarnation is dead: written by another process, after it has waited for it
	Begin               // an attempt begins: Serial, the run, Due, Fence. It is written before the handler does anything
	End                 // and ends: the same, with Completed and Error
	Asked               // before a change of a task is asked for: Name. Without an answer it is in doubt whether it was made
	Answered            // any answer but the next four, an error too: Name
	Put                 // accepted, also where nothing changed: the run, Due, Recurring
	Cancelled           // Cancelled was the answer: Name, Generation
	TooLate             // Running was the answer to a cancel: no attempt begins but the one that was claimed, which may not have begun: Name, Generation
	Moved               // accepted: as Put, of the generation Next, which supersedes Generation
	Settled             // the scheduler says that the run is done: the run
	Paused              // after the answer; until the next Asked of the name: Name, and the generation that the pause has made
	ops                 // how many there are
)

var opNames = [ops]string{
	Start: "start", Died: "died", Begin: "begin", End: "end", Asked: "asked", Answered: "answered",
	Put: "put", Cancelled: "cancelled", TooLate: "tooLate", Moved: "moved", Settled: "settled",
	Paused: "paused",
}

// String returns the op as the log spells it.
func (o Op) String() string {
	if o > 0 && o < ops {
		return opNames[o]
	}
	return fmt.Sprintf("Op(%d)", uint8(o))
}

// An Incarnation is one life of a process.
type Incarnation struct {
	Node string // what starts again under the same name after a death; "" is a node like any other
	Boot int64  // its number among the node's lives, rising, from 1
}

// A Run identifies a run: the same for all of its attempts.
type Run struct {
	Name         string
	Generation   int64
	ScheduledFor int64 // µs; in a Put or Moved, 0 where the producer does not know: any run of the generation is meant
}

// String returns the run for people, its instant in UTC.
func (r Run) String() string {
	return fmt.Sprintf("%q@%d@%s", r.Name, r.Generation, stamp(r.ScheduledFor))
}

// A Record is one line of the log. Which fields count depends on Op.
type Record struct {
	Op   Op
	Line int   // where it stood in what was read, from 1; 0 was not read. It isn't written
	At   int64 // µs: of a Begin and End by the handler, of an answer when it had come, of Asked before

	Incarnation // who writes, but of a Died who died

	Run              // of a Put or Moved of a recurring task only Name and Generation count
	Due       int64  // µs; of an attempt what the scheduler says, of a one-off what was accepted
	Fence     int64  // of the attempt
	Serial    int64  // of the attempt, unique in the incarnation; ties the End to its Begin
	Next      int64  // the generation that a Moved made
	Pid       int64  // of the incarnation, for people
	Torn      int64  // bytes of a torn line that the start found before it
	Recurring bool   // there is no single run, so that none can be missed, late, or begun after a cancel or a move
	Completed bool   // the handler returned nil
	Error     string // what else it returned; at most 4 KiB are written
}

// String returns the record as the log spells it, without the checksum.
func (r Record) String() string { return string(appendBody(nil, &r)) }

// stamp returns an instant for people.
func stamp(micros int64) string {
	return time.UnixMicro(micros).UTC().Format("2006-01-02T15:04:05.000000Z")
}
