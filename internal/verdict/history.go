package verdict

import (
	"cmp"
	"math"
	"slices"
)

// A history is what the records say, put in order: by name, by generation, by run, by incarnation.
type history struct {
	latest   int64
	lives    map[Incarnation]*life
	nodes    map[string][]*life // those with a start record, by boot
	subjects map[string]*subject
	odd      []oddity
}

// A life is what is known of an incarnation.
type life struct {
	Incarnation
	last  int64   // the latest instant that it logged itself
	start *Record // or nil
	died  *Record // or nil
	open  map[int64]*attempt
}

// A subject is a name.
type subject struct {
	name      string
	attempts  []*attempt
	gens      map[int64]*generation
	runs      map[Run]*run
	newest    int64         // generation that was accepted; those of attempts are only the scheduler's word
	recurring bool          // in any generation
	asked     map[*life]int // asked for and not answered
	asks      []*Record
	pauses    []*Record
}

// A generation is what was acknowledged of it. Each record may be nil.
type generation struct {
	number    int64
	accepted  *Record
	cancelled *Record // the first
	tooLate   bool    // nothing is owed of it but by whoever had claimed it
	moved     *Record // away, the first
	began     *attempt
}

// A run is its attempts, in the order in which they began after the judge has sorted them.
type run struct {
	attempts []*attempt
	settled  *Record // the first
}

// An attempt is an interval of time: until is by its end record, or by what is known of its incarnation.
type attempt struct {
	life  *life
	begin *Record
	end   *Record // or nil
	until int64
}

// An oddity is a contradiction among records.
type oddity struct {
	why      string
	evidence []*Record
}

func collect(records []Record) *history {
	h := &history{lives: map[Incarnation]*life{}, nodes: map[string][]*life{}, subjects: map[string]*subject{}}
	for i := range records {
		r := &records[i]
		if i == 0 || r.At > h.latest {
			h.latest = r.At
		}
		h.add(r)
	}
	for _, node := range h.nodes {
		slices.SortFunc(node, func(a, b *life) int { return cmp.Compare(a.Boot, b.Boot) })
	}
	for _, s := range h.subjects {
		for _, a := range s.attempts {
			h.close(a)
		}
	}
	return h
}

func (h *history) contradict(why string, evidence ...*Record) {
	h.odd = append(h.odd, oddity{why: why, evidence: evidence})
}

func (h *history) add(r *Record) {
	l := h.life(r.Incarnation)
	if r.Op == Died {
		if l.died == nil || r.At < l.died.At {
			l.died = r
		}
		return
	}
	l.last = max(l.last, r.At)
	switch r.Op {
	case Start:
		if l.start != nil {
			h.contradict("one incarnation starts twice", l.start, r)
			return
		}
		l.start = r
		h.nodes[r.Node] = append(h.nodes[r.Node], l)
	case Begin:
		h.begin(l, r)
	case End:
		h.end(l, r)
	default:
		h.subject(r.Name).told(h, l, r)
	}
}

func (h *history) life(inc Incarnation) *life {
	l := h.lives[inc]
	if l == nil {
		l = &life{Incarnation: inc, last: math.MinInt64, open: map[int64]*attempt{}}
		h.lives[inc] = l
	}
	return l
}

func (h *history) subject(name string) *subject {
	s := h.subjects[name]
	if s == nil {
		s = &subject{name: name, newest: math.MinInt64, gens: map[int64]*generation{}, runs: map[Run]*run{}}
		h.subjects[name] = s
	}
	return s
}

func (h *history) begin(l *life, r *Record) {
	if a := l.open[r.Serial]; a != nil {
		h.contradict("a serial begins again before its end", a.begin, r)
	}
	a := &attempt{life: l, begin: r}
	l.open[r.Serial] = a
	s := h.subject(r.Name)
	s.attempts = append(s.attempts, a)
	g := s.generation(r.Generation)
	if g.began == nil || r.At < g.began.begin.At {
		g.began = a
	}
	u := s.run(r.Run)
	u.attempts = append(u.attempts, a)
}

func (h *history) end(l *life, r *Record) {
	a := l.open[r.Serial]
	switch {
	case a == nil:
		h.contradict("an end without a begin", r)
		return
	case a.begin.Run != r.Run || a.begin.Fence != r.Fence || a.begin.Due != r.Due:
		h.contradict("an end of another attempt", a.begin, r)
	case r.At < a.begin.At:
		h.contradict("an end before its begin", a.begin, r)
	}
	a.end = r
	delete(l.open, r.Serial)
}

// told takes in what a producer or the scheduler said of a name.
func (s *subject) told(h *history, l *life, r *Record) {
	if r.Op != Settled && r.Op != Paused {
		s.count(l, r.Op)
	}
	if r.Op == Asked {
		s.asks = append(s.asks, r)
	}
	switch r.Op {
	case Put:
		s.accept(h, r, r.Generation)
	case Moved:
		s.accept(h, r, r.Next)
		if g := s.generation(r.Generation); g.moved == nil || r.At < g.moved.At {
			g.moved = r
		}
	case Cancelled:
		if g := s.generation(r.Generation); g.cancelled == nil || r.At < g.cancelled.At {
			g.cancelled = r
		}
	case TooLate:
		s.generation(r.Generation).tooLate = true
	case Settled:
		if u := s.run(r.Run); u.settled == nil || r.At < u.settled.At {
			u.settled = r
		}
	case Paused:
		s.newest = max(s.newest, r.Generation)
		s.pauses = append(s.pauses, r)
	default: // Asked and Answered are counted, and no other is told
	}
}

// count keeps how many questions of an incarnation have no answer. Answers without a question are those of a producer that
// can't be killed, and settle nothing.
func (s *subject) count(l *life, op Op) {
	switch {
	case op == Asked:
		if s.asked == nil {
			s.asked = map[*life]int{}
		}
		s.asked[l]++
	case s.asked[l] > 0:
		s.asked[l]--
	}
}

// accept notes that a generation was accepted. The same is accepted any number of times, as replicas declare it.
func (s *subject) accept(h *history, r *Record, number int64) {
	s.newest = max(s.newest, number)
	s.recurring = s.recurring || r.Recurring
	g := s.generation(number)
	was := g.accepted
	if was == nil {
		g.accepted = r
		return
	}
	known := was.ScheduledFor != 0 && r.ScheduledFor != 0
	if was.Recurring != r.Recurring || !r.Recurring && (was.Due != r.Due || known && was.ScheduledFor != r.ScheduledFor) {
		h.contradict("one generation accepted with two instants", was, r)
	}
}

func (s *subject) generation(number int64) *generation {
	g := s.gens[number]
	if g == nil {
		g = &generation{number: number}
		s.gens[number] = g
	}
	return g
}

func (s *subject) run(id Run) *run {
	u := s.runs[id]
	if u == nil {
		u = &run{}
		s.runs[id] = u
	}
	return u
}

// close finds until when the attempt lasted.
func (h *history) close(a *attempt) {
	if d := a.life.died; d != nil && a.begin.At > d.At {
		h.contradict("a begin after the death of its process", d, a.begin)
	}
	a.until = h.over(a.life)
	if a.end != nil {
		a.until = a.end.At
	}
	a.until = max(a.until, a.begin.At)
}

// over returns the last instant at which something of the incarnation may have been running: when it died or the next of its node
// started, whichever was first. An incarnation that logged something later was alive then.
func (h *history) over(l *life) int64 {
	node := h.nodes[l.Node]
	next, _ := slices.BinarySearchFunc(node, l.Boot, func(n *life, boot int64) int {
		if n.Boot <= boot {
			return -1
		}
		return 1
	})
	switch {
	case l.died != nil && next < len(node):
		return max(l.last, min(l.died.At, node[next].start.At))
	case l.died != nil:
		return max(l.last, l.died.At)
	case next < len(node):
		return max(l.last, node[next].start.At)
	default:
		return l.last
	}
}
