package timer

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// Conflict says what Put does when the name is taken: by a task that is pending, that recurs, or that runs. A one-off that
// runs has no start left to keep: Keep and Fail leave it alone, the others put the new task. The zero value is Replace.
type Conflict int64

const (
	// Replace puts the new task in the old one's place.
	Replace Conflict = iota
	// Keep leaves the old task as it is; Put returns its handle.
	Keep
	// Fail refuses with ErrExists.
	Fail
	// KeepTime takes the new handler and options but keeps the old schedule.
	KeepTime
	// EarliestDue takes the new handler and options, and whichever schedule comes due first.
	EarliestDue
	debounce
	conflictBits = 8 // of the kind; the wait is above them, in units of 64 ns
)

// Debounce replaces the task, so that a burst of Puts runs once, after the last one; but the task comes due no later than
// wait, rounded up to 64 ns, after the burst's first Put. A Put without options is not the first of a burst: when it was is not kept. A wait of
// 18 years or more is no limit; one that is not positive is refused by Put.
func Debounce(wait time.Duration) Conflict {
	return Conflict((min(max(wait, -waitUnit), maxWait)+waitUnit-1)/waitUnit)<<conflictBits | debounce
}

const (
	maxWait  = 1 << 59
	waitUnit = 64
)

func (c Conflict) kind() Conflict { return c & (1<<conflictBits - 1) }

func (c Conflict) wait() time.Duration {
	if w := time.Duration(c>>conflictBits) * waitUnit; w < maxWait {
		return w
	}
	return math.MaxInt64
}

// OverlapPolicy says what happens to an occurrence of a recurring task that comes due while the task still runs. The
// zero value is Skip.
type OverlapPolicy int64

const (
	// Skip drops the occurrence; the next one on the grid runs.
	Skip OverlapPolicy = iota
	// BufferOne runs once more when the run ends, for the newest occurrence; the others are folded into it.
	BufferOne
	// CancelOther asks the run under way to stop (its context ends with ErrOverlapped) and runs when it has ended.
	CancelOther
	// Allow runs at once, beside the other.
	Allow
	bufferAll
	policyBits = 32 // of the kind; how many is above them
)

// BufferAll runs once for every occurrence that came due, one after the other, but keeps at most the newest n; older ones
// are skipped. n must be at least 1 and at most 10,000.
func BufferAll(n int) OverlapPolicy {
	return OverlapPolicy(min(max(n, -1), 1<<30))<<policyBits | bufferAll
}

func (o OverlapPolicy) kind() OverlapPolicy { return o & (1<<policyBits - 1) }
func (o OverlapPolicy) size() int           { return int(o >> policyBits) }

// CatchUpPolicy says what happens when several occurrences are found to be due at once, because the machine was
// suspended, the clock was set forward or the first instant lay in the past. The zero value is Latest.
type CatchUpPolicy int64

const (
	// Latest runs once, for the newest; Attempt.Missed says how many were folded in.
	Latest CatchUpPolicy = iota
	// Earliest runs once, for the oldest; Attempt.Missed says how many were folded in.
	Earliest
	// None runs none that is later than its grace; the missed ones are skipped.
	None
	catchUpAll
)

// All runs every missed occurrence, one after the other, but at most the newest n; older ones are folded into the first.
// n must be at least 1 and at most 10,000.
func All(n int) CatchUpPolicy {
	return CatchUpPolicy(min(max(n, -1), 1<<30))<<policyBits | catchUpAll
}

func (c CatchUpPolicy) kind() CatchUpPolicy { return c & (1<<policyBits - 1) }
func (c CatchUpPolicy) size() int           { return int(c >> policyBits) }

const maxBuffer = 10_000

// ErrorPolicy says what an error or a panic does to a recurring task. The zero value is Continue.
type ErrorPolicy uint8

const (
	// Continue goes on with the next occurrence.
	Continue ErrorPolicy = iota
	// Stop ends the task as Dead.
	Stop
)

// settings are a task's options in comparable form, but for the tags; together with the schedule they are its identity.
type settings struct {
	overlap      OverlapPolicy
	catchUp      CatchUpPolicy
	onError      ErrorPolicy
	resumeMissed bool
	tracked      bool
	priority     int
	keyLimit     int
	key          string
	timeout      time.Duration
	startWithin  time.Duration
	window       time.Duration
	grace        time.Duration
}

// conditions belong to one Put, not to the task.
type conditions struct {
	conflict     Conflict
	ifAbsent     bool
	ifPending    bool
	ifGeneration uint64
	hasIfGen     bool
}

type options struct {
	settings
	conditions
	tags []string
	err  *Error // the first option that is wrong
}

// An Option changes how a task put by name behaves.
type Option func(*options)

func (o *options) fail(field, value, want string) {
	if o.err == nil {
		o.err = &Error{Field: field, Value: value, Want: want, Err: ErrInvalid}
	}
}

func (o *options) positive(field string, d time.Duration) {
	if d <= 0 {
		o.fail(field, d.String(), "a positive duration")
	}
}

// OnConflict says what Put does when the name is taken; without it, Replace.
func OnConflict(c Conflict) Option {
	return func(o *options) {
		switch {
		case c.kind() == debounce:
			o.positive("Debounce's wait", c.wait())
		case c < 0 || c > EarliestDue:
			o.fail("OnConflict", strconv.FormatInt(int64(c), 10), "Replace, Keep, Fail, KeepTime, EarliestDue or Debounce(wait)")
		}
		o.conflict = c
	}
}

// IfAbsent lets Put succeed only if no task has the name; otherwise it returns ErrExists.
func IfAbsent() Option { return func(o *options) { o.ifAbsent = true } }

// IfPending lets Put succeed only if a task has the name and has not started; otherwise it returns ErrCondition.
func IfPending() Option { return func(o *options) { o.ifPending = true } }

// IfGeneration lets Put succeed only if a task has the name and is of this generation; otherwise it returns
// ErrCondition.
func IfGeneration(g uint64) Option {
	return func(o *options) { o.ifGeneration, o.hasIfGen = g, true }
}

// Overlap sets what an occurrence does that comes due while the task runs; without it, Skip.
func Overlap(p OverlapPolicy) Option {
	return func(o *options) {
		switch {
		case p.kind() == bufferAll && (p.size() < 1 || p.size() > maxBuffer):
			o.fail("BufferAll's n", strconv.Itoa(p.size()), "1 to 10000")
		case p.kind() != bufferAll && (p < 0 || p > Allow):
			o.fail("Overlap", strconv.FormatInt(int64(p), 10), "Skip, BufferOne, BufferAll(n), CancelOther or Allow")
		}
		o.overlap = p
	}
}

// CatchUp sets what happens to missed occurrences; without it, Latest.
func CatchUp(p CatchUpPolicy) Option {
	return func(o *options) {
		switch {
		case p.kind() == catchUpAll && (p.size() < 1 || p.size() > maxBuffer):
			o.fail("All's n", strconv.Itoa(p.size()), "1 to 10000")
		case p.kind() != catchUpAll && (p < 0 || p > None):
			o.fail("CatchUp", strconv.FormatInt(int64(p), 10), "Latest, Earliest, All(n) or None")
		}
		o.catchUp = p
	}
}

// Window limits how late a missed occurrence may be to be caught up at all; older ones are skipped. Without it, one
// period, but at least a minute and at most a day.
func Window(d time.Duration) Option {
	return func(o *options) { o.positive("Window", d); o.window = d }
}

// Grace is how late an occurrence may be without being missed under CatchUp(None). Without it, one period, but at most a
// minute.
func Grace(d time.Duration) Option {
	return func(o *options) { o.positive("Grace", d); o.grace = d }
}

// StartWithin lets a one-off expire, as Expired, if it cannot start within d after its due time. Without it a one-off
// runs however late.
func StartWithin(d time.Duration) Option {
	return func(o *options) { o.positive("StartWithin", d); o.startWithin = d }
}

// OnError sets what an error, a panic or a runtime.Goexit does to a recurring task; without it, Continue.
func OnError(p ErrorPolicy) Option {
	return func(o *options) {
		if p > Stop {
			o.fail("OnError", strconv.Itoa(int(p)), "Continue or Stop")
		}
		o.onError = p
	}
}

// Timeout ends the context of each run after d, with ErrTimeout as its cause. A handler that ignores its context is not
// stopped: its run goes on, holding its place, until it returns; Stats().Overran counts it then.
func Timeout(d time.Duration) Option {
	return func(o *options) { o.positive("Timeout", d); o.timeout = d }
}

// Key lets at most k tasks that share the key run at a time; the others wait in the order in which they came due, without
// holding a worker. Where tasks give different limits for one key, each one's own limit holds for its start.
func Key(key string, k int) Option {
	return func(o *options) {
		if key == "" || len(key) > maxName {
			o.fail("Key", strconv.Quote(key[:min(len(key), 16)]), "1 to 255 bytes")
		}
		if k < 1 {
			o.fail("Key's k", strconv.Itoa(k), "at least 1")
		}
		o.key, o.keyLimit = key, k
	}
}

// Priority lets a task go before others that are due and wait for a worker; higher goes first. Without it, 0.
func Priority(p int) Option { return func(o *options) { o.priority = p } }

// Tags label a task, so that Tagged selects it. Each is 1 to 255 bytes.
func Tags(tags ...string) Option {
	return func(o *options) {
		for _, t := range tags {
			if t == "" || len(t) > maxName {
				o.fail("Tags", strconv.Quote(t[:min(len(t), 16)]), "1 to 255 bytes each")
			}
		}
		o.tags = slices.Clone(tags)
		slices.Sort(o.tags)
		o.tags = slices.Compact(o.tags)
	}
}

// ResumeMissed lets occurrences that fell while the task was paused be caught up on Resume, as CatchUp says. Without it
// they are skipped.
func ResumeMissed() Option { return func(o *options) { o.resumeMissed = true } }

// Track makes the task's handle remember how the task ended: State, Err and Runs then tell after the end. Every other
// option that belongs to the task implies it. It costs one allocation; a task without options costs none, and of it a
// handle afterwards only knows that it is Finished.
func Track() Option { return func(o *options) { o.tracked = true } }
