package queue

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// A Delay keeps values until they are due. They come out in the order of their due times, those of the same instant in the
// order in which they were put, and never early. The zero Delay is ready for use.
//
// However many values it keeps, one deadline of the engine is pending, that of the value due next, and only while somebody
// waits for it; two if some were put with a delay and some with an instant. Getters are served in the order in which they
// came. A value that is due before all others moves the deadline and wakes nobody.
//
// Delays are not moved by a setting of the wall clock, and suspend counts where the platform has a boot clock. Instants follow
// the wall clock, also when it is set: which of a delay and an instant is due first is known when both are. A Delay without an
// Engine that holds values belongs to the testing/synctest bubble, or to the outside, where the first of them was put.
type Delay[T any] struct {
	// Engine is whose time it follows, and where timeouts are deadlines; nil is a default engine, shared by all. It must not be
	// changed while the Delay holds a value or something waits.
	Engine *timer.Engine

	mu       sync.Mutex
	line     *timer.Engine // the engine in use
	delays   shelf[T]
	instants shelf[T]
	seq      uint64
	getters  park.List
	closed   bool

	// arming is held to move the deadline, which is done without mu: a bell rings under a lock of the engine's and takes mu.
	arming sync.Mutex
}

// Delayed is the handle of a value in a [Delay]. It is a value; the zero Delayed is of one that is out.
type Delayed[T any] struct {
	d *Delay[T]
	x *delayed[T]
}

// A bell is a deadline of the engine. Only d.arming guards expiry.
type bell[T any] struct {
	d      *Delay[T]
	s      *shelf[T]
	at     int64
	expiry timer.Expiry
}

// Put puts v in, to come out after a delay; at once if that is not positive. A delay that is too long to be added means never.
// It fails with ErrClosed if the Delay was closed.
func (d *Delay[T]) Put(v T, after time.Duration) (Delayed[T], error) {
	return d.put(v, func() (*shelf[T], int64) {
		now := int64(d.line.Elapsed())
		at := now + max(int64(after), 0)
		if at < now { // overflowed
			at = never
		}
		return &d.delays, at
	})
}

// PutAt puts v in, to come out when the wall clock shows t; at once if it is past that, and if t is before 1970. Instants that
// have passed come out in their order, too; those before 00:12:44 UTC on September 21, 1677, as the zero time is, count as the
// same. One that is not before 23:47:16 UTC on April 11, 2262 means never. It fails with ErrClosed if the Delay was closed.
func (d *Delay[T]) PutAt(v T, t time.Time) (Delayed[T], error) {
	return d.put(v, func() (*shelf[T], int64) {
		const last = never / int64(time.Second)
		switch s := t.Unix(); {
		case s < -last:
			return &d.instants, past
		case s >= last:
			return &d.instants, never
		}
		return &d.instants, t.UnixNano()
	})
}

// The ends of a timeline: a due time that is not reached, the first due time of all, and a reading by which nothing is due.
const (
	never int64 = math.MaxInt64
	past  int64 = -never
	undue int64 = math.MinInt64
)

func (d *Delay[T]) put(v T, due func() (*shelf[T], int64)) (Delayed[T], error) {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return Delayed[T]{}, ErrClosed
	}
	d.choose()
	d.seq++
	s, at := due()
	x := &delayed[T]{v: v, at: at, seq: d.seq, s: s}
	s.push(x)
	d.hand(d.read())
	d.unlock()
	return Delayed[T]{d: d, x: x}, nil
}

// Remove takes the value out before it is due. It is true if it will not be handed out; false if it has been, or was removed
// before.
func (h Delayed[T]) Remove() bool {
	if h.d == nil {
		return false
	}
	h.d.mu.Lock()
	if h.x.pos < 0 {
		h.d.mu.Unlock()
		return false
	}
	h.x.s.remove(h.x)
	h.d.end()
	h.d.unlock()
	return true
}

// Get takes out the first value that is due, and blocks while there is none and ctx lets it. It fails with the cause of a
// context that has ended, or with ErrClosed once a closed Delay is empty.
func (d *Delay[T]) Get(ctx context.Context) (T, error) { return d.get(park.Until(ctx)) }

// GetFor is Get with a timeout, after which it fails with ErrTimeout. With one of zero or less it does not block.
func (d *Delay[T]) GetFor(timeout time.Duration) (T, error) { return d.get(park.For(timeout)) }

// TryGet takes out the first value if it is due.
func (d *Delay[T]) TryGet() (v T, ok bool) {
	d.mu.Lock()
	defer d.unlock()
	return d.due()
}

func (d *Delay[T]) get(l park.Limit) (none T, err error) {
	if err = l.Err(); err != nil {
		return none, err
	}
	d.mu.Lock()
	if v, ok := d.due(); ok {
		d.unlock()
		return v, nil
	}
	if d.closed && d.size() == 0 {
		d.unlock()
		return none, ErrClosed
	}
	if l.Spent() {
		d.unlock()
		return none, ErrTimeout
	}
	w, s := park.New(), &slot[T]{}
	w.Value = s
	d.getters.Push(w)
	d.unlock()
	err = w.Wait(d.Engine, &l)
	d.mu.Lock()
	if err != nil {
		d.getters.Remove(w)
	}
	d.unlock() // sets the bell for the next one, or stops it
	w.Value = nil
	w.Release()
	if err != nil {
		return none, err
	}
	return s.v, s.err
}

// due takes out the first value if it is due, after serving those who wait already.
func (d *Delay[T]) due() (v T, ok bool) {
	if d.size() == 0 {
		return v, false
	}
	now := d.read()
	d.hand(now)
	x := d.first(now)
	if x == nil {
		return v, false
	}
	v = x.s.remove(x)
	d.end()
	return v, true
}

// now is a reading of both timelines.
type now struct{ boot, wall int64 }

// read reads the time of the engine in use, both timelines at one moment, if anything depends on it. For the engine the wall clock begins with 1970.
func (d *Delay[T]) read() now {
	if d.size() == 0 {
		return now{boot: undue, wall: undue}
	}
	elapsed, wall := d.line.Read()
	n := now{boot: int64(elapsed), wall: max(wall.UnixNano(), 0)}
	if elapsed < 0 { // across a bubble's edge
		n.boot = undue
	}
	return n
}

// choose chooses the engine while nothing depends on which it is.
func (d *Delay[T]) choose() {
	switch {
	case d.size() > 0 || d.delays.bell != nil || d.instants.bell != nil:
	case d.Engine != nil:
		d.line = d.Engine
	case !park.Bubbled():
		d.line = park.Default()
	default: // one that goes with the bubble; with nothing pending it holds no goroutine
		d.line = timer.New()
	}
}

// first is the value that comes out next, if one is due: that which is later, and of equally late ones the older.
func (d *Delay[T]) first(n now) *delayed[T] {
	a, b := d.delays.due(n.boot), d.instants.due(n.wall)
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	// Both have passed: as unsigned numbers the differences do not overflow.
	if la, lb := uint64(n.boot)-uint64(a.at), uint64(n.wall)-uint64(b.at); la > lb || (la == lb && a.seq < b.seq) {
		return a
	}
	return b
}

// hand gives what is due to those who wait.
func (d *Delay[T]) hand(n now) {
	for x := d.first(n); x != nil; x = d.first(n) {
		w := d.getters.Front()
		if w == nil {
			return
		}
		slotOf[T](w).v = x.v
		if w.Grant() {
			x.s.remove(x)
		}
	}
	d.end()
}

// end answers everybody once a closed Delay is empty.
func (d *Delay[T]) end() {
	if d.closed && d.size() == 0 {
		release(&d.getters, func(w *park.Waiter) { slotOf[T](w).err = ErrClosed })
	}
}

// unlock gives mu back, and sets the bells where that is needed.
func (d *Delay[T]) unlock() {
	anybody := d.getters.Len() > 0
	delays, instants := d.delays.wrong(anybody), d.instants.wrong(anybody)
	d.mu.Unlock()
	if delays {
		d.arm(&d.delays)
	}
	if instants {
		d.arm(&d.instants)
	}
}

// arm sets a shelf's bell as it should be. Who makes it wrong calls this afterwards, so that the last one to come here sets
// it right.
func (d *Delay[T]) arm(s *shelf[T]) {
	d.arming.Lock()
	defer d.arming.Unlock()
	d.mu.Lock()
	anybody := d.getters.Len() > 0
	if !s.wrong(anybody) {
		d.mu.Unlock()
		return
	}
	old, e := s.bell, d.line
	s.bell = nil
	if anybody && len(s.heap) > 0 {
		s.bell = &bell[T]{d: d, s: s, at: s.heap[0].at}
	}
	b := s.bell
	d.mu.Unlock()
	if old != nil {
		old.expiry.Stop()
	}
	if b == nil {
		return
	}
	var err error
	if s == &d.instants {
		b.expiry, err = e.ExpireAt(time.Unix(0, b.at), b)
	} else {
		b.expiry, err = e.Expire(time.Duration(b.at), b)
	}
	if err != nil {
		b.Expire(err)
	}
}

// Expire implements timer.Expirer: the first value is due. The getters that it lets go set the bell for the next one.
func (b *bell[T]) Expire(err error) {
	d := b.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if b.s.bell == b {
		b.s.bell = nil
	}
	if err != nil {
		release(&d.getters, func(w *park.Waiter) { slotOf[T](w).err = err })
		d.end()
		return
	}
	n := now{boot: undue, wall: undue}
	if len(d.delays.heap) > 0 && len(d.instants.heap) > 0 {
		n = d.read() // a late driver may tell of this one before it tells of an earlier one of the other timeline
	}
	if b.s == &d.instants {
		n.wall = max(n.wall, b.at)
	} else {
		n.boot = max(n.boot, b.at)
	}
	d.hand(n)
}

func (d *Delay[T]) size() int { return len(d.delays.heap) + len(d.instants.heap) }

// Len returns the number of values, due or not.
func (d *Delay[T]) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.size()
}

// Waiting returns how many getters block.
func (d *Delay[T]) Waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.getters.Len()
}

// Close ends the Delay: nothing more is put, and getters get what is left, when it is due, and then ErrClosed. A second
// Close does nothing.
func (d *Delay[T]) Close() {
	d.mu.Lock()
	d.closed = true
	d.end()
	d.unlock()
}

// CloseNow closes the Delay, takes out what is left and returns it in the order in which it would have come out. Getters fail
// with ErrClosed.
func (d *Delay[T]) CloseNow() []T {
	d.mu.Lock()
	defer d.unlock()
	d.closed = true
	var vs []T
	if d.size() > 0 {
		vs = make([]T, 0, d.size())
	}
	for n := d.read(); ; {
		x := d.next(n)
		if x == nil {
			break
		}
		vs = append(vs, x.s.remove(x))
	}
	d.end()
	return vs
}

// next is the value that comes out next, due or not, if the wall clock is not set until then.
func (d *Delay[T]) next(n now) *delayed[T] {
	switch {
	case len(d.delays.heap) == 0:
		return d.instants.due(never)
	case len(d.instants.heap) == 0:
		return d.delays.due(never)
	}
	a, b := d.delays.heap[0], d.instants.heap[0]
	if l, r := left(a.at, n.boot), left(b.at, n.wall); l < r || (l == r && a.seq < b.seq) {
		return a
	}
	return b
}

// left is the time from now to at, negative if that has passed.
func left(at, now int64) int64 {
	d := at - now
	switch {
	case at == never || at > now && d < 0:
		return never
	case at < now && d > 0:
		return past
	}
	return d
}
