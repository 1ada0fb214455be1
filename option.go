package duly

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/store"
)

// A Conflict says what Put does when its name has a task already. None touches an attempt that runs: it may finish, its failure is not
// retried, and what is put waits until it has ended, unless it is put with Overlap(Allow), which lets it run beside anything of its
// name. The zero Conflict is Replace.
type Conflict struct {
	policy store.Conflict
	wait   time.Duration
}

// The conflict policies. Debounce is the sixth.
var (
	Replace  = Conflict{policy: store.Replace}  // the new task takes the old one's place
	Keep     = Conflict{policy: store.Keep}     // the old one stays, and the Put is no error
	Fail     = Conflict{policy: store.Fail}     // ErrExists
	KeepTime = Conflict{policy: store.KeepTime} // the new task, at the old one's instant
	Earliest = Conflict{policy: store.Earliest} // the new task, at the earlier of the two instants
)

// Debounce replaces the task, so that a burst of Puts runs once, after the last one; but no later than wait after the burst's first
// Put. A wait of 0 is no bound.
func Debounce(wait time.Duration) Conflict { return Conflict{policy: store.Debounce, wait: wait} }

// An OverlapPolicy says what happens to an occurrence that comes due while an earlier one of its name runs or waits for its retry.
// The zero OverlapPolicy is Skip.
type OverlapPolicy struct {
	mode string
	most int
}

// The overlap policies. BufferAll is the fifth.
var (
	Skip        = OverlapPolicy{}                    // it is skipped; the next one on the grid runs
	BufferOne   = OverlapPolicy{mode: "buffer"}      // one more run follows, for the newest; the others are folded into it
	CancelOther = OverlapPolicy{mode: "cancel"}      // the run under way is asked to stop; this one runs when it has ended
	Allow       = OverlapPolicy{mode: "allow"}       // it runs at once, beside the other
	bufferAll   = OverlapPolicy{mode: "buffer-many"} // with how many
)

// BufferAll runs once for every occurrence that came due, one after the other, but keeps at most the newest n, 1 to 10,000; older ones
// are skipped.
func BufferAll(n int) OverlapPolicy { return OverlapPolicy{mode: bufferAll.mode, most: n} }

// String returns the policy's text form: skip, buffer, cancel, allow, or buffer-many:n.
func (o OverlapPolicy) String() string { return modeText(o.mode, "skip", o.most) }

// MarshalText implements encoding.TextMarshaler.
func (o OverlapPolicy) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It reads what String returns.
func (o *OverlapPolicy) UnmarshalText(b []byte) error {
	var err error
	o.mode, o.most, err = readMode(string(b), "skip", []string{"", BufferOne.mode, CancelOther.mode, Allow.mode}, bufferAll.mode)
	return err
}

// A CatchUpPolicy says what happens to occurrences that were missed, because nobody was there to run them. The zero CatchUpPolicy is
// Latest.
type CatchUpPolicy struct {
	mode string
	most int
}

// The catch-up policies. All is the fourth.
var (
	Latest     = CatchUpPolicy{}                 // one run, for the newest; AttemptInfo.Missed says how many were folded in
	Oldest     = CatchUpPolicy{mode: "earliest"} // one run, for the oldest within the window, with the others folded in
	None       = CatchUpPolicy{mode: "none"}     // none that is later than its grace; they are skipped
	catchUpAll = CatchUpPolicy{mode: "all"}
)

// All runs every missed occurrence, one after the other, but at most the newest n, 1 to 10,000; older ones are folded into the first.
func All(n int) CatchUpPolicy { return CatchUpPolicy{mode: catchUpAll.mode, most: n} }

// String returns the policy's text form: latest, earliest, none, or all:n.
func (c CatchUpPolicy) String() string { return modeText(c.mode, "latest", c.most) }

// MarshalText implements encoding.TextMarshaler.
func (c CatchUpPolicy) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It reads what String returns.
func (c *CatchUpPolicy) UnmarshalText(b []byte) error {
	var err error
	c.mode, c.most, err = readMode(string(b), "latest", []string{"", Oldest.mode, None.mode}, catchUpAll.mode)
	return err
}

const maxBuffer = 10_000

func modeText(mode, zero string, most int) string {
	switch {
	case mode == "":
		return zero
	case most > 0:
		return mode + ":" + strconv.Itoa(most)
	}
	return mode
}

// readMode reads a mode: zero or one of plain, or many with a number behind it.
func readMode(s, zero string, plain []string, many string) (mode string, most int, err error) {
	if s == zero {
		return "", 0, nil
	}
	if slices.Contains(plain, s) {
		return s, 0, nil
	}
	if n, ok := strings.CutPrefix(s, many+":"); ok {
		if most, err = strconv.Atoi(n); err == nil && most > 0 && most <= maxBuffer {
			return many, most, nil
		}
	}
	return "", 0, fmt.Errorf("%w: policy is %.40q, want %s%s or %s:n with n from 1 to 10000", ErrInvalid, s, zero, strings.Join(plain, ", "), many)
}

// An ErrorPolicy says what becomes of a recurring task when a run of it has failed for good. The zero ErrorPolicy is Continue.
type ErrorPolicy uint8

const (
	// Continue goes on with the next occurrence.
	Continue ErrorPolicy = iota
	// Stop ends the schedule.
	Stop
)

// put is what options write to.
type put struct {
	store.Put
	policy
	err error // the first option that is wrong
}

func (p *put) fail(field, value, want string) {
	if p.err == nil {
		p.err = invalid("put", p.Key, field, value, want)
	}
}

func (p *put) positive(field string, d time.Duration) period {
	if d <= 0 {
		p.fail(field, d.String(), "more than 0")
	}
	return period(d)
}

// A PutOption changes how a task is put, or how it will run. What says how it will run is kept with the task.
type PutOption func(*put)

// OnConflict says what Put does when the name has a task already; without it, Replace.
func OnConflict(c Conflict) PutOption {
	return func(p *put) {
		if c.wait < 0 {
			p.fail("debounce", c.wait.String(), "0 or more")
		}
		p.OnConflict, p.MaxWait = c.policy, max(c.wait, 0)
	}
}

// IfAbsent lets Put succeed only if the name has no task; otherwise it is ErrCondition.
func IfAbsent() PutOption { return func(p *put) { p.IfAbsent = true } }

// IfPending lets Put succeed only if the name has a task no attempt of which runs; otherwise it is ErrCondition.
func IfPending() PutOption { return func(p *put) { p.IfPending = true } }

// IfGeneration lets Put succeed only if the name's task is of this generation; otherwise it is ErrCondition.
func IfGeneration(g int64) PutOption {
	return func(p *put) {
		if g <= 0 {
			p.fail("generation", strconv.FormatInt(g, 10), "one that a task has had: more than 0")
		}
		p.IfGeneration = g
	}
}

// AnyKind lets Put replace a task of another kind; otherwise that is ErrKindMismatch.
func AnyKind() PutOption { return func(p *put) { p.AnyKind = true } }

// RetryPolicy is how often and when a failed run is tried again. What is 0 is at its default.
type RetryPolicy struct {
	Attempts   int           // in all, the first included: 10. 1 is no retry
	Backoff    time.Duration // the most before the second attempt; it doubles from there: 1 s
	MaxBackoff time.Duration // the most it becomes: 1 h
	MaxElapsed time.Duration // from the start of the first attempt, after which there is no other: no limit
}

// Retry says how often and when a failed run is tried again. Before each attempt passes a random part of the backoff, so that what
// failed together is not tried again together.
func Retry(r RetryPolicy) PutOption {
	return func(p *put) {
		if r.Attempts < 0 || r.Attempts > 1_000_000 {
			p.fail("attempts", strconv.Itoa(r.Attempts), "1 to 1000000, or 0 for 10")
		}
		for _, d := range [...]struct {
			field string
			d     time.Duration
		}{{"backoff", r.Backoff}, {"max backoff", r.MaxBackoff}, {"max elapsed", r.MaxElapsed}} {
			if d.d < 0 {
				p.fail(d.field, d.d.String(), "0 or more")
			}
		}
		if r.MaxBackoff != 0 && r.MaxBackoff < r.Backoff {
			p.fail("max backoff", r.MaxBackoff.String(), "no less than the backoff, "+r.Backoff.String())
		}
		p.Attempts, p.Backoff, p.MaxBackoff, p.MaxElapsed = r.Attempts, period(r.Backoff), period(r.MaxBackoff), period(r.MaxElapsed)
	}
}

// Overlap says what happens to an occurrence that comes due while an earlier one of its name is not settled; without it, Skip.
func Overlap(o OverlapPolicy) PutOption {
	return func(p *put) {
		if o.mode == bufferAll.mode && (o.most < 1 || o.most > maxBuffer) {
			p.fail("BufferAll's n", strconv.Itoa(o.most), "1 to 10000")
		}
		p.Overlap = o
	}
}

// CatchUp says what happens to missed occurrences; without it, Latest.
func CatchUp(c CatchUpPolicy) PutOption {
	return func(p *put) {
		if c.mode == catchUpAll.mode && (c.most < 1 || c.most > maxBuffer) {
			p.fail("All's n", strconv.Itoa(c.most), "1 to 10000")
		}
		p.CatchUp = c
	}
}

// Window limits how late a missed occurrence may be to be caught up at all; older ones are skipped. Without it, one period, but at
// least a minute and at most a day.
func Window(d time.Duration) PutOption {
	return func(p *put) { p.Window = p.positive("window", d) }
}

// Grace is how late an occurrence may be without being missed under CatchUp(None). Without it, one period, but at most a minute.
func Grace(d time.Duration) PutOption { return func(p *put) { p.Grace = p.positive("grace", d) } }

// StartWithin lets a one-off expire if its first attempt can't start within d after it is due. Without it a one-off runs however late.
func StartWithin(d time.Duration) PutOption {
	return func(p *put) { p.StartWithin = p.positive("start within", d) }
}

// Timeout ends the context of each attempt after d, with ErrTimeout as its cause; the attempt has then failed.
func Timeout(d time.Duration) PutOption {
	return func(p *put) { p.Timeout = p.positive("timeout", d) }
}

// AtMostOnce records the start for good before the handler is called, and never tries again: what fails, is lost with its process,
// or stops because the scheduler is being closed, is dead, which with OnError(Stop) ends its schedule. A handler that has done nothing yet may return [Snooze]. It costs one more sync.
func AtMostOnce() PutOption { return func(p *put) { p.AtMostOnce = true } }

// OnError says what becomes of a recurring task when a run of it has failed for good; without it, Continue.
func OnError(e ErrorPolicy) PutOption {
	return func(p *put) {
		if e > Stop {
			p.fail("on error", strconv.Itoa(int(e)), "Continue or Stop")
		}
		p.StopOnError = e == Stop
	}
}

// ResumeMissed lets occurrences that fell while the task was paused be caught up when it is resumed, as CatchUp says. Without it
// they are skipped.
func ResumeMissed() PutOption { return func(p *put) { p.ResumeMissed = true } }

// Key lets at most k tasks that share the key run at a time, over all kinds; the others wait without a lease, and hold up nobody.
// Where tasks give different limits for one key, each one's own holds for its start.
func Key(key string, k int) PutOption {
	return func(p *put) {
		if key == "" {
			p.fail("key", `""`, "1 to 255 bytes")
		}
		if k < 1 {
			p.fail("key's k", strconv.Itoa(k), "at least 1")
		}
		p.LimitKey, p.KeyLimit = key, k
	}
}

// Priority lets a task start before others that are due and wait; higher goes first. Without it, 0. It must fit into 32 bits.
func Priority(n int) PutOption {
	return func(p *put) {
		if int(int32(n)) != n {
			p.fail("priority", strconv.Itoa(n), "what 32 bits hold")
		}
		p.Priority = int32(n)
	}
}

// Tags label a task, so that a [Selector] or a [Query] finds it: at most 32, each of 1 to 255 bytes.
func Tags(tags ...string) PutOption {
	return func(p *put) {
		p.Tags = slices.Clone(tags)
		slices.Sort(p.Tags)
		p.Tags = slices.Compact(p.Tags)
	}
}
