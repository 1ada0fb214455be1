package record

import (
	"encoding/binary"
	"fmt"

	"github.com/dulyhq/duly/store"
)

// A Decoder takes a value apart, from its beginning. Each method takes one part off it. The first thing that is wrong is remembered, as a
// store.ErrCorrupt that says what, and every part after it is zero: so a caller reads all parts and asks at the end, by End, or before
// by Err. Whatever the value holds, no method panics or takes more memory than the value is worth.
//
// The value must not change while it is taken apart. What was decoded holds no part of it, except for what Bytes returns.
type Decoder struct {
	b   []byte
	err error
}

// NewDecoder returns a decoder of a value.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Fail makes the value a wrong one, if it is not that already, and says what is wrong with it.
func (d *Decoder) Fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", store.ErrCorrupt, what)
	}
	d.b = nil
}

// Err returns what is wrong with the value as far as it was taken apart, nil if nothing is.
func (d *Decoder) Err() error { return d.err }

// End returns what is wrong with the value, nil if nothing is. That something is left over is wrong too.
func (d *Decoder) End() error {
	if d.err == nil && len(d.b) > 0 {
		d.Fail("value is too long")
	}
	return d.err
}

// Version takes the version off, which has to be the one that this package writes.
func (d *Decoder) Version() {
	v := d.byte()
	if d.err == nil && v != Version {
		d.Fail(fmt.Sprintf("value of version %d, want %d", v, Version))
	}
}

// Int takes a number off, as binary.AppendVarint writes it.
func (d *Decoder) Int() int64 {
	n, w := binary.Varint(d.b)
	if w <= 0 {
		d.Fail("bad number")
		return 0
	}
	d.b = d.b[w:]
	return n
}

// Uint takes a number without sign off, as binary.AppendUvarint writes it.
func (d *Decoder) Uint() uint64 {
	n, w := binary.Uvarint(d.b)
	if w <= 0 {
		d.Fail("bad number")
		return 0
	}
	d.b = d.b[w:]
	return n
}

// Instant takes an instant off: an Int of microseconds.
func (d *Decoder) Instant() store.Instant { return store.Instant(d.Int()) }

// Bytes takes off what AppendText has appended. It is a part of the value, and not the caller's to keep.
func (d *Decoder) Bytes() []byte {
	n := d.Uint()
	if n > uint64(len(d.b)) {
		d.Fail("bad length")
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

// Text takes off what AppendText has appended.
func (d *Decoder) Text() string { return string(d.Bytes()) }

// clone takes bytes off for the caller to keep, nil for none.
func (d *Decoder) clone() []byte {
	if s := d.Bytes(); len(s) > 0 {
		return append([]byte(nil), s...)
	}
	return nil
}

func (d *Decoder) byte() byte {
	if len(d.b) == 0 {
		d.Fail("value ends early")
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// flags takes a byte of flags off.
func (d *Decoder) flags(known byte) byte {
	f := d.byte()
	if f&^known != 0 {
		d.Fail(fmt.Sprintf("unknown flags %#02x", f&^known))
	}
	return f
}

// Task takes a task off, into t, which holds nothing yet but its key. apart says that the payload is not in the value and left as it
// is. What was appended behind the task is left in the decoder.
func (d *Decoder) Task(t *store.Task) (apart bool) {
	d.Version()
	flags := d.flags(taskFlags)
	t.Recurring, t.Ended, t.Moved = flags&taskRecurring != 0, flags&taskEnded != 0, flags&taskMoved != 0
	t.Generation, t.AcceptedAt, t.FirstAt = d.Int(), d.Instant(), d.Instant()
	if flags&taskPaused != 0 {
		if t.PausedAt, t.PausedWhy = d.Instant(), d.Text(); t.PausedAt == 0 {
			d.Fail("paused, but since when?")
		}
	}
	t.Kind, t.Schedule = d.Text(), d.Text()
	t.Policy, t.LimitKey, t.Priority = d.clone(), d.Text(), int32(d.Int())
	if n := d.Uint(); n > store.MaxTags {
		d.Fail("too many tags")
	} else if n > 0 {
		t.Tags = make([]string, n)
		for i := range t.Tags {
			t.Tags[i] = d.Text()
		}
	}
	if apart = flags&taskApart != 0; !apart {
		t.Payload = d.clone()
	}
	d.Live(t)
	return apart
}

// Live takes off what AppendLive has appended, into t, in place of what t holds of it. The lease of a run that is running is store.Over:
// a store that knows better says so afterwards.
func (d *Decoder) Live(t *store.Task) {
	t.Next.For, t.Next.Due = d.Instant(), d.Instant()
	t.Last, t.Starts = d.Instant(), d.Int()
	t.Runs = nil
	n := d.Uint()
	if n > uint64(len(d.b)) { // each takes more than a byte
		d.Fail("too many runs")
		return
	}
	for i := uint64(0); i < n && d.err == nil; i++ {
		var r store.Run
		d.run(&r)
		t.Runs = append(t.Runs, r)
	}
}

func (d *Decoder) run(r *store.Run) {
	r.State = store.State(d.byte())
	flags := d.flags(runFlags)
	r.Final, r.Stop, r.Extra = flags&runFinal != 0, flags&runStop != 0, flags&runExtra != 0
	r.Generation, r.For, r.Due = d.Int(), d.Instant(), d.Instant()
	r.Attempt, r.Snoozed, r.Lost = int32(d.Int()), int32(d.Int()), int32(d.Int())
	r.Fence, r.Missed = d.Int(), d.Int()
	r.BegunAt, r.StartedAt = d.Instant(), d.Instant()
	r.Owner, r.Reason = d.Text(), d.Text()
	if r.State == store.Running {
		r.Lease = store.Over
	}
}

// Overlay takes off what AppendOverlay has appended: into t what Live does, and it returns the generation that this belongs to, which the
// caller compares with the task's.
func (d *Decoder) Overlay(t *store.Task) (generation int64) {
	d.Version()
	generation = d.Int()
	d.Live(t)
	return generation
}

// Dead takes off what AppendDead has appended, into t, which holds nothing yet but its key. A task without just one run, or without its
// payload, is wrong.
func (d *Decoder) Dead(t *store.Task) (died store.Instant) {
	d.Version()
	died = d.Instant()
	if d.Task(t) {
		d.Fail("a dead run's payload is apart")
	}
	if len(t.Runs) != 1 {
		d.Fail("not one dead run")
	}
	return died
}

// Event takes an entry of the history off, to the end of the value, into e, which holds nothing yet but its number.
func (d *Decoder) Event(e *store.Event) {
	d.Version()
	e.Verb, e.From, e.To = store.Verb(d.byte()), store.State(d.byte()), store.State(d.byte())
	e.At, e.Generation, e.For, e.Due = d.Instant(), d.Int(), d.Instant(), d.Instant()
	e.Attempt, e.Fence = int32(d.Int()), d.Int()
	e.AcceptedAt, e.StartedAt, e.Missed = d.Instant(), d.Instant(), d.Int()
	e.Namespace, e.Name, e.Kind, e.Owner, e.Reason = d.Text(), d.Text(), d.Text(), d.Text(), d.Text()
	if len(d.b) == len(e.Identity) {
		copy(e.Identity[:], d.b)
		d.b = nil
	}
}
