package sim_test

import (
	"container/heap"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
	"github.com/dulyhq/duly/store/storetest"
)

// epoch is what the wall clock shows when a world begins.
var epoch = time.Date(2031, 3, 1, 12, 0, 0, 0, time.UTC)

// A world is a plan at work.
type world struct {
	*plan
	t     testing.TB
	clk   *clock.Manual
	ctx   context.Context //nolint:containedctx // the bubble's
	rec   *recorder
	sick  *storetest.Faulty
	front store.Store // what processes see of it
	procs []*process  // all there were, the latest last

	mu       sync.Mutex // guards what follows
	agenda   agenda
	made     int
	slept    time.Duration // while it was suspended
	lines    []string
	hits     map[string]int // faults that struck, by kind
	stormy   rates          // on top of the plan's
	wrong    []string
	trouble  int64         // until when, by boot time, something was amiss
	healed   chan struct{} // closed when everything is to succeed
	isHealed bool
	quiet    int64
	busyOps  int
	wishes   map[string]*wish // by the id in the payload
	calls    map[string]int
	callsAt  int64
}

func newWorld(t testing.TB, p *plan) *world {
	t.Helper()
	w := &world{
		plan: p, t: t, clk: clock.NewManual(epoch), ctx: t.Context(), hits: map[string]int{}, healed: make(chan struct{}), calls: map[string]int{}, wishes: map[string]*wish{},
	}
	var clk clock.Clock = w.clk
	if w.lie == lieEarly {
		clk = fast{w.clk}
	}
	w.rec = newRecorder(w, memory.New(memory.Options{Clock: clk}))
	w.sick = storetest.NewFaulty(w.rec)
	w.front = w.sick
	if w.lie != "" {
		w.front = &liar{Faulty: w.sick, lie: w.lie}
	}
	return w
}

// now is boot time.
func (w *world) now() int64 { return w.clk.Now().Boot }

func (w *world) wall() time.Time { return time.Unix(0, w.clk.Now().Wall).UTC() }

// log notes a line for whoever has to read what happened.
func (w *world) log(format string, args ...any) {
	r := w.clk.Now()
	line := fmt.Sprintf("%12v %s  ", time.Duration(r.Boot), time.Unix(0, r.Wall).UTC().Format("02T15:04:05.000000")) + fmt.Sprintf(format, args...)
	w.mu.Lock()
	w.lines = append(w.lines, line)
	over := len(w.lines) == linesMost
	w.mu.Unlock()
	if over { // the world goes round in a circle, and may not let the test come to its end
		panic(fmt.Sprintf("more than %d lines\n%s", linesMost, w.story(100)))
	}
}

// linesMost is how much may happen in a world.
const linesMost = 100_000

// complaint begins what bad logs.
const complaint = "WRONG: "

// bad is log for what must not be.
func (w *world) bad(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	w.log("%s%s", complaint, what)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf("at %v: %s", time.Duration(w.clk.Now().Boot), what))
}

// struck counts a fault that was injected, and remembers that until d from now something may be amiss because of it.
func (w *world) struck(kind string, d time.Duration) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits[kind]++
	w.trouble = max(w.trouble, now+int64(d))
}

// hit counts a fault that is no reason for anything to be amiss.
func (w *world) hit(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hits[kind]++
}

func (w *world) troubleUntil() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.trouble
}

// quietSince is since when, by the wall clock, everything is to be on time; 0 is not yet.
func (w *world) quietSince() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.quiet
}

func (w *world) healthy() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.isHealed
}

// An agenda is what is to happen, by boot time.
type agenda []*item //nolint:recvcheck // container/heap wants it so

type item struct {
	at int64
	n  int // ties: as they were made
	do func()

	awake bool // it is put off by a suspend
}

func (a agenda) Len() int { return len(a) }
func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].n < a[j].n
}
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(*item)) }

func (a *agenda) Pop() any {
	old := *a
	x := old[len(old)-1]
	*a = old[:len(old)-1]
	return x
}

// in has something done d from now; do must not block.
func (w *world) in(d time.Duration, do func()) {
	at := w.now() + int64(max(d, 0))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	heap.Push(&w.agenda, &item{at: at, n: w.made, do: do})
}

// awake is in for what the world has planned: it is put off while the machine is suspended.
func (w *world) awake(d time.Duration, do func()) {
	w.in(d, do)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.agenda {
		x.awake = x.awake || x.n == w.made
	}
}

// suspend has the machine sleep.
func (w *world) suspend(d time.Duration) {
	w.mu.Lock()
	for _, x := range w.agenda {
		if x.awake {
			x.at += int64(d)
		}
	}
	heap.Init(&w.agenda)
	w.slept += d
	w.mu.Unlock()
	w.clk.Suspend(d)
}

// sleep lets d pass, or less if one of the channels is closed before.
func (w *world) sleep(d time.Duration, until ...<-chan struct{}) {
	if d <= 0 {
		return
	}
	over := make(chan struct{})
	w.in(d, func() { close(over) })
	var none <-chan struct{}
	for len(until) < 3 {
		until = append(until, none)
	}
	select {
	case <-over:
	case <-until[0]:
	case <-until[1]:
	case <-until[2]:
	}
}

// spinMost is how often time may be looked at without passing.
const spinMost = 5000

// advance lets d pass: whenever all goroutines wait, the clock is moved to the next instant at which something is to happen.
func (w *world) advance(d time.Duration) {
	w.mu.Lock()
	slept := w.slept
	w.mu.Unlock()
	for begun, spins, last := w.now(), 0, int64(-1); ; {
		synctest.Wait()
		now := w.now()
		if now != last {
			last, spins = now, 0
		}
		if spins++; spins > spinMost {
			w.bad("busy: %d wake-ups and no time has passed", spins)
			w.t.FailNow()
		}
		w.mu.Lock()
		end := begun + int64(d) + int64(w.slept-slept)
		next := end
		var due []*item
		for len(w.agenda) > 0 && w.agenda[0].at <= now {
			due = append(due, heap.Pop(&w.agenda).(*item))
		}
		if len(w.agenda) > 0 {
			next = min(next, w.agenda[0].at)
		}
		w.mu.Unlock()
		for _, x := range due {
			x.do()
		}
		if len(due) > 0 {
			continue
		}
		if now >= end {
			return
		}
		w.clk.Advance(time.Duration(next - now))
	}
}

// advanceUntil lets time pass until done is closed, at most d, and says whether it was.
func (w *world) advanceUntil(done <-chan struct{}, d time.Duration) bool {
	for end := w.now() + int64(d); ; {
		synctest.Wait()
		select {
		case <-done:
			return true
		default:
		}
		if w.now() >= end {
			return false
		}
		w.advance(min(100*time.Millisecond, time.Duration(end-w.now())))
	}
}

// story is what happened, but at most n lines of it: of more than that the half that leads to the first complaint, if there is one, and
// the last.
func (w *world) story(n int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "the world of seed %d: shared %t, lease %v, workers %d, busy %v, faults %v\n", w.seed, w.shared, w.lease, w.workers, w.busy, w.faults)
	from := max(0, len(w.lines)-n)
	parts := [][2]int{{from, len(w.lines)}}
	first := slices.IndexFunc(w.lines, func(line string) bool { return strings.Contains(line, complaint) })
	if first >= 0 && first < from {
		to := first + n/20
		parts = [][2]int{{max(0, to-n/2), to}, {len(w.lines) - n/2, len(w.lines)}}
	}
	end := 0
	for _, part := range parts {
		if left := part[0] - end; left > 0 {
			fmt.Fprintf(&b, "... %d lines\n", left)
		}
		for _, line := range w.lines[part[0]:part[1]] {
			b.WriteString(line + "\n")
		}
		end = part[1]
	}
	return b.String()
}
