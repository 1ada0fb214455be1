package store

import "context"

// A Store keeps named tasks. Its comments are the contract, and storetest holds any implementation to it.
//
// # Calls
//
// All methods are safe for concurrent use. Batches are the unit: a call takes rows and answers each in its place, in order; rows that
// are refused leave the others alone. Rows of one key take effect in the order of the batch. A call that returns an error has
// written nothing, unless the error is ErrUnknown: then each row may have been written or not. A context that has ended before a
// call is handed in fails it with its cause; one that ends while the answer is awaited makes it ErrUnknown where a write is under
// way. No input panics, and every refusal names the field, its value and what would be right.
//
// # What is written
//
// A row is answered when it is as durable as the store promises, and not before. Nothing is shown, by any method, that a crash could
// take back, but for the start of an attempt: a claim without FirstStart must survive the death of the process, not of the machine.
// Each row is one atomic, conditional write: it takes place whole, with all it says about runs, the next occurrence and the
// history, or not at all.
//
// # Time
//
// The store's clock is the authority. Relative delays are resolved by it when a row is accepted. Nothing is claimed before it is due
// by that clock. Instants are kept to the microsecond and rounded up.
//
// # Numbers
//
// Generations and fences are taken from rising sequences: for one name each is greater than every one before it, for ever, also when
// the name was free in between, the store was restored from a backup, or the machine lost its power.
type Store interface {
	// Clock returns the store's time.
	Clock(ctx context.Context) (Clock, error)

	// Put declares tasks, by the rules of Conflict. What is declared already is left alone, with its generation and its instant, so
	// that any number of processes may declare the same.
	Put(ctx context.Context, puts []Put) ([]PutResult, error)

	// Cancel ends tasks. Cancel and Claim compete for one record and exactly one wins: after CancelCancelled no attempt of that
	// generation begins.
	Cancel(ctx context.Context, cancels []Cancel) ([]CancelResult, error)

	// Edit moves, pauses, resumes and skips, as Edit says.
	Edit(ctx context.Context, edits []Edit) ([]EditResult, error)

	// Due returns tasks by position, whole: a page costs what is on it and not what is pending. A task stands at one place at a time; one
	// that is written while pages are read may be seen twice, at its old and its new place, or be missed if it moves to a place
	// already passed: whoever writes knows where to, and hints tell of others' writes.
	Due(ctx context.Context, q DueQuery) (DuePage, error)

	// Claim takes leases. A run's fence is greater than all before it for this name, and of a recurring task the same write records
	// the occurrence that is next.
	Claim(ctx context.Context, claims []Claim) ([]ClaimResult, error)

	// Renew prolongs leases. It need not survive a crash: that ends leases anyway.
	Renew(ctx context.Context, renewals []Renewal) ([]RenewResult, error)

	// Settle writes how attempts ended. It looks at the run and the fence alone: a task that was replaced, moved or paused meanwhile
	// fences nobody.
	Settle(ctx context.Context, settlements []Settlement) ([]SettleResult, error)

	// Get returns tasks, nil where a name has none.
	Get(ctx context.Context, keys []Key) ([]*Task, error)

	// List returns tasks by name, or dead runs.
	List(ctx context.Context, q Query) (Page, error)

	// History returns what became of tasks, also of those that are gone.
	History(ctx context.Context, q HistoryQuery) ([]Event, error)

	// Trim forgets what a retention does not keep, and returns how much. It may keep a little more. It never touches tasks. It is called every
	// day at least, also with a retention that keeps all: a store tidies up then what is its own.
	Trim(ctx context.Context, r Retention) (int64, error)

	// Stats returns counters.
	Stats(ctx context.Context) (Stats, error)

	// Close ends the store: calls under way are answered, later ones fail with ErrClosed. Nothing of it is left afterwards: no
	// goroutine, no file. It may be called again.
	Close() error
}

// A Transactor is a store whose tasks can be part of the caller's transaction: they exist if and only if that commits. What tx may be,
// the store says; anything else is ErrInvalid.
type Transactor interface {
	PutTx(ctx context.Context, tx any, puts []Put) ([]PutResult, error)
	CancelTx(ctx context.Context, tx any, cancels []Cancel) ([]CancelResult, error)
	SettleTx(ctx context.Context, tx any, settlements []Settlement) ([]SettleResult, error)
}

// A Backuper can be copied while it works. The copy is a store of its own, as of one moment between the call and its return.
type Backuper interface {
	Backup(ctx context.Context, dir string) error
}

// A Hint says that something is due at At, in one of Shards, earlier than may have been known. One that names no shard is of all. One for
// Over says that anything may be there: whoever hears it reads from the beginning.
type Hint struct {
	Shards Shards
	At     Instant
}

// A Hinter tells of writes that make something due, whoever made them. Hints may be merged into one with the earliest instant, and a
// lost one costs lateness, never a task. The channel holds one hint; it is closed with the store or by stop. A store that several processes
// share tells as well, by a task's position, that an attempt is asked to stop, which may run in another of them, that a task's kind is
// another, and what comes due, whenever that is, beside an attempt, which keeps the task where it stands. Else it need not tell other
// processes of what is due more than ten seconds after it can be seen, because who owns shards reads them again and again.
type Hinter interface {
	Hints() (hints <-chan Hint, stop func())
}

// A Noter keeps short texts beside the tasks, by name, for whoever works on the store as a whole. The name is made as a task's is, the
// text has at most 4 KiB.
type Noter interface {
	// Note returns a text, "" if there is none.
	Note(ctx context.Context, name string) (string, error)

	// SetNote keeps a text in place of the one that is there, as durable as a task; "" takes it away.
	SetNote(ctx context.Context, name, text string) error
}

// An Owner divides its shards among processes. A store that is none belongs to its process whole.
//
// Each shard is one node's, and so are the tasks in it, but for those of kinds that this node does not handle and others do: of each such
// kind they are one of the others'. What no node handles is for whoever has the shard. Two nodes that do not know the same of each other
// may both take tasks for their own, for a moment; claims do no harm by that, because each is one conditional write.
type Owner interface {
	// Own takes part as a node, until ctx ends, and then gives up what is this node's; it returns earlier with an error only. Owned is
	// called with what is this node's from now on, all of it, and Epochs that rise. It may be called from any goroutine and returns soon;
	// before the first call, and after Own has returned, nothing is. A claim of what is not the node's is answered ErrNotOwner, in its
	// row. What is no claim, any process may do: renewals and settlements go by the fence.
	//
	// Kinds tells which kinds the node handles. It is asked again and again, from any goroutine, and what is new is made known to other
	// nodes within a second; what it has told once is taken for handled until Own returns. Of more than MaxKinds the rest is not made
	// known: whoever has their shards has to handle them. A name that no kind can have is ErrInvalid.
	Own(ctx context.Context, node string, kinds func() []string, owned func(Share)) error
}
