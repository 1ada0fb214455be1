package clusterproof_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/verdict"
)

// The judge must see what it is there for.

const second = int64(time.Second / time.Microsecond)

// attempt makes the records of an attempt, which ends if to is not 0.
func attempt(node, name string, gen, fence, from, to int64) (all []verdict.Record) {
	r := verdict.Record{
		Op: verdict.Begin, At: from, Incarnation: verdict.Incarnation{Node: node, Boot: 1}, Serial: fence, Fence: fence,
		Run: verdict.Run{Name: name, Generation: gen, ScheduledFor: 1}, Due: 1,
	}
	all = append(all, r)
	if to != 0 {
		r.Op, r.At, r.Completed = verdict.End, to, true
		all = append(all, r)
	}
	return all
}

func told(op verdict.Op, name string, gen, at int64) verdict.Record {
	return verdict.Record{
		Op: op, At: at, Incarnation: verdict.Incarnation{Node: "p", Boot: 1}, Run: verdict.Run{Name: name, Generation: gen, ScheduledFor: 1}, Due: 1,
	}
}

func TestJudge_Explained(t *testing.T) {
	for _, c := range []struct {
		name    string
		windows []window
		first   []verdict.Record
		second  []verdict.Record
		want    string // of kinds that are not explained
	}{
		{"nothing was broken", nil, attempt("a", "n", 1, 2, 10*second, 11*second), attempt("b", "n", 1, 3, 12*second, 13*second), "doubled"},
		{"under way when it died", []window{{from: 12 * second, to: 12 * second, node: "a"}}, attempt("a", "n", 1, 2, 10*second, 11*second), attempt("b", "n", 1, 3, 14*second, 15*second), ""},
		{"another died", []window{{from: 12 * second, to: 12 * second, node: "c"}}, attempt("a", "n", 1, 2, 10*second, 11*second), attempt("b", "n", 1, 3, 14*second, 15*second), "doubled"},
		{"long over when it died", []window{{from: 30 * second, to: 30 * second, node: "a"}}, attempt("a", "n", 1, 2, 10*second, 11*second), attempt("b", "n", 1, 3, 34*second, 35*second), "doubled"},
		{"the server was away", []window{{from: 10 * second, to: 12 * second}}, attempt("a", "n", 1, 2, 10*second, 11*second), attempt("b", "n", 1, 3, 14*second, 15*second), ""},
		{"beside one that stood still", []window{{from: 11 * second, to: 15 * second, node: "a", froze: true}}, attempt("a", "n", 1, 2, 10*second, 16*second), attempt("b", "n", 1, 3, 14*second, 15*second), ""},
		{"beside one that did not", nil, attempt("a", "n", 1, 2, 10*second, 16*second), attempt("b", "n", 1, 3, 14*second, 15*second), "doubled overlapping"},
		{"begun late by one that stood still", []window{{from: 11 * second, to: 15 * second, node: "b", froze: true}}, attempt("a", "n", 1, 3, 12*second, 13*second), attempt("b", "n", 1, 2, 16*second, 17*second), ""},
		{"begun late by one that did not", []window{{from: 11 * second, to: 15 * second, node: "b"}}, attempt("a", "n", 1, 3, 12*second, 13*second), attempt("b", "n", 1, 2, 16*second, 17*second), "fenceOrder"},
	} {
		f := &fleet{windows: c.windows}
		var got []string
		for _, v := range verdict.Check(append(c.first, c.second...), verdict.Options{Once: true, Excuse: f.excuse}) {
			got = append(got, v.Kind.String())
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: %q is not explained, want %q", c.name, got, c.want)
		}
	}
}

func TestJudge_Stale(t *testing.T) {
	records := append(attempt("a", "n", 1, 2, 10*second, 12*second), attempt("b", "n", 1, 3, 14*second, 15*second)...)
	event := func(verb string, fence, at int64) duly.Event {
		return duly.Event{Name: "n", Verb: verb, Fence: fence, At: time.UnixMicro(at), To: duly.Done}
	}
	back := event("settle", 4, 16*second)
	back.To = duly.StateCancelled
	for _, c := range []struct {
		name string
		e    duly.Event
		want int
	}{
		{"of the newest", event("settle", 3, 16*second), 0},
		{"before the next began", event("retry", 2, 13*second), 0},
		{"after the next began", event("settle", 2, 16*second), 1},
		{"of the newest, which runs on", event("settle", 3, 14*second), 1},
		{"given back unused", back, 0},
		{"of one that was never begun", event("settle", 1, 9*second), 1},
		{"a retry after the next began", event("retry", 2, 16*second), 1},
		{"of the store itself", event("rescue", 2, 16*second), 0},
	} {
		if got := stale(records, []duly.Event{c.e}); len(got) != c.want {
			t.Errorf("%s: %d faults, want %d: %v", c.name, len(got), c.want, got)
		}
	}
}

func TestJudge_Lost(t *testing.T) {
	there := &duly.Task{Name: "n", Generation: 2, Due: time.UnixMicro(1)}
	asked := told(verdict.Asked, "n", 0, 9)
	for _, c := range []struct {
		name    string
		records []verdict.Record
		there   *duly.Task
		want    string
	}{
		{"it is there", []verdict.Record{asked, told(verdict.Put, "n", 2, 10)}, there, ""},
		{"it is gone", []verdict.Record{asked, told(verdict.Put, "n", 2, 10)}, nil, "gone"},
		{"it is another", []verdict.Record{asked, told(verdict.Put, "n", 3, 10)}, there, "generation 2"},
		{"it has run", append([]verdict.Record{asked, told(verdict.Put, "n", 2, 10)}, attempt("a", "n", 2, 3, 11, 12)...), nil, ""},
		{"it was cancelled", []verdict.Record{asked, told(verdict.Put, "n", 2, 10), asked, told(verdict.Cancelled, "n", 2, 11)}, nil, ""},
		{"it is in doubt", []verdict.Record{asked, told(verdict.Put, "n", 2, 10), asked}, nil, ""},
		{"the doubt is over", []verdict.Record{asked, asked, told(verdict.Put, "n", 2, 10), told(verdict.Answered, "n", 0, 11)}, nil, "gone"},
	} {
		f := &fleet{}
		all := map[string]*duly.Task{}
		if c.there != nil {
			all["n"] = c.there
		}
		got := strings.Join(f.lost(c.records, all), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestJudge_AfterEnd(t *testing.T) {
	cancelled := told(verdict.Cancelled, "n", 1, 5*second)
	r := attempt("a", "n", 1, 2, 10*second, 0)[0]
	r.Due = 6 * second
	if got := afterEnd([]verdict.Record{cancelled, r}, nil); len(got) != 1 {
		t.Errorf("an attempt at what was due after the end of the schedule: %v, want a fault", got)
	}
	r.Due = 4 * second
	if got := afterEnd([]verdict.Record{cancelled, r}, nil); len(got) != 0 {
		t.Errorf("an attempt at what was due before the end of the schedule: %v", got)
	}
}
