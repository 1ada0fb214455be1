package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/store"
)

// TestPut_policies shows what each policy makes of a name that is taken.
func TestPut_policies(t *testing.T) {
	for _, c := range []struct{ name, story, want string }{
		{"identical", "put at=10s; put at=10s", "unchanged: g1 next 10s"},
		{"identical with any policy", "put at=10s; put at=10s earliest", "unchanged: g1 next 10s"},
		{"identical while it waits for a retry", retries + "; put at=0s", "unchanged: g1 last 0s; pending 0s #1 due 6s"},
		{"identical while it runs", runs + "; put at=0s", "unchanged: g1 last 0s; running 0s #1 f2"},
		{"identical to one that was cancelled and runs", runs + "; cancel; put at=0s", "created: g3 next 0s; running 0s #1 of g1 f2 final"},
		{"identical to one that is asked to stop", runs + "; stop; put at=0s", "replaced: g3 next 0s; running 0s #1 of g1 f2 final stop"},
		{"identical schedule, whatever its instant", "put recurring at=10s; now 9s; put recurring at=20s", "unchanged: g1 next 10s"},
		{"identical fixed delay that runs", paces + "; put recurring at=9s", "unchanged: g1 last 0s; running 0s #1 f2"},
		{"identical fixed delay that is asked to stop", paces + "; stop; put recurring at=9s", "unchanged: g1 last 0s; running 0s #1 f2 stop"},
		{"identical to a schedule of which an extra run is left", "put recurring at=0s; run; skip skipped; put recurring at=9s", "replaced: g3 next 9s"},
		{"identical delays", "put in=10s; now 1s; put in=10s", "replaced: g2 next 11s"},
		{"identical delays at one moment", "put in=10s; put in=10s", "unchanged: g1 next 10s"},
		{"identical and it ran", runs + "; settle done; put at=0s", "already ran: none"},
		{"identical and it ran, paused meanwhile", runs + "; pause; resume; settle done; put at=0s", "already ran: none"},
		{"identical and it ran when redriven", runs + "; settle dead; redrive; claim; settle done; put at=0s", "already ran: none"},
		{"identical and it was cancelled, and ran all the same", runs + "; cancel; settle done; put at=0s", "already ran: none"},
		{"identical and it died", runs + "; settle dead; put at=0s", "created: g3 next 0s"},
		{"identical and it was cancelled", "put at=0s; cancel; put at=0s", "created: g2 next 0s"},
		{"one that ran under the name of another", runs + "; put at=0s payload=x; settle done; cancel; put at=0s payload=x", "created: g4 next 0s"},

		{"replace", "put at=10s; put at=20s replace", "replaced: g2 next 20s"},
		{"keep", "put at=10s; put at=20s keep", "kept: g1 next 10s"},
		{"keep what is not there", "put at=20s keep", "created: g1 next 20s"},
		{"keep what was cancelled and runs", runs + "; cancel; put at=20s keep", "created: g3 next 20s; running 0s #1 of g1 f2 final"},
		{"fail", "put at=10s; put at=20s fail", `put "ns/a": a task of this name exists: g1 next 10s`},
		{"fail over the identical", "put at=10s; put at=10s fail", `put "ns/a": a task of this name exists: g1 next 10s`},
		{"keep the time", "put at=10s; put at=20s keeptime payload=x", "replaced: g2 next 10s"},
		{"keep the time of a retry", retries + "; put at=20s keeptime payload=x", "replaced: g3 next 0s due 6s"},
		{"keep no time", runs + "; put at=20s keeptime payload=x", "replaced: g3 next 20s; running 0s #1 of g1 f2 final"},
		{"earliest is the old", "put at=10s; put at=20s earliest payload=x", "replaced: g2 next 10s"},
		{"earliest is the new", "put at=10s; put at=5s earliest", "replaced: g2 next 5s"},
		{"debounce", "put in=10s debounce; now 9s; put in=10s debounce", "replaced: g2 next 19s"},
		{"debounce to the end", "put in=10s debounce maxwait=15s; now 9s; put in=10s debounce maxwait=15s", "replaced: g2 next 15s"},
		{"debounce past the end", "put in=10s debounce maxwait=15s; now 20s; put in=10s debounce maxwait=15s", "replaced: g2 next 15s"},
		{
			"a burst ends when it runs", "put in=10s debounce maxwait=15s; now 10s; claim; put in=10s debounce maxwait=15s",
			"replaced: g3 next 20s; running 10s #1 of g1 f2 final",
		},

		{"another kind", "put at=10s; put at=20s kind=z", `put "ns/a": the name belongs to a task of another kind: g1 next 10s`},
		{"another kind, kept", "put at=10s; put at=20s kind=z keep", `put "ns/a": the name belongs to a task of another kind: g1 next 10s`},
		{"any kind", "put at=10s; put at=20s kind=z anykind", "replaced: g2 next 20s"},
		{"another kind after a cancel", runs + "; cancel; put at=20s kind=z", "created: g3 next 20s; running 0s #1 of g1 f2 final"},

		{"if absent", "put at=10s ifabsent", "created: g1 next 10s"},
		{"if absent, and it is there", "put at=10s; put at=10s ifabsent", `put "ns/a": the condition does not hold: g1 next 10s`},
		{"if of a generation", "put at=10s; put at=20s ifgen=1", "replaced: g2 next 20s"},
		{"if of a generation that was", "put at=10s; put at=20s; put at=30s ifgen=1", `put "ns/a": the condition does not hold: g2 next 20s`},
		{"if of a generation that is cancelled", runs + "; cancel; put at=30s ifgen=1", `put "ns/a": the condition does not hold: g1 ended last 0s; running 0s #1 f2 final`},
		{"if pending", "put at=10s; put at=20s ifpending", "replaced: g2 next 20s"},
		{"if pending, and it runs", runs + "; put at=20s ifpending", `put "ns/a": the condition does not hold: g1 last 0s; running 0s #1 f2`},
		{"if pending, and it is not there", "put at=20s ifpending", `put "ns/a": the condition does not hold: none`},
		{"cancel if of a generation that was", "put at=10s; put at=20s; cancel ifgen=1", `cancel "ns/a": the condition does not hold: g2 next 20s`},
		{"edit if of a generation that was", "put at=10s; put at=20s; pause ifgen=1", `pause "ns/a": the condition does not hold: g2 next 20s`},
		{"for ever", "put at=never", "created: g1 next never"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			var answer string
			for op := range strings.SplitSeq(c.story, "; ") {
				answer = w.do(op)
			}
			got := answer + ": " + show(w.task)
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", c.story, d)
			}
		})
	}
}

// TestPut_clockBack puts what ran again after the clock was set back to before it did.
func TestPut_clockBack(t *testing.T) {
	w := newWorld(t)
	for _, op := range []string{"put at=10s", "now 10s", "claim", "settle done"} {
		w.do(op)
	}
	p := store.Put{Key: theKey, Spec: store.Spec{Kind: "k", Payload: []byte{}}, When: store.On(store.Occurrence{For: epoch + 10e6})}
	m := w.moment()
	m.Now, m.High = epoch+2e6, epoch+10e6
	if _, r := p.Apply(nil, m); r.Outcome != store.AlreadyRan {
		t.Errorf("put with the clock set back: %v, want %v", r.Outcome, store.AlreadyRan)
	}
	m.High = 0
	if _, r := p.Apply(nil, m); r.Outcome != store.Created {
		t.Errorf("put of what can't have run: %v, want %v without a look at the history", r.Outcome, store.Created)
	}
}

// TestPast_error shows what a transition says when its question is not answered.
func TestPast_error(t *testing.T) {
	w := newWorld(t)
	w.broken = store.ErrCorrupt
	for op, want := range map[string]string{
		"put at=0s":   `put "ns/a": stored data is damaged`,
		"cancel":      `cancel "ns/a": stored data is damaged`,
		"move at=10s": `move "ns/a": stored data is damaged`,
		"redrive":     `redrive "ns/a": stored data is damaged`,
	} {
		if got := w.do(op); got != want {
			t.Errorf("%s: %q, want %q", op, got, want)
		}
	}
	m := w.moment()
	m.Past = nil // a store that keeps no history
	for _, x := range []store.Edit{{Key: theKey, Verb: store.VerbRedrive}, {Key: theKey, Verb: store.VerbPause}} {
		if _, r := x.Apply(nil, m); !errors.Is(r.Err, store.ErrNotFound) {
			t.Errorf("%v without a history: %v, want %v", x.Verb, r.Err, store.ErrNotFound)
		}
	}
	if _, r := (&store.Cancel{Key: theKey}).Apply(nil, m); r.Outcome != store.CancelUnknown || r.Err != nil {
		t.Errorf("cancel without a history: %v, %v, want %v", r.Outcome, r.Err, store.CancelUnknown)
	}
}
