package store

import (
	"fmt"
	"slices"
)

// A State is what a run is in, or the occurrence that it may become. Paused is none: it is a property of the task.
type State uint8

// The states. None is before the first and after the name is free again. A task in the store is Pending or Running; a run that is
// Dead is kept beside it; the others are found in the history.
const (
	None State = iota
	Pending
	Running
	Done
	Dead
	Cancelled
	Expired
	Skipped // an occurrence of a recurring task that was passed by, or folded into a later one
)

var stateNames = [...]string{"none", "pending", "running", "done", "dead", "cancelled", "expired", "skipped"}

// String returns the state's name in lower case.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// ParseState returns the state of a name.
func ParseState(name string) (State, error) {
	for i, n := range stateNames {
		if n == name {
			return State(i), nil
		}
	}
	return None, &Error{Op: "parse state", Field: "name", Value: name, Want: "pending, running, done, dead, cancelled, expired or skipped", Err: ErrInvalid}
}

// A Verb is what moves a task.
type Verb uint8

// The verbs. Those from VerbMove on are what an Edit can do.
const (
	_ Verb = iota
	VerbPut
	VerbCancel
	VerbClaim
	VerbSettle
	VerbRetry
	VerbSnooze
	VerbRelease
	VerbMove
	VerbPause
	VerbResume
	VerbRun
	VerbSkip
	VerbRescue
	VerbBury
	VerbRedrive
	VerbStop
	VerbAlign
)

var verbNames = [...]string{"", "put", "cancel", "claim", "settle", "retry", "snooze", "release", "move", "pause", "resume", "run", "skip", "rescue", "bury", "redrive", "stop", "align"}

// String returns the verb in lower case.
func (v Verb) String() string {
	if int(v) < len(verbNames) && v != 0 {
		return verbNames[v]
	}
	return fmt.Sprintf("verb(%d)", uint8(v))
}

// An Arrow is a legal move of an occurrence from one state to the next.
type Arrow struct {
	From, To State
	Verb     Verb
	When     string // in words
}

// Arrows returns all legal moves: the drawing of docs/states.md as a table. The two that leave no entry of their own in the history,
// put to nothing and claim, are told by the entry of what comes after them.
func Arrows() []Arrow {
	return []Arrow{
		{None, Pending, VerbPut, "a task is accepted"},
		{Pending, Cancelled, VerbPut, "it is replaced before it began"},
		{Pending, Running, VerbClaim, "it is due and somebody takes it, with a new fence"},
		{Pending, Cancelled, VerbCancel, "it is cancelled before it began, or while it waits for a retry"},
		{Pending, Pending, VerbMove, "it is given another instant"},
		{Pending, Pending, VerbAlign, "the rules of its zone have changed"},
		{Pending, Pending, VerbPause, "nothing of it is claimed from now on"},
		{Pending, Pending, VerbResume, "it may be claimed again"},
		{None, Pending, VerbRun, "somebody wants an extra run of a recurring task"},
		{Pending, Skipped, VerbSkip, "an occurrence is passed by: overlap, catch-up, pause"},
		{Pending, Expired, VerbSkip, "its start deadline has passed"},
		{Pending, Skipped, VerbClaim, "occurrences are folded into the one that is claimed"},
		{Pending, Dead, VerbBury, "nobody may try it any more"},
		{Running, Done, VerbSettle, "the attempt succeeded"},
		{Running, Dead, VerbSettle, "the attempt failed, for good or with its budget spent"},
		{Running, Cancelled, VerbSettle, "the attempt failed, or stopped, after a cancel or a replacement"},
		{Running, Pending, VerbRetry, "the attempt failed and there is budget left"},
		{Running, Pending, VerbSnooze, "the handler wants to be asked later; it does not count"},
		{Running, Pending, VerbRelease, "the attempt was given back before it did anything; it does not count"},
		{Running, Pending, VerbRescue, "the lease was lost, and there is budget left"},
		{Running, Dead, VerbRescue, "the lease was lost, and there is no budget left"},
		{Running, Cancelled, VerbRescue, "the lease was lost after a cancel or a replacement"},
		{Pending, Skipped, VerbResume, "occurrences that fell while it was paused are passed by"},
		{Pending, Cancelled, VerbSettle, "the schedule is ended by an attempt"},
		{Running, Running, VerbCancel, "an attempt may finish and is not retried"},
		{Running, Running, VerbPut, "the same, for one whose task was replaced"},
		{Running, Running, VerbStop, "an attempt is asked to stop"},
		{Pending, Cancelled, VerbStop, "a run that waits is given up"},
		{Dead, Pending, VerbRedrive, "somebody wants it tried again"},
	}
}

// Legal says whether a move is one of Arrows.
func Legal(from, to State, by Verb) bool {
	return slices.ContainsFunc(Arrows(), func(a Arrow) bool { return a.From == from && a.To == to && a.Verb == by })
}
