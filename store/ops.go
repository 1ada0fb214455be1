package store

import "time"

// A Conflict says what a Put does when its name has a task already. None of them touches an attempt that runs: it keeps its lease
// and may finish, its failure is not retried, and what is put waits until it has ended, but for a Claim with Overlap.
type Conflict uint8

// The conflict policies.
const (
	Replace  Conflict = iota // the new task takes the old one's place
	Keep                     // the old one stays, and the Put is no error
	Fail                     // ErrExists
	KeepTime                 // the new task, at the old one's instant
	Earliest                 // the new task, at the earlier of the two instants
	Debounce                 // the new task, but no later than Put.MaxWait after the first Put of the burst
)

// A Put declares a task.
type Put struct {
	Key
	Spec
	When         When
	AcceptedAt   Instant // for a grid whose first instant the caller has worked out; not set: when the store accepts it
	OnConflict   Conflict
	MaxWait      time.Duration // of Debounce; 0 is no bound
	IfGeneration int64         // only if the task is of this generation; 0 asks nothing
	IfAbsent     bool          // only if the name has no task
	IfPending    bool          // only if the name has a task and no attempt of it runs
	AnyKind      bool          // also over a task of another kind
}

// A PutOutcome says what a Put did.
type PutOutcome uint8

// The outcomes of a Put.
const (
	Created    PutOutcome = iota + 1
	Replaced              // there was a task of this name
	Unchanged             // it declares what is there: same generation, same instant
	Kept                  // Keep: what is there stays
	AlreadyRan            // a one-off that ran before, as its history says, is not run again
)

// String returns the outcome in lower case.
func (o PutOutcome) String() string {
	if o >= Created && o <= AlreadyRan {
		return [...]string{"created", "replaced", "unchanged", "kept", "already ran"}[o-1]
	}
	return "none"
}

// A PutResult is the answer to one Put. Task is the task as it is now, nil after AlreadyRan and after an error. Err is ErrInvalid,
// ErrExists, ErrKindMismatch or ErrCondition.
type PutResult struct {
	Outcome PutOutcome
	Task    *Task
	Err     error
}

// A Cancel ends a task: nothing of it begins any more, and a failure of what runs is not retried.
type Cancel struct {
	Key
	IfGeneration int64
	Stop         bool // attempts that run are asked to stop as well
	Reason       string
}

// A CancelOutcome says what a Cancel found.
type CancelOutcome uint8

// The outcomes of a Cancel.
const (
	CancelUnknown   CancelOutcome = iota // no task of this name, and none that the history knows
	CancelCancelled                      // it will not begin
	CancelRunning                        // it had begun
	CancelFinished                       // it had ended
)

// String returns the outcome in lower case.
func (o CancelOutcome) String() string {
	if int(o) < 4 {
		return [...]string{"unknown", "cancelled", "running", "finished"}[o]
	}
	return "none"
}

// A CancelResult is the answer to one Cancel. Task holds the attempts that still run, and is nil if there are none. Err is
// ErrInvalid or ErrCondition.
type CancelResult struct {
	Outcome CancelOutcome
	Task    *Task
	Err     error
}

// An Edit changes a task in another way. What is not named for a verb is not looked at.
//
//   - VerbMove gives the next occurrence another instant, When; a one-off's attempts begin anew. Schedule, if it is not empty,
//     becomes the task's, and so does Payload, if it is not nil. Where When is none and Payload is given, instants and attempts stay as
//     they are. It is ErrRunning while a one-off runs.
//   - VerbPause: nothing is claimed until VerbResume. That sets the next occurrence, if there is one, to When unless that is none, and
//     Missed is how many are passed by, from the one that was next through Through. Either does nothing if that is how it is.
//   - VerbRun makes an extra run at When of a recurring task, beside its schedule. A one-off is moved.
//   - VerbSkip passes the next occurrence by, if it is still For: State is Skipped or Expired, Missed how many are passed by (0 is 1,
//     itself), Through the last of them, and When the occurrence that is next; none ends the task.
//   - VerbAlign sets the next occurrence of a recurring task, if it is still For, to When: the schedule has it there now, because the rules
//     of its zone have changed. Through is where the last one that is accounted for would have been by them, if that is after where it
//     was. The generation stays. It is ErrChanged if the occurrence was moved.
//   - VerbRescue takes run (Generation, For) with Fence from a holder whose lease is over: State is Pending, and then it is due at
//     When, or Dead. It is ErrRunning while the lease lasts, and ErrFenced if it is not that lease. A run that was asked to stop,
//     or whose task was replaced or cancelled, is Cancelled.
//   - VerbBury ends a run that waits, or the next occurrence, as Dead; in the latter case When is the one after it.
//   - VerbStop asks the attempt of run (Generation, For) to stop, and gives up a run that waits. No attempt of it comes after.
//   - VerbRedrive makes a dead run pending again, due at When, with all its attempts. It is ErrExists if the name has been given
//     to another task. Like VerbRun of a recurring task it is ErrInvalid if the task has MaxRuns runs already.
//
// Where VerbRescue, VerbBury or VerbStop ends a run of a fixed delay, Next is what comes after it; where one ends a run as Dead, End
// ends the schedule: both as a settlement's.
type Edit struct {
	Verb Verb
	Key
	IfGeneration int64
	When         When
	Schedule     string
	Payload      []byte
	Reason       string
	Generation   int64 // with For: which run
	For          Instant
	Fence        int64
	State        State
	Missed       int64
	Through      Instant
	Next         When
	End          bool
}

// An EditResult is the answer to one Edit. Task is the task as it is now, nil if that was its end. State is what VerbRescue or VerbBury
// has made of the run, which may be Cancelled in place of what a rescue asked for; 0 of other verbs. Err is ErrInvalid, ErrCondition,
// ErrNotFound, ErrRunning, ErrChanged, ErrFenced, ErrExists or, of what a scheduler does by itself (VerbSkip, VerbAlign, VerbRescue,
// VerbBury, VerbStop), ErrBusy where a transaction that has not ended holds the task.
type EditResult struct {
	Task  *Task
	State State
	Err   error
}

// A Claim takes an occurrence, or the next attempt at a run, under a lease.
type Claim struct {
	RunID                    // of the task's next occurrence, with the task's generation; or of a run that waits
	As         Occurrence    // the one to run in its place, later, when occurrences are folded; none: the one that is named
	Missed     int64         // how many are folded
	Through    Instant       // the newest of them, if that is after what is run: nothing up to it comes again
	Next       Occurrence    // what comes after it, recorded by the same write; none: it was the last, or a fixed delay sets it
	Lease      time.Duration // more than 0
	NotAfter   Instant       // the start deadline; not set: there is none
	Overlap    bool          // also while another attempt of the name runs
	FirstStart bool          // sync before answering: the start must be on record, whatever happens (AtMostOnce)
	Owner      string
}

// A ClaimResult is the answer to one Claim. Task is the task with the run in it, RunID names it (it is another than the claim's if
// occurrences were folded), and At is the store's time of the claim. Err is ErrInvalid, ErrChanged (the task is gone, replaced, or
// past that occurrence), ErrNotDue, ErrBusy (another attempt runs, or, in a store that is a Transactor, a transaction that has not ended
// holds the task: claims beside it are not held up by that), ErrPaused, ErrTooLate or, of a store that is an Owner, ErrNotOwner.
type ClaimResult struct {
	Task  *Task
	RunID RunID
	Fence int64
	At    Instant
	Err   error
}

// A Renewal prolongs a lease to Lease from now.
type Renewal struct {
	RunID
	Fence int64
	Lease time.Duration
}

// A RenewResult is the answer to one Renewal. Stop says that the attempt is asked to stop. Err is ErrInvalid, ErrFenced, or
// ErrBusy where a transaction that has not ended holds the task: the lease is what it was.
type RenewResult struct {
	Stop bool
	Err  error
}

// A Settlement is how an attempt ended.
type Settlement struct {
	RunID
	Fence  int64
	Verb   Verb   // VerbSettle; VerbRetry, VerbSnooze, VerbRelease: it is to be tried again
	State  State  // of VerbSettle: Done, Dead or Cancelled
	When   When   // of the others: the next attempt
	Next   When   // the next occurrence of a fixed delay, counted from now; none: it stays what it is
	End    bool   // no further occurrence
	Reason string // kept up to 4 KiB
}

// A SettleResult is the answer to one Settlement. State is what the run has become: a retry after a cancel is Cancelled. Task is nil if
// that was its end. Err is ErrInvalid, ErrFenced, or ErrBusy where a transaction that has not ended holds the task:
// then it is to be settled again. After a call that ended with ErrUnknown, ErrFenced may be the echo of its success.
type SettleResult struct {
	State State
	Task  *Task
	At    Instant
	Err   error
}

// An Event is an entry of the history: a move of one occurrence, or of the task. Accepting and claiming have none of their own, because
// whatever comes after them says when they were: AcceptedAt, StartedAt.
type Event struct {
	Seq int64 // rises; given by the store
	At  Instant
	Key
	Kind       string
	Generation int64
	For, Due   Instant
	Verb       Verb
	From, To   State
	Attempt    int32
	Fence      int64
	AcceptedAt Instant
	StartedAt  Instant
	Missed     int64 // of a move to Skipped or Expired: how many occurrences it stands for; else how many were folded into the run
	Owner      string
	Reason     string
	Identity   Identity // of a one-off that is Done
}
