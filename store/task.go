package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// A Key names a task. Names are unique in a namespace, over all kinds. Both are UTF-8 of at most 255 bytes without control
// characters; the namespace may be empty, the name not, and neither is "." or "..".
type Key struct{ Namespace, Name string }

// String returns "name", or "namespace/name".
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

// Compare orders keys by namespace, then by name, bytewise.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(k.Namespace, o.Namespace); c != 0 {
		return c
	}
	return strings.Compare(k.Name, o.Name)
}

// Shard returns the shard of the key, for ever the same: the low byte of the 32-bit FNV-1a hash of the namespace, a zero byte and
// the name.
func (k Key) Shard() uint8 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(k.Namespace)) // hash.Hash never returns an error
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(k.Name))
	return uint8(h.Sum32() & 0xff)
}

// A RunID names a run, over all its attempts.
type RunID struct {
	Key
	Generation int64
	For        Instant // the nominal instant
}

// String returns the key, the generation and the nominal instant in microseconds, with @ between them.
func (r RunID) String() string {
	return r.Key.String() + "@" + strconv.FormatInt(r.Generation, 10) + "@" + strconv.FormatInt(int64(r.For), 10)
}

// Compare orders run ids by key, generation and nominal instant.
func (r RunID) Compare(o RunID) int {
	if c := r.Key.Compare(o.Key); c != 0 {
		return c
	}
	if r.Generation != o.Generation {
		return compare(r.Generation, o.Generation)
	}
	return compare(r.For, o.For)
}

func compare[T int64 | Instant](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// A Spec is what the caller declares of a task. The store keeps it and looks at nothing in it but Kind, Tags and Recurring.
type Spec struct {
	Kind      string
	Schedule  string   // its text form
	Policy    []byte   // how to retry, overlap, catch up: the caller's encoding
	Payload   []byte   // what the handler gets
	LimitKey  string   // what a limit per key counts by
	Tags      []string // for selection
	Priority  int32
	Recurring bool // more than one occurrence is possible
}

// Equal says whether both declare the same.
func (s *Spec) Equal(o *Spec) bool {
	return s.Kind == o.Kind && s.Schedule == o.Schedule && s.LimitKey == o.LimitKey && s.Priority == o.Priority &&
		s.Recurring == o.Recurring && slices.Equal(s.Tags, o.Tags) && bytes.Equal(s.Policy, o.Policy) && bytes.Equal(s.Payload, o.Payload)
}

// An Identity tells one-offs apart that are declared under one name: a digest of the spec and the nominal instant. The zero Identity
// is none.
type Identity [16]byte

// IdentityOf returns the identity of a one-off: the first half of the SHA-256 of its spec and instant.
func IdentityOf(s *Spec, at Instant) (id Identity) {
	h := sha256.New()
	var n [8]byte
	put := func(b []byte) {
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		_, _ = h.Write(n[:]) // hash.Hash never returns an error
		_, _ = h.Write(b)
	}
	put([]byte(s.Kind))
	put([]byte(s.Schedule))
	put(s.Policy)
	put(s.Payload)
	put([]byte(s.LimitKey))
	for _, t := range s.Tags {
		put([]byte(t))
	}
	binary.BigEndian.PutUint64(n[:], uint64(s.Priority))
	_, _ = h.Write(n[:])
	binary.BigEndian.PutUint64(n[:], uint64(at))
	_, _ = h.Write(n[:])
	copy(id[:], h.Sum(nil))
	return id
}

// A Task is what a name points to: what was declared of it, the occurrence that is next, and the runs that are not settled for
// good. A task exists as long as it has either. Tasks that a store hands out are shared and must not be changed.
type Task struct {
	Key
	Spec
	Generation int64
	AcceptedAt Instant    // when this generation was accepted; the phase of a grid, and what a preview counts from
	FirstAt    Instant    // when the first Put of a burst of debounced ones was accepted
	Next       Occurrence // the one that no run has yet; none while the last one runs, or a fixed delay's is not known
	Moved      bool       // Next of a recurring task is where somebody wanted it, and not where the schedule has it
	Last       Instant    // the newest nominal instant that was claimed, skipped or folded: nothing up to it comes again
	Starts     int64      // how many occurrences were claimed
	PausedAt   Instant    // since when nothing is claimed, if it is set
	PausedWhy  string
	Ended      bool // cancelled, or stopped: only Runs are left of it, and the name counts as free
	Runs       []Run
}

// A Run is an occurrence that was claimed and is not settled for good.
type Run struct {
	Generation int64 // of the task when the run began, which may have been replaced since; of an extra run one of its own
	For        Instant
	Due        Instant // of the attempt that runs, or of the one to come
	State      State   // Pending or Running
	Attempt    int32   // of leases, the one that runs among them
	Snoozed    int32   // of these, those that were not to count
	Lost       int32   // of these, those that ended with the lease
	Fence      int64   // of the last lease
	Missed     int64   // occurrences that were folded into this one
	Owner      string  // who holds the lease, or held it last
	BegunAt    Instant // when the first attempt was claimed
	StartedAt  Instant // when the last attempt was claimed
	Lease      Instant // when the lease ends, on Clock.Mono; Over if its holder is known to be gone
	Final      bool    // no attempt comes after this one: the task was replaced or cancelled
	Stop       bool    // the attempt is asked to stop, and none comes after it
	Extra      bool    // asked for by somebody, not by the schedule
	Reason     string  // how the last attempt ended
}

// ID returns the run's id, where k is its task's key.
func (r *Run) ID(k Key) RunID { return RunID{Key: k, Generation: r.Generation, For: r.For} }

// Run returns the run of a nominal instant, or nil.
func (t *Task) Run(generation int64, at Instant) *Run {
	for i := range t.Runs {
		if t.Runs[i].Generation == generation && t.Runs[i].For == at {
			return &t.Runs[i]
		}
	}
	return nil
}

// Paused says whether nothing of the task is claimed for now.
func (t *Task) Paused() bool { return t.PausedAt != 0 }

// Running returns how many attempts run.
func (t *Task) Running() (n int) {
	for i := range t.Runs {
		if t.Runs[i].State == Running {
			n++
		}
	}
	return n
}

// State returns Running if an attempt runs, else Pending.
func (t *Task) State() State {
	if t.Running() > 0 {
		return Running
	}
	return Pending
}

// Position returns where the task stands in the order of what is due: the earliest instant at which anything has to happen to
// it. An attempt that runs stands where it was due, so that claiming moves nothing and whoever looks for what a crash left behind
// finds it. What is paused stands at Never.
func (t *Task) Position() Instant {
	at := Never
	if !t.Paused() && !t.Next.None() {
		at = t.Next.Due
	}
	for i := range t.Runs {
		if r := &t.Runs[i]; r.Due < at && (r.State == Running || !t.Paused()) {
			at = r.Due
		}
	}
	return at
}

// comes sets the next occurrence to one of the schedule, or to none.
func (t *Task) comes(o Occurrence) { t.Next, t.Moved = o, false }

// clone returns a copy whose runs may be changed.
func (t *Task) clone() *Task {
	n := *t
	n.Runs = slices.Clone(t.Runs)
	return &n
}
