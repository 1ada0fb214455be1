package verdict

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Kind is the kind of a fault.
type Kind uint8

// The kinds. Of a recurring task only Early, Doubled, Overlapping, WhilePaused and FenceOrder are looked for.
const (
	_           Kind = iota // the zero Kind is none
	Missed                  // accepted, due before the end, not cancelled, superseded or in doubt, and no attempt began
	Early                   // an attempt began before due, by the scheduler's word or the producer's
	Late                    // the first attempt of a run began more than Options.Late after due
	Doubled                 // a run that was done was run once more
	Overlapping             // two attempts of one name at the same time
	AfterCancel             // an attempt of a generation began after Cancelled was the answer for it
	AfterMove               // an attempt of a generation began after it had been moved away
	WhilePaused             // an attempt that was claimed later than its name was paused began before anything else was asked for
	FenceOrder              // a fence that isn't above those of the attempts of the name that began before
	BadLog                  // the records contradict each other: whoever wrote them is at fault, or the clock was set
	kinds                   // how many there are
)

var kindNames = [kinds]string{
	Missed: "missed", Early: "early", Late: "late", Doubled: "doubled", Overlapping: "overlapping",
	AfterCancel: "afterCancel", AfterMove: "afterMove", WhilePaused: "whilePaused", FenceOrder: "fenceOrder", BadLog: "badLog",
}

// String returns the kind's name.
func (k Kind) String() string {
	if k > 0 && k < kinds {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// A Verdict is one fault: of an attempt, of a run that was missed, or of the log. An attempt has at most one of each kind.
type Verdict struct {
	Kind     Kind
	Run      Run           // of the attempt at fault, which is the last in Evidence; of a BadLog only what is known
	By       time.Duration // how much too early, late, or long after the answer; at Overlapping, how long both ran; else 0
	Why      string        // a few words, for people
	Evidence []Record      // in the order in which the fault came about
}

// String returns the verdict, and below it the evidence, a line each.
func (v Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %v: %s", v.Kind, v.Run, v.Why)
	if v.By != 0 {
		fmt.Fprintf(&b, " (%v)", v.By)
	}
	for _, r := range v.Evidence {
		fmt.Fprintf(&b, "\n\tline %d: %v", r.Line, r)
	}
	return b.String()
}

// Verdicts are all faults of a log, by kind and then by run.
type Verdicts []Verdict

// Of returns those of one kind.
func (vs Verdicts) Of(k Kind) Verdicts {
	var out Verdicts
	for _, v := range vs {
		if v.Kind == k {
			out = append(out, v)
		}
	}
	return out
}

// String returns each on its lines; none is "".
func (vs Verdicts) String() string {
	lines := make([]string, len(vs))
	for i, v := range vs {
		lines[i] = v.String()
	}
	return strings.Join(lines, "\n")
}

// Options say what is no fault. The zero Options hold every name to all but Late. The functions are called from one goroutine, may
// be nil, and must give the same answer each time.
type Options struct {
	// End is when the observation ended (µs): what is due at it or later can't be missed. 0 is the latest instant of the log. Whoever
	// stops waiting some time after the last due gives the last instant at which all had to have begun.
	End int64

	// Late is how much later than due a first attempt may begin; 0 is as late as it likes. It counts from due or from when the
	// producer had the answer, whichever is later, because an instant in the past means at once.
	Late time.Duration

	// Downtime lets it count from the start of the incarnation that ran the attempt, where that was later still.
	Downtime bool

	// Once holds the scheduler to one completion of each run, which no scheduler can keep when its process dies between the handler's
	// return and the settlement. Without it a run is doubled when an attempt begins after it was Settled, or when it
	// completes twice in one incarnation.
	Once bool

	// Recurring names are recurring whatever their records say.
	Recurring func(name string) bool

	// Overlap names may overlap themselves. As claimed attempts may then begin in any order, of their fences no two may be equal.
	Overlap func(name string) bool

	// Excuse has the last word on each fault; those that it returns true for are left out. It must not change the evidence.
	Excuse func(Verdict) bool
}

// Check returns the faults of a log, whose records stand in the order of the log; of several logs, one behind the other. None is
// nil. It neither changes nor keeps the records, but verdicts share their texts. Its time is O(n log n).
func Check(records []Record, o Options) Verdicts {
	h := collect(records)
	if o.End == 0 {
		o.End = h.latest
	}
	j := judge{history: h, o: o}
	j.records()
	for _, s := range h.subjects {
		j.subject(s)
	}
	slices.SortStableFunc(j.found, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.Run.Name, b.Run.Name),
			cmp.Compare(a.Run.Generation, b.Run.Generation), cmp.Compare(a.Run.ScheduledFor, b.Run.ScheduledFor))
	})
	return j.found
}

// micros returns how much later b is than a, as far as a Duration goes; it is never negative.
func micros(a, b int64) time.Duration {
	const most = uint64(1<<63-1) / uint64(time.Microsecond)
	if b <= a {
		return 0
	}
	return time.Duration(min(uint64(b)-uint64(a), most)) * time.Microsecond
}
