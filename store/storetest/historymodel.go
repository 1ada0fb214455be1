package storetest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/anishathalye/porcupine"

	"github.com/dulyhq/duly/store"
)

// historyIn is what a client asks.
type historyIn struct {
	verb       string
	key        store.Key
	payload    int
	generation int64
	at         store.Instant
	fence      int64
	old        bool // the lease is of a process that is gone
	impatient  bool
}

// historyOut is what it is answered.
type historyOut struct {
	unknown bool
	err     error
	said    string
	stop    bool
	task    historyTask // as the answer shows it
}

// A historyTask is a one-off in which at most one attempt runs, and all time is the same: what the clients do to it makes no other.
// The zero historyTask is a free name.
type historyTask struct {
	generation int64
	ended      bool
	next       bool // an occurrence has not begun
	run        int64
	state      store.State
	fence      int64 // of the attempt that runs
	final      bool
	stop       bool
}

// String shows a task in a few words.
func (t historyTask) String() string {
	if t == (historyTask{}) {
		return "nothing"
	}
	words := []string{fmt.Sprintf("g%d", t.generation)}
	add := func(is bool, word string) {
		if is {
			words = append(words, word)
		}
	}
	add(t.next, "next")
	add(t.run != 0, fmt.Sprintf("run of g%d %v", t.run, t.state))
	add(t.fence != 0, fmt.Sprintf("f%d", t.fence))
	add(t.final, "final")
	add(t.stop, "stop")
	add(t.ended, "ended")
	return strings.Join(words, " ")
}

// historyState is a name's, with the greatest numbers that were given.
type historyState struct {
	historyTask
	topGeneration, topFence int64
}

// historySnapshot is what an answer shows of a task. Two runs are more than there can be; they are shown as none that fits.
func historySnapshot(t *store.Task) (s historyTask) {
	if t == nil {
		return s
	}
	s = historyTask{generation: t.Generation, ended: t.Ended, next: !t.Next.None()}
	for i := range t.Runs {
		r := &t.Runs[i]
		s.run, s.state, s.final, s.stop = r.Generation, r.State, r.Final, r.Stop
		if r.State == store.Running {
			s.fence = r.Fence
		}
	}
	if len(t.Runs) > 1 {
		s.run = -1
	}
	return s
}

// historyModel is a name of a store in one thread. What is unknown may have happened or not.
var historyModel = porcupine.NondeterministicModel{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		by := map[store.Key][]porcupine.Operation{}
		for _, op := range all {
			k := op.Input.(historyIn).key
			by[k] = append(by[k], op)
		}
		parts := make([][]porcupine.Operation, 0, len(by))
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() []any { return []any{historyState{}} },
	Step: func(state, input, output any) []any {
		s, in, out := state.(historyState), input.(historyIn), output.(historyOut)
		next, ok := s.step(in, out)
		switch {
		case out.unknown && ok && next != s:
			return []any{s, next}
		case out.unknown:
			return []any{s}
		case ok:
			return []any{next}
		}
		return nil
	},
	DescribeOperation: describeHistory,
	DescribeState:     func(state any) string { return state.(historyState).String() },
}

func describeHistory(input, output any) string {
	in, out := input.(historyIn), output.(historyOut)
	what := fmt.Sprintf("%s %s", in.verb, in.key)
	if in.generation != 0 {
		what += fmt.Sprintf(" g%d", in.generation)
	}
	if in.fence != 0 {
		what += fmt.Sprintf(" f%d", in.fence)
	}
	switch {
	case out.unknown:
		return what + " -> unknown"
	case out.err != nil:
		return what + " -> " + out.err.Error()
	}
	what += " ->"
	if out.said != "" {
		what += " " + out.said
	}
	if in.verb == "renew" {
		return fmt.Sprintf("%s renewed, stop %t", what, out.stop)
	}
	return what + " " + out.task.String()
}

// free is the name when nothing is left of it, else s.
func (s historyState) free() historyState {
	if !s.next && s.run == 0 {
		s.historyTask = historyTask{}
	}
	return s
}

// over takes the run out.
func (s historyState) over() historyState {
	s.run, s.state, s.fence, s.final, s.stop = 0, store.None, 0, false, false
	return s
}

func (s historyState) live() bool { return s.generation != 0 && !s.ended }

// step says what becomes of a name, and whether the answer is the right one. Of an unknown one only the former is asked.
func (s historyState) step(in historyIn, out historyOut) (n historyState, ok bool) {
	n = s
	running := s.state == store.Running
	held := running && s.run == in.generation && s.fence == in.fence
	switch in.verb {
	case "get":
		return n, out.task == s.historyTask
	case "put", "put if absent":
		return s.put(in, out)
	case "cancel":
		return s.cancel(in, out)
	case "claim":
		return s.claim(in, out)
	case "renew":
		if errors.Is(out.err, store.ErrFenced) {
			return n, !held
		}
		return n, held && out.err == nil && out.stop == s.stop
	case "rescue":
		switch {
		case errors.Is(out.err, store.ErrFenced):
			return n, !held && s.generation != 0
		case errors.Is(out.err, store.ErrNotFound), errors.Is(out.err, store.ErrFinished):
			return n, s.generation == 0
		case errors.Is(out.err, store.ErrRunning):
			return n, held
		case s.final:
			n = n.over()
		default:
			n.state, n.fence = store.Pending, 0
		}
		n = n.free()
		return n, held && in.old && out.err == nil && out.task == n.historyTask
	default:
		return s.settle(in, out, held)
	}
}

func (s historyState) put(in historyIn, out historyOut) (n historyState, ok bool) {
	n = s
	if errors.Is(out.err, store.ErrCondition) {
		return n, in.verb == "put if absent" && s.live()
	}
	want := store.Created
	if s.live() {
		want = store.Replaced
	}
	n.generation, n.ended, n.next = out.task.generation, false, true
	if s.state == store.Pending {
		n = n.over()
	}
	n.final = n.state == store.Running
	n.topGeneration = n.generation
	return n, out.err == nil && (in.verb == "put" || !s.live()) && out.said == want.String() && n.generation > s.topGeneration && out.task == n.historyTask
}

func (s historyState) cancel(in historyIn, out historyOut) (n historyState, ok bool) {
	n = s
	if s.generation == 0 {
		return n, out.unknown || out.said == store.CancelUnknown.String() && s.topFence == 0 || out.said == store.CancelFinished.String() && s.topGeneration != 0
	}
	want := store.CancelRunning
	if s.next || s.state == store.Pending {
		want = store.CancelCancelled
	}
	n.next, n.ended = false, true
	if s.state == store.Pending {
		n = n.over()
	}
	n.final = n.state == store.Running
	n.stop = n.final && (s.stop || in.payload%2 == 0)
	n = n.free()
	return n, out.unknown || out.err == nil && out.said == want.String() && out.task == n.historyTask
}

func (s historyState) claim(in historyIn, out historyOut) (n historyState, ok bool) {
	n = s
	begins := s.live() && s.next && s.generation == in.generation
	again := s.state == store.Pending && s.run == in.generation
	switch {
	case errors.Is(out.err, store.ErrChanged):
		return n, !begins && !again
	case errors.Is(out.err, store.ErrBusy):
		return n, begins && s.state == store.Running
	case begins:
		n.next = false
	}
	n.run, n.state, n.fence, n.final, n.stop = in.generation, store.Running, out.task.fence, false, false
	n.topFence = n.fence
	return n, out.err == nil && (begins && s.state != store.Running || again) && n.fence > s.topFence && out.task == n.historyTask
}

func (s historyState) settle(in historyIn, out historyOut, held bool) (n historyState, ok bool) {
	n = s
	if errors.Is(out.err, store.ErrFenced) {
		return n, !held
	}
	want := store.Done
	switch {
	case in.verb == "settle":
		n = n.over()
	case s.final:
		want = store.Cancelled
		n = n.over()
	default:
		want = store.Pending
		n.state, n.fence = store.Pending, 0
	}
	n = n.free()
	return n, held && (out.unknown || out.err == nil && out.said == want.String() && out.task == n.historyTask)
}
