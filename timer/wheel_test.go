package timer

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// wheelModel is a wheel beside a plain list of what it must hold.
type wheelModel struct {
	slab slab
	w    wheel
	now  int64
	seq  int
	all  []modelEntry
}

// A modelEntry is what a wheel was given. Of equal due times those that were never moved leave in the order of seq.
type modelEntry struct {
	idx   uint32
	due   int64
	seq   int
	moved bool // its due time was raised in place, or the clock was set back
}

func newWheelModel(t *rapid.T) *wheelModel {
	m := &wheelModel{}
	m.slab.init()
	// The phases that shards have, and any other.
	m.w.phase = rapid.SampledFrom([]uint64{0, 0x20_0201_0000, 1 << 39, 0xffff, 1<<40 - 1}).Draw(t, "phase")
	m.now = rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, 1<<45), rapid.Just(int64(1_770_000_000_000_000_000))).Draw(t, "start")
	return m
}

// drawDue draws due times that are close, on the borders of slots, far, past, equal to others, or the last there is.
func (m *wheelModel) drawDue(t *rapid.T) int64 {
	switch rapid.IntRange(0, 9).Draw(t, "kind of due") {
	case 0:
		return rapid.SampledFrom([]int64{0, 1, math.MaxInt64, math.MaxInt64 - 1}).Draw(t, "due")
	case 1:
		if len(m.all) > 0 {
			return m.all[rapid.IntRange(0, len(m.all)-1).Draw(t, "same due as")].due
		}
		return m.now
	case 2:
		return max(0, m.now-rapid.Int64Range(0, 1<<40).Draw(t, "past"))
	case 3:
		return satAdd(m.now, rapid.Int64Range(0, 4<<tickShift).Draw(t, "within ticks"))
	case 4: // around the border of a slot of some level
		width := int64(1) << (tickShift + 6*rapid.IntRange(0, 4).Draw(t, "level"))
		border := (m.now+int64(m.w.phase))/width*width + width*rapid.Int64Range(0, 70).Draw(t, "slots") - int64(m.w.phase)
		return max(0, satAdd(border, rapid.Int64Range(-1, 1).Draw(t, "beside")))
	default:
		return satAdd(m.now, rapid.Int64Range(0, 1<<rapid.IntRange(1, 62).Draw(t, "bits")).Draw(t, "ahead"))
	}
}

func (m *wheelModel) add(due int64) {
	idx := m.slab.alloc()
	en := m.slab.at(idx)
	en.tag, en.due = makeTag(uint64(m.seq+1)), due
	m.w.add(&m.slab, idx, m.now)
	m.all = append(m.all, modelEntry{idx: idx, due: due, seq: m.seq})
	m.seq++
}

func (m *wheelModel) remove(i int) {
	m.w.remove(&m.slab, m.all[i].idx)
	m.slab.free(m.all[i].idx)
	m.all = slices.Delete(m.all, i, i+1)
}

func (m *wheelModel) raise(i int, due int64) {
	m.slab.at(m.all[i].idx).due = due
	m.all[i].due, m.all[i].moved = due, true
}

// expire moves the time and takes out what is due, as the driver does.
func (m *wheelModel) expire(t *rapid.T, now int64, limit int) {
	m.now = now
	var out []uint32
	for calls, more := 0, true; more; calls++ {
		if calls > 10*wheelLevels*(len(m.all)+1) {
			t.Fatalf("expire(%d) with limit %d does not come to an end", now, limit)
		}
		var batch []uint32
		batch, more = m.w.expire(&m.slab, now, limit, nil)
		if len(batch) > limit {
			t.Fatalf("expire took out %d, the limit is %d", len(batch), limit)
		}
		out = append(out, batch...)
	}
	inTick := m.took(t, out, limit == math.MaxInt)
	for _, me := range m.all {
		// What lies in the tick that has begun may wait for the tick's end if there is more of it than the limit.
		if me.due <= now && (max(m.w.tick(me.due), m.w.elapsed) < m.w.tick(now) || inTick < limit) {
			t.Fatalf("expire(%d) left an entry that was due at %d", now, me.due)
		}
	}
}

// took checks what left the wheel and returns how many entries share the present tick.
func (m *wheelModel) took(t *rapid.T, out []uint32, exact bool) (inTick int) {
	last := map[int64]int{}
	for _, me := range m.all {
		if m.w.tick(me.due) <= m.w.tick(m.now) {
			inTick++
		}
	}
	for _, idx := range out {
		i := slices.IndexFunc(m.all, func(me modelEntry) bool { return me.idx == idx })
		if i < 0 {
			t.Fatalf("entry %d left the wheel, but was not in it", idx)
		}
		me := m.all[i]
		if me.due > m.now {
			t.Fatalf("an entry due at %d left early, at %d", me.due, m.now)
		}
		if seq, ok := last[me.due]; exact && ok && !me.moved && seq > me.seq {
			t.Fatalf("of two entries due at %d, number %d left before number %d", me.due, seq, me.seq)
		}
		if !me.moved {
			last[me.due] = me.seq
		}
		m.slab.free(idx)
		m.all = slices.Delete(m.all, i, i+1)
	}
	return inTick
}

func (m *wheelModel) earliest() int64 {
	if len(m.all) == 0 {
		return never
	}
	return slices.MinFunc(m.all, func(a, b modelEntry) int { return cmp.Compare(a.due, b.due) }).due
}

// next checks the time by which the wheel wants to be looked at.
func (m *wheelModel) next(t *rapid.T) {
	want, got := m.earliest(), m.w.next(&m.slab)
	latest := want
	if want != never && m.w.tick(want) < m.w.tick(never) {
		latest = max(want, m.w.timeOf(max(m.w.tick(want), m.w.elapsed)+1))
	}
	switch {
	case len(m.all) <= scanLimit && got != want:
		t.Fatalf("next is %d, want exactly %d, as no slot is long", got, want)
	case got > latest:
		t.Fatalf("next is %d, want %d or before: the earliest is due at %d", got, latest, want)
	}
	if got := m.w.earliest(&m.slab); got != want {
		t.Fatalf("earliest is %d, want %d", got, want)
	}
}

// check compares the wheel with the model, link by link.
func (m *wheelModel) check(t *rapid.T) {
	held, err := wheelEntries(&m.w, &m.slab)
	if err != nil {
		t.Fatal(err)
	}
	if len(held) != len(m.all) {
		t.Fatalf("the wheel holds %d entries, want %d", len(held), len(m.all))
	}
	for _, me := range m.all {
		if !held[me.idx] {
			t.Fatalf("entry %d, due at %d, is not in the wheel", me.idx, me.due)
		}
		if got := m.slab.at(me.idx).due; got != me.due {
			t.Fatalf("entry %d is due at %d, want %d", me.idx, got, me.due)
		}
	}
	if err := checkSlab(&m.slab); err != nil {
		t.Fatal(err)
	}
}

// wheelEntries walks all links of a wheel, both ways, and returns the entries found; or what is wrong with bitmaps,
// counts, links or places.
func wheelEntries(w *wheel, s *slab) (map[uint32]bool, error) {
	held := map[uint32]bool{}
	for lvl := range w.levels {
		for n := range uint32(64) {
			err := slotEntries(w, s, lvl, n, held)
			if err != nil {
				return nil, fmt.Errorf("level %d, slot %d: %w", lvl, n, err)
			}
		}
	}
	if w.count != len(held) {
		return nil, fmt.Errorf("count is %d, want %d", w.count, len(held))
	}
	return held, nil
}

func slotEntries(w *wheel, s *slab, lvl int, n uint32, held map[uint32]bool) error {
	if w.occupied[lvl]>>n&1 == 0 {
		return nil
	}
	if w.levels[lvl] == nil {
		return errors.New("occupied, but the level is not there")
	}
	mark := slotMark | uint32(lvl)<<6 | n
	start := w.elapsed>>(6*(lvl+1))<<(6*(lvl+1)) | uint64(n)<<(6*lvl)
	if start>>(6*lvl) < w.elapsed>>(6*lvl) {
		return errors.New("occupied, but its time is past")
	}
	q, prev := w.levels[lvl][n], mark
	for idx := q.head; ; {
		if idx&slotMark != 0 {
			return fmt.Errorf("the queue ends at %#x, want %#x", idx, mark)
		}
		en := s.get(idx)
		if en == nil || en.tag == 0 {
			return fmt.Errorf("entry %d is linked, but free", idx)
		}
		if held[idx] {
			return fmt.Errorf("entry %d is linked twice", idx)
		}
		held[idx] = true
		if en.prev != prev {
			return fmt.Errorf("entry %d has %#x before it, want %#x", idx, en.prev, prev)
		}
		if t := max(w.tick(en.due), w.elapsed); t < start {
			return fmt.Errorf("entry %d is due in tick %d, before the slot's %d", idx, t, start)
		}
		prev = idx
		if idx = en.next; idx == mark {
			break
		}
	}
	if q.tail != prev {
		return fmt.Errorf("the tail is %d, want %d", q.tail, prev)
	}
	return nil
}

// wheelProperty runs random operations on a wheel and its model.
func wheelProperty(t *rapid.T) {
	m := newWheelModel(t)
	limits := rapid.SampledFrom([]int{1, 2, 7, 64, 256, math.MaxInt, math.MaxInt})
	// some calls f with an entry, if there is one. Actions do not skip: a fuzzer finds the input that does nothing else, at which
	// rapid gives up.
	some := func(t *rapid.T, f func(i int)) {
		if n := len(m.all); n > 0 {
			f(rapid.IntRange(0, n-1).Draw(t, "entry"))
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"": m.check,
		"add": func(t *rapid.T) {
			m.add(m.drawDue(t))
			m.next(t)
		},
		"add many": func(t *rapid.T) {
			due := m.drawDue(t)
			step := rapid.SampledFrom([]int64{0, 1, 100, 1 << tickShift, 1 << (tickShift + 6), 1 << (tickShift + 14)}).Draw(t, "step")
			for i := range rapid.IntRange(1, 150).Draw(t, "number") {
				m.add(satAdd(due, step*int64(i)))
			}
		},
		"remove": func(t *rapid.T) { some(t, m.remove) },
		"remove half": func(t *rapid.T) {
			for i := len(m.all) / 2; i > 0; i-- {
				m.remove(i)
			}
		},
		"raise": func(t *rapid.T) {
			some(t, func(i int) { m.raise(i, max(m.all[i].due, m.drawDue(t))) })
		},
		"raise all": func(t *rapid.T) {
			by := rapid.Int64Range(0, 1<<50).Draw(t, "by")
			for i := range m.all {
				m.raise(i, satAdd(m.all[i].due, by))
			}
			m.next(t)
		},
		"wait": func(t *rapid.T) {
			d := rapid.Int64Range(0, 1<<rapid.IntRange(1, 50).Draw(t, "bits")).Draw(t, "ns")
			m.expire(t, satAdd(m.now, d), limits.Draw(t, "limit"))
			m.next(t)
		},
		"wait for the next": func(t *rapid.T) {
			at := m.earliest()
			if at > math.MaxInt64/2 {
				return // never
			}
			at = max(m.now, at+rapid.Int64Range(-1, 1).Draw(t, "beside"))
			m.expire(t, at, limits.Draw(t, "limit"))
			m.next(t)
		},
		"drive": func(t *rapid.T) { // as the driver does, which sleeps until next
			limit := limits.Draw(t, "limit")
			for range 10 {
				at := m.w.next(&m.slab)
				if at > math.MaxInt64/2 {
					break
				}
				m.expire(t, max(at, m.now), limit)
			}
		},
		"set back": func(t *rapid.T) {
			m.now = max(0, m.now-rapid.Int64Range(0, 1<<50).Draw(t, "back"))
			m.w.rewind(&m.slab, m.now)
			m.next(t)
		},
	})
}

func TestWheel_AgreesWithSortedList(t *testing.T) {
	checkRapid(t, 1000, 60, wheelProperty)
}

// The wheel against a plain list, by coverage: every link, bitmap and count after every operation.
func FuzzTimerqInvariant(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(wheelProperty))
}

func newTestWheel() (*wheel, *slab) {
	s := &slab{}
	s.init()
	return &wheel{}, s
}

func addTo(w *wheel, s *slab, due, now int64) uint32 {
	idx := s.alloc()
	en := s.at(idx)
	en.tag, en.due = makeTag(1), due
	w.add(s, idx, now)
	return idx
}

// A slot of a higher level that is longer than one batch is moved down in several; entries of it that come due meanwhile
// must not stay behind those that were moved.
func TestWheel_HalfMovedSlotKeepsItsPlace(t *testing.T) {
	w, s := newTestWheel()
	const level3 = 1 << (tickShift + 18) // 17 s
	late := int64(level3 + level3/2)
	for range 10 {
		addTo(w, s, late, 0)
	}
	soon := addTo(w, s, level3+1000, 0)
	now := int64(level3 + 1000)
	var out []uint32
	for more := true; more; {
		out, more = w.expire(s, now, 4, out)
	}
	if want := []uint32{soon}; !slices.Equal(out, want) {
		t.Errorf("expire took out %v, want %v", out, want)
	}
	if got := w.next(s); got != late {
		t.Errorf("next is %d, want %d", got, late)
	}
}

// A slot that is longer than a batch and whose time has begun, but none of whose entries is due, ends the call.
func TestWheel_NothingDueInALongSlot(t *testing.T) {
	w, s := newTestWheel()
	for range 10 {
		addTo(w, s, 1000, 0)
	}
	for calls, more := 0, true; more; calls++ {
		if calls > 100 {
			t.Fatal("expire says forever that there is more to do")
		}
		var out []uint32
		if out, more = w.expire(s, 500, 4, nil); len(out) > 0 {
			t.Fatalf("took out %d early", len(out))
		}
	}
}

// After every entry of a slot was moved to later, the earliest is found in another slot.
func TestWheel_EarliestAfterManyWereMoved(t *testing.T) {
	w, s := newTestWheel()
	const n = 3 * scanLimit
	for range n {
		s.at(addTo(w, s, 1_000_000, 0)).due = 3_600_000_000_000
	}
	addTo(w, s, 2_000_000_000, 0)
	if got, want := w.earliest(s), int64(2_000_000_000); got != want {
		t.Errorf("earliest is %d, want %d", got, want)
	}
}

func TestWheel_TimeOf(t *testing.T) {
	for _, phase := range []uint64{0, 1, 0xffff, 1 << 39, 1<<40 - 1} {
		w := &wheel{phase: phase}
		for _, at := range []int64{0, 1, 65535, 65536, 1 << 40, math.MaxInt64 - 1, math.MaxInt64} {
			tick := w.tick(at)
			if start := w.timeOf(tick); start > at || w.tick(start) != tick && start != 0 {
				t.Errorf("phase %#x: tick %d of %d begins at %d", phase, tick, at, start)
			}
			if end := w.timeOf(tick + 1); end <= at && at != math.MaxInt64 {
				t.Errorf("phase %#x: tick %d of %d ends at %d", phase, tick, at, end)
			}
		}
	}
}
