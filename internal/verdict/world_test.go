package verdict_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dulyhq/duly/internal/verdict"
)

const (
	ms      = int64(1000) // µs
	second  = 1000 * ms
	dawn    = int64(1_764_349_200) * second
	horizon = dawn + 600*second
	maxLate = 50 * time.Millisecond
)

// held are the options that a world keeps to.
func held() verdict.Options {
	return verdict.Options{
		End: horizon, Late: maxLate,
		Overlap: func(name string) bool { return name[:4] == "over" },
	}
}

// A world is a correct random history: a scheduler of three nodes, two of which are killed and started again, and its producer.
type world struct {
	rng     *rand.Rand
	records []verdict.Record
	lives   []*life
	serials map[verdict.Incarnation]int64
	gen     int64
}

// A life is an incarnation of a node, from its start up to its death; free is when what it left may begin again.
type life struct {
	verdict.Incarnation
	start, dead, free int64
}

var (
	steady   = verdict.Incarnation{Node: "steady", Boot: 1}
	producer = verdict.Incarnation{Node: "producer", Boot: 1}
)

// newWorld makes a history of that many names. The names say in their first four letters what happens to them.
func newWorld(seed uint64, names int) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 1)), serials: map[verdict.Incarnation]int64{}}
	w.boot("a", true)
	w.boot("b", false)
	w.lives = append(w.lives, &life{Incarnation: steady, start: dawn, dead: horizon + 3600*second})
	for _, inc := range []verdict.Incarnation{steady, producer} {
		w.log(verdict.Record{Op: verdict.Start, At: dawn, Incarnation: inc})
	}
	stories := []struct {
		prefix string
		tell   func(*name)
	}{
		{"once", (*name).once},
		{"once", (*name).once},
		{"again", (*name).again},
		{"swap", (*name).swap},
		{"cancel", (*name).cancel},
		{"move", (*name).move},
		{"rec", (*name).rec},
		{"over", (*name).overlap},
		{"doubt", (*name).doubt},
		{"far", (*name).far},
	}
	for i := range names {
		story := stories[i%len(stories)]
		story.tell(&name{w: w, name: fmt.Sprintf("%s-%d", story.prefix, i), now: dawn + w.upTo(60*second)})
	}
	slices.SortStableFunc(w.records, func(a, b verdict.Record) int { return cmp.Compare(a.At, b.At) })
	return w
}

func (w *world) log(r verdict.Record) { w.records = append(w.records, r) }

// upTo returns a number from 1 to n.
func (w *world) upTo(n int64) int64 { return 1 + w.rng.Int64N(n) }

// boot gives a node its lives, whose deaths somebody notes or nobody does. The last one outlives the history.
func (w *world) boot(node string, noted bool) {
	var last *life
	for at, boot := dawn+w.upTo(second), int64(1); at < horizon; boot++ {
		l := &life{Incarnation: verdict.Incarnation{Node: node, Boot: boot}, start: at, dead: at + second + w.upTo(20*second)}
		if last != nil && !noted {
			last.free = at // only then it is known to be dead
		}
		l.free = l.dead
		w.log(verdict.Record{Op: verdict.Start, At: at, Incarnation: l.Incarnation, Pid: 100 + boot})
		at = l.dead + w.upTo(second)
		if at >= horizon {
			l.dead = horizon + 3600*second
		} else if noted {
			w.log(verdict.Record{Op: verdict.Died, At: l.dead, Incarnation: l.Incarnation})
		}
		w.lives = append(w.lives, l)
		last = l
	}
}

// alive returns a random life at that instant.
func (w *world) alive(at int64) *life {
	for {
		l := w.lives[w.rng.IntN(len(w.lives))]
		if l.Incarnation == steady || l.start < at && at < l.dead {
			return l
		}
	}
}

// A name is a task whose story is told: now is where the story is, free when no attempt of it is running.
type name struct {
	w     *world
	name  string
	now   int64
	free  int64
	fence int64
}

func (n *name) say(r verdict.Record) {
	r.Name = n.name
	if r.Boot == 0 {
		r.Incarnation = producer
	}
	n.w.log(r)
}

// put accepts a one-off of a new generation.
func (n *name) put(op verdict.Op, old, due int64) verdict.Run {
	n.w.gen++
	r := verdict.Record{Op: op, At: n.now, Due: due}
	r.ScheduledFor = due - n.w.rng.Int64N(2)*7*ms // some have jitter
	if r.Generation = n.w.gen; op == verdict.Moved {
		r.Generation, r.Next = old, n.w.gen
	}
	n.say(r)
	run := verdict.Run{Name: n.name, Generation: n.w.gen, ScheduledFor: r.ScheduledFor}
	if n.w.rng.IntN(8) == 0 && op == verdict.Put {
		r.At += ms // declared once more
		n.say(r)
	}
	return run
}

// attempt begins an attempt at due or a little later, and returns the life it ran in and whether it ended there. It never lasts
// beyond its node's death.
func (n *name) attempt(run verdict.Run, due int64, outcome string) (l *life, ended bool) {
	w := n.w
	at := max(due, n.free) + w.rng.Int64N(20*ms)
	l = w.alive(at)
	n.fence += 10
	w.serials[l.Incarnation]++
	r := verdict.Record{
		Op: verdict.Begin, At: at, Incarnation: l.Incarnation, Run: run, Due: due, Fence: n.fence,
		Serial: w.serials[l.Incarnation],
	}
	w.log(r)
	end := at + w.rng.Int64N(3*second)
	if end >= l.dead {
		n.now, n.free = l.free, l.free
		return l, false
	}
	r.Op, r.At, r.Completed, r.Error = verdict.End, end, outcome == "", outcome
	w.log(r)
	n.now, n.free = end, end
	return l, true
}

// run attempts a run until it completes, or until it is given up.
func (n *name) run(run verdict.Run, due int64) {
	for range 5 {
		outcome := ""
		if n.w.rng.IntN(3) == 0 {
			outcome = "no \"luck\"\nthis time"
		}
		l, ended := n.attempt(run, due, outcome)
		if ended && outcome == "" {
			if n.w.rng.IntN(4) > 0 && n.now+ms < l.dead {
				n.now += n.w.rng.Int64N(ms)
				n.say(verdict.Record{Op: verdict.Settled, At: n.now, Incarnation: l.Incarnation, Run: run})
			}
			return
		}
		due = n.free + n.w.upTo(second) // backoff
	}
}

// later moves on and returns a due instant that is later still.
func (n *name) later() (due int64) {
	n.now += n.w.upTo(5 * second)
	return n.now + second + n.w.upTo(10*second)
}

func (n *name) once() {
	for range n.w.upTo(3) {
		due := n.later()
		if n.w.rng.IntN(4) == 0 {
			due = n.now // at once
		}
		n.run(n.put(verdict.Put, 0, due), due)
	}
}

// again completes, and once more after the process that had not settled it is dead.
func (n *name) again() {
	for n.now < horizon-60*second {
		due := n.later()
		run := n.put(verdict.Put, 0, due)
		l, ended := n.attempt(run, due, "")
		if ended && l.dead < horizon {
			n.free = l.free
			for ended = false; !ended; {
				_, ended = n.attempt(run, n.free+second, "")
			}
			return
		}
	}
}

func (n *name) swap() {
	due := n.later()
	n.put(verdict.Put, 0, due)
	n.now += second / 2
	due += n.w.upTo(second)
	n.run(n.put(verdict.Put, 0, due), due)
}

func (n *name) cancel() {
	due := n.later()
	run := n.put(verdict.Put, 0, due)
	if n.w.rng.IntN(2) == 0 { // waiting for its next attempt
		n.attempt(run, due, "not yet")
	} else {
		n.now += second / 2
	}
	n.say(verdict.Record{Op: verdict.Asked, At: n.now})
	n.now += n.w.upTo(ms)
	n.say(verdict.Record{Op: verdict.Cancelled, At: n.now, Run: run})
}

func (n *name) move() {
	due := n.later()
	run := n.put(verdict.Put, 0, due)
	n.now += second / 2
	due += 5 * second
	n.run(n.put(verdict.Moved, run.Generation, due), due)
}

func (n *name) recur() (run verdict.Run, due int64) {
	due = n.later()
	n.w.gen++
	run = verdict.Run{Name: n.name, Generation: n.w.gen}
	n.say(verdict.Record{Op: verdict.Put, At: n.now, Run: run, Recurring: true})
	return run, due
}

func (n *name) rec() {
	run, due := n.recur()
	for range n.w.upTo(10) {
		run.ScheduledFor = due
		n.run(run, due+n.w.rng.Int64N(10*ms))
		due = max(due+5*second, n.free+n.w.rng.Int64N(2)*second)
	}
	if n.w.rng.IntN(2) == 0 { // the schedule ends while a run is under way
		n.say(verdict.Record{Op: verdict.Cancelled, At: n.now, Run: run})
		run.ScheduledFor = due
		n.attempt(run, due, "")
	}
}

// overlap runs several occurrences at once, in an order that is not that of their fences.
func (n *name) overlap() {
	run, due := n.recur()
	for i := range n.w.upTo(10) {
		run.ScheduledFor = due + i
		n.free = 0
		n.attempt(run, due+n.w.rng.Int64N(10*ms), "")
	}
}

// doubt is cancelled by somebody who dies before the answer.
func (n *name) doubt() {
	n.put(verdict.Put, 0, n.later())
	if l := n.w.alive(n.now + second/2); l.dead < horizon {
		n.say(verdict.Record{Op: verdict.Asked, At: n.now + second/2, Incarnation: l.Incarnation})
		return
	}
	n.now += second / 2
	n.say(verdict.Record{Op: verdict.Asked, At: n.now})
	n.say(verdict.Record{Op: verdict.Answered, At: n.now})
	n.now += second / 4
	n.put(verdict.Put, 0, horizon+second)
}

// far is due when nobody looks any more.
func (n *name) far() { n.put(verdict.Put, 0, horizon+n.w.upTo(1<<50)) }
