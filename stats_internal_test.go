package duly

import (
	"strconv"
	"testing"

	"github.com/dulyhq/duly/store"
)

// What an edit is counted as: each occurrence that is passed by, what expires, what was lost, and what has become of the run. What only moves
// something is not counted.
func TestStats_Edited(t *testing.T) {
	for _, tt := range []struct {
		what   string
		e      store.Edit
		became store.State
		want   KindStats
	}{
		{"one is skipped", store.Edit{Verb: store.VerbSkip, State: store.Skipped}, store.Skipped, KindStats{Skipped: 1}},
		{"and said to be one", store.Edit{Verb: store.VerbSkip, State: store.Skipped, Missed: 1}, store.Skipped, KindStats{Skipped: 1}},
		{"several are", store.Edit{Verb: store.VerbSkip, State: store.Skipped, Missed: 7}, store.Skipped, KindStats{Skipped: 7}},
		{"it expires", store.Edit{Verb: store.VerbSkip, State: store.Expired, Missed: 7}, store.Expired, KindStats{Expired: 1}},
		{"it is lost", store.Edit{Verb: store.VerbRescue, State: store.Pending, Missed: 7}, store.Pending, KindStats{Lost: 1}},
		{"it is lost and dead", store.Edit{Verb: store.VerbRescue, State: store.Dead}, store.Dead, KindStats{Lost: 1, Dead: 1}},
		{"it is lost and was cancelled", store.Edit{Verb: store.VerbRescue, State: store.Pending}, store.Cancelled, KindStats{Lost: 1, Cancelled: 1}},
		{"nobody handles it", store.Edit{Verb: store.VerbBury}, store.Dead, KindStats{Dead: 1}},
		{"it waits for a retry and is asked to stop", store.Edit{Verb: store.VerbStop}, store.Cancelled, KindStats{Cancelled: 1}},
		{"it runs and is asked to stop", store.Edit{Verb: store.VerbStop}, store.Running, KindStats{}},
		{"it is recorded anew", store.Edit{Verb: store.VerbAlign}, store.Pending, KindStats{}},
	} {
		var s stats
		s.init()
		s.edited("k", &tt.e, tt.became)
		if got := *s.kinds["k"]; got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.what, got, tt.want)
		}
	}
}

// What an attempt that ends is counted as is one thing, and it runs no more.
func TestStats_Ended(t *testing.T) {
	for _, tt := range []struct {
		what  string
		verb  store.Verb
		state store.State
		want  KindStats
	}{
		{"it is done", store.VerbSettle, store.Done, KindStats{Succeeded: 1}},
		{"it is dead", store.VerbSettle, store.Dead, KindStats{Dead: 1}},
		{"it is cancelled", store.VerbSettle, store.Cancelled, KindStats{Cancelled: 1}},
		{"it is tried again", store.VerbRetry, store.Pending, KindStats{Failed: 1}},
		{"it is put off", store.VerbSnooze, store.Pending, KindStats{Snoozed: 1}},
		{"it was to be tried again, and was cancelled", store.VerbRetry, store.Cancelled, KindStats{Cancelled: 1}},
		{"it was to be put off, and was cancelled", store.VerbSnooze, store.Cancelled, KindStats{Cancelled: 1}},
	} {
		var s stats
		s.init()
		s.started("k", Lateness{})
		s.ended("k", tt.verb, tt.state)
		got := *s.kinds["k"]
		got.Started, got.Wake, got.Slot, got.Claim, got.Total = 0, Histogram{}, Histogram{}, Histogram{}, Histogram{}
		if got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.what, got, tt.want)
		}
	}
	var s stats
	s.init()
	s.started("k", Lateness{})
	if s.fenced("k"); s.kinds["k"].Running != 0 || s.kinds["k"].Fenced != 1 {
		t.Errorf("what came after its lease was lost: %+v, want one that was fenced, and none that runs", *s.kinds["k"])
	}
}

// Of a thousand kinds each has its numbers, those that are handled also beyond that, and all others have theirs together.
func TestStats_ManyKinds(t *testing.T) {
	var s stats
	s.init()
	s.know("handled before")
	for i := range mostKinds + 5 {
		s.declared(strconv.Itoa(i))
	}
	s.know("handled after")
	for range 2 {
		s.fenced("met after that")
		s.fenced("and this")
		s.fenced("handled after")
		s.fenced("0")
	}
	if n := len(s.kinds); n != mostKinds+2 { // the thousand, the others, and the one that is handled
		t.Errorf("%d kinds have numbers, want %d", n, mostKinds+2)
	}
	s.know("handled after") // it is known by then
	for kind, want := range map[string]uint64{otherKinds: 4, "handled before": 0, "handled after": 2, "0": 2, strconv.Itoa(mostKinds - 2): 0} {
		if k := s.kinds[kind]; k == nil || k.Fenced != want {
			t.Errorf("%s: %+v, want %d", kind, k, want)
		}
	}
	if s.kinds[strconv.Itoa(mostKinds-1)] != nil {
		t.Errorf("a kind beyond %d has its own numbers", mostKinds)
	}
}
