package store

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The limits of what a store takes, in bytes but for MaxTags and MaxKinds.
const (
	MaxName     = 255 // of names, namespaces, kinds, tags, limit keys and owners
	MaxTags     = 32
	MaxSchedule = 4 << 10
	MaxPolicy   = 16 << 10
	MaxPayload  = 1 << 20
	MaxReason   = 4 << 10 // what is longer is cut, not refused
	MaxKinds    = 1000    // that a node makes known to others
)

// cut shortens a reason, between two characters.
func cut(s string) string {
	if len(s) <= MaxReason {
		return s
	}
	n := MaxReason
	for n > MaxReason-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.ToValidUTF8(strings.Clone(s[:n]), "") // a clone, so that the rest is not kept in memory
}

// word returns what is wrong with a name, "" for nothing.
func word(s string, empty bool) string {
	const want = "1 to 255 bytes of UTF-8 without control characters"
	switch {
	case s == "" && empty:
		return ""
	case s == "." || s == "..":
		return "a name, not a dot"
	case s == "", len(s) > MaxName, !utf8.ValidString(s), strings.ContainsFunc(s, unicode.IsControl):
		return want
	}
	return ""
}

// quote shows a value in an error, shortened.
func quote(s string) string {
	if len(s) > 40 {
		return strconv.Quote(s[:40]) + "... (" + strconv.Itoa(len(s)) + " bytes)"
	}
	return strconv.Quote(s)
}

// A check collects the first thing that is wrong.
type check struct {
	op  string
	key Key
	err error
}

func (c *check) fail(field, value, want string) {
	if c.err == nil {
		c.err = &Error{Op: c.op, Key: c.key, Field: field, Value: value, Want: want, Err: ErrInvalid}
	}
}

func (c *check) word(field, s string, empty bool) {
	if want := word(s, empty); want != "" {
		c.fail(field, quote(s), want)
	}
}

func (c *check) size(field string, n, most int) {
	if n > most {
		c.fail(field, strconv.Itoa(n)+" bytes", "at most "+strconv.Itoa(most))
	}
}

func (c *check) occurrence(field string, o Occurrence) {
	for _, i := range [2]Instant{o.For, o.Due} {
		if i != Never && (i > lastInstant || i < -lastInstant) {
			c.fail(field, strconv.FormatInt(int64(i), 10), "microseconds of a year up to 9999, or Never")
		}
	}
	if o.Due < o.For {
		c.fail(field, o.Due.String(), "due no earlier than the nominal instant, which is "+o.For.String())
	}
}

func (c *check) keys(k Key) {
	c.key = k
	c.word("name", k.Name, false)
	c.word("namespace", k.Namespace, true)
}

func (c *check) lease(d time.Duration) {
	if d <= 0 {
		c.fail("lease", d.String(), "more than 0")
	}
}

// Check returns what is wrong with the Put, an ErrInvalid.
func (p *Put) Check() error {
	c := check{op: "put"}
	c.keys(p.Key)
	c.word("kind", p.Kind, false)
	c.word("limit key", p.LimitKey, true)
	if len(p.Tags) > MaxTags {
		c.fail("tags", strconv.Itoa(len(p.Tags)), "at most "+strconv.Itoa(MaxTags))
	}
	for _, t := range p.Tags {
		c.word("tag", t, false)
	}
	c.size("schedule", len(p.Schedule), MaxSchedule)
	c.size("policy", len(p.Policy), MaxPolicy)
	c.size("payload", len(p.Payload), MaxPayload)
	if p.When.None() {
		c.fail("when", "not set", "an occurrence or a delay")
	}
	c.occurrence("when", p.When.on)
	if p.OnConflict > Debounce {
		c.fail("on conflict", strconv.Itoa(int(p.OnConflict)), "a policy of this package")
	}
	if p.MaxWait < 0 {
		c.fail("max wait", p.MaxWait.String(), "0 or more")
	}
	return c.err
}

// Check returns what is wrong with the Cancel, an ErrInvalid.
func (x *Cancel) Check() error {
	c := check{op: "cancel"}
	c.keys(x.Key)
	return c.err
}

// Check returns what is wrong with the Claim, an ErrInvalid.
func (x *Claim) Check() error {
	if x.Lease > 0 && x.As == (Occurrence{}) && x.Next == (Occurrence{}) && x.Missed == 0 && x.Through == 0 && x.Name != "" && word(x.Owner, true) == "" {
		return nil // nearly all; a name that can't be has no task
	}
	c := check{op: "claim"}
	c.keys(x.Key)
	c.lease(x.Lease)
	c.word("owner", x.Owner, true)
	c.occurrence("as", x.As)
	c.occurrence("next", x.Next)
	last := x.For
	if !x.As.None() {
		if last = x.As.For; last < x.For {
			c.fail("as", last.String(), "no earlier than what is claimed, "+x.For.String())
		}
	}
	if x.Through != 0 {
		if x.Through < last {
			c.fail("through", x.Through.String(), "no earlier than what is claimed, "+last.String())
		}
		last = x.Through
	}
	if !x.Next.None() && x.Next.For <= last {
		c.fail("next", x.Next.For.String(), "after what is claimed, "+last.String())
	}
	if x.Missed < 0 {
		c.fail("missed", strconv.FormatInt(x.Missed, 10), "0 or more")
	}
	return c.err
}

func (x *Claim) invalid(field, value, want string) error {
	return &Error{Op: "claim", Key: x.Key, Field: field, Value: value, Want: want, Err: ErrInvalid}
}

// Check returns what is wrong with the Renewal, an ErrInvalid.
func (x *Renewal) Check() error {
	c := check{op: "renew", key: x.Key}
	c.lease(x.Lease)
	return c.err
}

// Check returns what is wrong with the Settlement, an ErrInvalid.
func (x *Settlement) Check() error {
	c := check{op: "settle", key: x.Key}
	switch x.Verb {
	case VerbSettle:
		if x.State != Done && x.State != Dead && x.State != Cancelled {
			c.fail("state", x.State.String(), "done, dead or cancelled")
		}
	case VerbRetry, VerbSnooze, VerbRelease:
		if x.When.None() {
			c.fail("when", "not set", "the next attempt's instant or delay")
		}
	default:
		c.fail("verb", x.Verb.String(), "settle, retry, snooze or release")
	}
	c.occurrence("when", x.When.on)
	c.occurrence("next", x.Next.on)
	return c.err
}

// Check returns what is wrong with the Edit, an ErrInvalid.
func (x *Edit) Check() error {
	c := check{op: "edit"}
	if x.Verb >= VerbMove && x.Verb <= VerbAlign {
		c.op = x.Verb.String()
	} else {
		c.fail("verb", x.Verb.String(), "one from move on")
	}
	c.keys(x.Key)
	c.size("schedule", len(x.Schedule), MaxSchedule)
	c.occurrence("when", x.When.on)
	c.occurrence("next", x.Next.on)
	if x.Missed < 0 {
		c.fail("missed", strconv.FormatInt(x.Missed, 10), "0 or more")
	}
	switch x.Verb {
	case VerbMove:
		if x.When.None() && x.Payload == nil {
			c.fail("when", "not set", "an occurrence or a delay")
		}
		c.size("payload", len(x.Payload), MaxPayload)
	case VerbAlign:
		if x.When.None() {
			c.fail("when", "not set", "an occurrence")
		}
	case VerbSkip:
		if x.State != Skipped && x.State != Expired {
			c.fail("state", x.State.String(), "skipped or expired")
		}
	case VerbRescue:
		if x.State != Pending && x.State != Dead {
			c.fail("state", x.State.String(), "pending or dead")
		}
	default:
	}
	return c.err
}

// CheckKind returns what is wrong with the name of a kind that a node handles, an ErrInvalid.
func CheckKind(kind string) error {
	c := check{op: "own"}
	c.word("kind", kind, false)
	return c.err
}

// MaxNote is how many bytes a note may have.
const MaxNote = 4 << 10

// CheckNote returns what is wrong with a note of a Noter, an ErrInvalid.
func CheckNote(name, text string) error {
	c := check{op: "note"}
	c.word("name", name, false)
	c.size("text", len(text), MaxNote)
	return c.err
}

// Check returns what is wrong with the Query, an ErrInvalid.
func (q *Query) Check() error {
	c := check{op: "list"}
	if q.State != None && q.State != Pending && q.State != Running && q.State != Dead {
		c.fail("state", q.State.String(), "pending, running or dead; what became of the others is in the history")
	}
	if q.Limit < 0 {
		c.fail("limit", strconv.Itoa(q.Limit), "0 or more")
	}
	return c.err
}
