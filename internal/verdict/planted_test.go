package verdict_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/internal/verdict"
)

// TestCheck_CorrectHistories: in what a correct scheduler did there is no fault to find.
func TestCheck_CorrectHistories(t *testing.T) {
	for seed := range uint64(20) {
		records := newWorld(seed, 500).records
		if len(records) < 3000 {
			t.Errorf("seed %d: only %d records", seed, len(records))
		}
		for _, downtime := range []bool{false, true} {
			o := held()
			o.Downtime = downtime
			if vs := verdict.Check(records, o); vs != nil {
				t.Fatalf("seed %d: %d verdicts, the first:\n%v", seed, len(vs), vs[0])
			}
		}
	}
}

// TestCheck_Planted plants each kind of fault in correct histories, in one name after the other, and wants that one verdict only.
func TestCheck_Planted(t *testing.T) {
	kinds := map[verdict.Kind]bool{}
	for _, f := range faults {
		kinds[f.kind] = true
		t.Run(f.kind.String()+"/"+f.name, func(t *testing.T) {
			n := 0
			for seed := range uint64(4) {
				n += plant(t, f, seed)
			}
			if n < 4 {
				t.Errorf("planted %d times, too few to say that it is always found", n)
			}
		})
	}
	for k := verdict.Missed; k <= verdict.BadLog; k++ {
		if !kinds[k] {
			t.Errorf("no fault of the kind %v is planted", k)
		}
	}
}

// plant plants a fault in up to three names of a world, each time in the world as it was, and returns in how many.
func plant(t *testing.T, f planted, seed uint64) (n int) {
	t.Helper()
	w := newWorld(seed, 150)
	free := map[verdict.Incarnation]int64{}
	for _, l := range w.lives {
		free[l.Incarnation] = l.free
	}
	names := map[string]bool{}
	for _, r := range w.records {
		if r.Name != "" && strings.HasPrefix(r.Name, f.among) {
			names[r.Name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s := &story{free: free}
		var others []verdict.Record
		for _, r := range w.records {
			if r.Name == name {
				s.records = append(s.records, r)
			} else {
				others = append(others, r)
			}
		}
		if !f.plant(s) {
			continue
		}
		o := held()
		if s.once { // what the others did is none
			o.Once, o.Excuse = true, func(v verdict.Verdict) bool { return v.Run.Name != name }
		}
		vs := verdict.Check(slices.Concat(others, s.records), o)
		switch {
		case len(vs) != 1, vs[0].Kind != f.kind, vs[0].Run.Name != name, f.by != 0 && vs[0].By != f.by, len(vs[0].Evidence) == 0:
			t.Fatalf("seed %d, %s: want one verdict, %v (%v), got %d:\n%v\nthe story is\n%v", seed, name, f.kind, f.by, len(vs), vs, text(s.records...))
		}
		if n++; n == 3 {
			break
		}
	}
	return n
}

// A story is all that a history says of one name, which a fault is planted in.
type story struct {
	records []verdict.Record              // in the order of the log
	free    map[verdict.Incarnation]int64 // when what an incarnation left may begin again
	once    bool                          // see verdict.Options
}

// A planted fault changes a story, or says that it isn't one for it.
type planted struct {
	name  string
	among string // prefix of the names that it is for
	plant func(*story) bool
	kind  verdict.Kind
	by    time.Duration // 0: not looked at
}

// all returns the places of the records of one op.
func (s *story) all(op verdict.Op) (at []int) {
	for i, r := range s.records {
		if r.Op == op {
			at = append(at, i)
		}
	}
	return at
}

func (s *story) last(op verdict.Op) *verdict.Record {
	if at := s.all(op); len(at) > 0 {
		return &s.records[at[len(at)-1]]
	}
	return nil
}

// end returns the end of the attempt that begin begins, or nil.
func (s *story) end(begin *verdict.Record) *verdict.Record {
	for i := range s.records {
		if r := &s.records[i]; r.Op == verdict.End && r.Incarnation == begin.Incarnation && r.Serial == begin.Serial {
			return r
		}
	}
	return nil
}

// drop takes out the records that a function chooses.
func (s *story) drop(which func(verdict.Record) bool) {
	s.records = slices.DeleteFunc(s.records, which)
}

// only returns the begin, end and acceptance of the last generation, where it had a single attempt, of the node that never dies.
func (s *story) only() (put, begin, end *verdict.Record) {
	begin = s.last(verdict.Begin)
	if begin == nil || begin.Incarnation != steady {
		return nil, nil, nil
	}
	for _, i := range s.all(verdict.Put) {
		if r := &s.records[i]; put == nil || r.Generation > put.Generation {
			put = r
		}
	}
	for _, i := range s.all(verdict.Begin) {
		if r := &s.records[i]; r != begin && r.Run == begin.Run {
			return nil, nil, nil
		}
	}
	return put, begin, s.end(begin)
}

// more adds an attempt of the steady node, of 2 µs.
func (s *story) more(run verdict.Run, at, due, fence int64) {
	r := verdict.Record{Op: verdict.Begin, At: at, Incarnation: steady, Run: run, Due: due, Fence: fence, Serial: 1 << 40}
	s.records = append(s.records, r)
	r.Op, r.At, r.Completed = verdict.End, at+2, true
	s.records = append(s.records, r)
}

var faults = []planted{
	{name: "never begun", among: "once", kind: verdict.Missed, plant: func(s *story) bool {
		put := *s.last(verdict.Put)
		s.drop(func(r verdict.Record) bool { return r.Generation == put.Generation && r.Op != verdict.Put })
		return true
	}},
	{name: "begun for another instant", among: "once", kind: verdict.Missed, plant: func(s *story) bool {
		put := *s.last(verdict.Put)
		s.drop(func(r verdict.Record) bool { return r.Op == verdict.Settled })
		for i := range s.records {
			if r := &s.records[i]; r.Op != verdict.Put && r.Generation == put.Generation {
				r.ScheduledFor++
			}
		}
		return true
	}},
	{name: "the moved one never begun", among: "move", kind: verdict.Missed, plant: func(s *story) bool {
		s.drop(func(r verdict.Record) bool { return r.Op != verdict.Put && r.Op != verdict.Moved })
		return true
	}},
	{name: "lost although there was an answer", among: "doubt", kind: verdict.Missed, plant: func(s *story) bool {
		ask := s.last(verdict.Asked)
		if ask.Incarnation == producer {
			return false
		}
		answer := *ask
		answer.Op = verdict.Answered
		s.records = append(s.records, answer)
		return true
	}},
	{name: "before due", among: "once", kind: verdict.Early, by: time.Microsecond, plant: func(s *story) bool {
		put, begin, _ := s.only()
		if begin == nil || put.Due <= put.At { // at once: the attempt before may have lasted until then
			return false
		}
		begin.At = put.Due - 1
		return true
	}},
	{name: "before due, by a lie", among: "once", kind: verdict.Early, by: time.Second, plant: func(s *story) bool {
		put, begin, end := s.only()
		if begin == nil || put.At > put.Due-second {
			return false
		}
		begin.At = put.Due - second
		begin.Due, end.Due = begin.At, begin.At
		return true
	}},
	{name: "before an occurrence is due", among: "rec", kind: verdict.Early, by: time.Microsecond, plant: func(s *story) bool {
		begin := &s.records[s.all(verdict.Begin)[0]]
		begin.At = begin.Due - 1
		return true
	}},
	{name: "late", among: "once", kind: verdict.Late, plant: func(s *story) bool {
		put, begin, end := s.only()
		if begin == nil {
			return false
		}
		by := max(put.Due, put.At) + maxLate.Microseconds() + 1 - begin.At
		begin.At += by
		end.At += by
		if r := s.last(verdict.Settled); r != nil && r.Run == begin.Run {
			r.At += by
		}
		return true
	}, by: maxLate + time.Microsecond},
	{name: "late by its own word", among: "once", kind: verdict.Late, plant: func(s *story) bool {
		if _, begin, _ := s.only(); begin == nil {
			return false
		}
		s.drop(func(r verdict.Record) bool { return r.Op == verdict.Put || r.Op == verdict.Settled })
		begin, end := s.last(verdict.Begin), s.last(verdict.End)
		begin.Due, end.Due = begin.At-second, begin.At-second
		return true
	}, by: time.Second},
	{name: "once more after it was settled", among: "once", kind: verdict.Doubled, plant: func(s *story) bool {
		done, begin := s.last(verdict.Settled), s.last(verdict.Begin)
		if done == nil || done.Run != begin.Run {
			return false
		}
		s.more(done.Run, done.At+1, begin.Due, begin.Fence+1)
		return true
	}, by: time.Microsecond},
	{name: "twice in one incarnation", among: "once", kind: verdict.Doubled, plant: func(s *story) bool {
		_, begin, end := s.only()
		if begin == nil || !end.Completed {
			return false
		}
		run, at, due, fence := begin.Run, end.At, begin.Due, begin.Fence
		s.drop(func(r verdict.Record) bool { return r.Op == verdict.Settled })
		s.more(run, at, due, fence+1)
		return true
	}},
	{name: "an occurrence twice", among: "rec", kind: verdict.Doubled, plant: func(s *story) bool {
		done, begin := s.last(verdict.Settled), s.last(verdict.Begin)
		if done == nil || done.Run != begin.Run {
			return false
		}
		s.more(done.Run, done.At+1, begin.Due, begin.Fence+1)
		return true
	}},
	{name: "again after a death, to one who allows no repetition", among: "again", kind: verdict.Doubled, plant: func(s *story) bool {
		s.once = true
		ends := s.all(verdict.End)
		return len(ends) > 1 && s.records[ends[len(ends)-1]].Run == s.records[ends[len(ends)-2]].Run
	}},
	{name: "the next occurrence while it runs", among: "rec", kind: verdict.Overlapping, by: time.Microsecond, plant: func(s *story) bool {
		begin := s.last(verdict.Begin)
		end := s.end(begin)
		if end == nil || end.At-1 <= begin.At {
			return false
		}
		run := begin.Run
		run.ScheduledFor += 5 * second
		s.more(run, end.At-1, begin.Due, begin.Fence+1)
		return true
	}},
	{name: "a retry before its process is dead", among: "once", kind: verdict.Overlapping, by: time.Microsecond, plant: func(s *story) bool {
		return s.beforeDeath()
	}},
	{name: "while one runs that never ends", among: "once", kind: verdict.Overlapping, plant: func(s *story) bool {
		put, begin, end := s.only()
		if begin == nil || end.At == begin.At {
			return false
		}
		last, due := *end, put.Due
		s.drop(func(r verdict.Record) bool { return r.Op == verdict.Settled || r == last })
		s.more(last.Run, last.At, due, last.Fence+1)
		return true
	}},
	{name: "after cancel", among: "cancel", kind: verdict.AfterCancel, plant: func(s *story) bool {
		put, no := s.records[0], s.last(verdict.Cancelled)
		fence := int64(1)
		if begin := s.last(verdict.Begin); begin != nil {
			fence = begin.Fence + 1
		}
		run := verdict.Run{Name: put.Name, Generation: put.Generation, ScheduledFor: put.ScheduledFor}
		s.more(run, max(put.Due, no.At+1), put.Due, fence)
		return true
	}},
	{name: "after move", among: "move", kind: verdict.AfterMove, plant: func(s *story) bool {
		put := s.records[0]
		run := verdict.Run{Name: put.Name, Generation: put.Generation, ScheduledFor: put.ScheduledFor}
		s.more(run, put.Due, put.Due, 1)
		return true
	}},
	{name: "claimed while it is paused", among: "once", kind: verdict.WhilePaused, by: time.Microsecond, plant: func(s *story) bool {
		begin := *s.last(verdict.Begin)
		for _, r := range s.records {
			if r.Op == verdict.Asked && r.At >= begin.At-1 && r.At <= begin.At {
				return false
			}
		}
		s.records = append(s.records, verdict.Record{
			Op: verdict.Paused, At: begin.At - 1, Incarnation: steady, Run: verdict.Run{Name: begin.Name, Generation: begin.Fence - 1},
		})
		return true
	}},
	{name: "a fence twice", among: "", kind: verdict.FenceOrder, plant: func(s *story) bool { return s.refence(0) }},
	{name: "a fence that falls", among: "rec", kind: verdict.FenceOrder, plant: func(s *story) bool { return s.refence(-1) }},
	{name: "an end without a begin", among: "", kind: verdict.BadLog, plant: func(s *story) bool {
		end := s.last(verdict.End)
		if end == nil {
			return false
		}
		twice := *end
		s.records = append(s.records, twice)
		return true
	}},
	{name: "an end before its begin", among: "", kind: verdict.BadLog, plant: func(s *story) bool {
		end := s.last(verdict.End)
		if end == nil || s.last(verdict.Settled) != nil {
			return false
		}
		end.At = dawn
		return true
	}},
	{name: "an end of another attempt", among: "", kind: verdict.BadLog, plant: func(s *story) bool {
		end := s.last(verdict.End)
		if end == nil {
			return false
		}
		end.Fence++
		return true
	}},
	{name: "two instants of one generation", among: "far", kind: verdict.BadLog, plant: func(s *story) bool {
		other := s.records[0]
		other.Due++
		s.records = append(s.records, other)
		return true
	}},
}

// beforeDeath lets the attempt behind one that was cut off begin 1 µs before that was over.
func (s *story) beforeDeath() bool {
	begins := s.all(verdict.Begin)
	for k := range len(begins) - 1 {
		cut, again := &s.records[begins[k]], &s.records[begins[k+1]]
		end := s.end(again)
		if s.end(cut) != nil || again.Run != cut.Run || end == nil {
			continue
		}
		again.At, again.Due, end.Due = s.free[cut.Incarnation]-1, cut.Due, cut.Due
		return true
	}
	return false
}

// refence gives the last attempt the fence of the one before, and adds to it.
func (s *story) refence(add int64) bool {
	begins := s.all(verdict.Begin)
	if len(begins) < 2 {
		return false
	}
	last := &s.records[begins[len(begins)-1]]
	end := s.end(last)
	last.Fence = s.records[begins[len(begins)-2]].Fence + add
	if end != nil {
		end.Fence = last.Fence
	}
	return true
}
