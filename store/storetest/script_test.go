package storetest

import (
	"flag"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write into testdata/*.txt what the store in memory answers, to be reviewed as a difference")

// The store in memory is what the scripts are written by: go test ./store/storetest -run Scripts_Memory -rewrite.
func TestScripts_Memory(t *testing.T) {
	if *rewrite {
		ScriptDir(t, memoryStore, "testdata", true)
		return
	}
	Scripts(t, memoryStore)
}

func TestScripts_Journal(t *testing.T) { Scripts(t, Options{New: newJournalHome}) }

// A line that is no script tells its number and what is wrong.
func TestScript_BadLines(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"brew tea", `1: brew tea: no such verb: brew`},
		{"# a pot\n\nput tea in 5m\n  created tea\nput tea in soon", `5: put tea in soon: in: "soon" is no duration such as 1d12h or 250ms`},
		{"put tea at noon", `1: put tea at noon: at: "noon" is no instant: what has passed since the beginning, 2030-02-03T04:05:06Z, or never`},
		{"put tea in 5m at 5m", `1: put tea in 5m at 5m: at: there is in as well`},
		{"put tea in 5m keep earliest", `1: put tea in 5m keep earliest: keep: there is earliest as well`},
		{"put tea in", `1: put tea in: in needs a value`},
		{"put tea in 5m in 6m", `1: put tea in 5m in 6m: in is there twice`},
		{"put in 5m", `1: put in 5m: put takes one name, not 0: `},
		{"put tea sugar in 5m", `1: put tea sugar in 5m: put takes one name, not 2: `},
		{"put tea sugar=2", `1: put tea sugar=2: put does not take sugar=2`},
		{"put tea in 5m payload=\"gr", `1: put tea in 5m payload="gr: the quotes of "gr do not end`},
		{"put tea in 5m priority=high", `1: put tea in 5m priority=high: priority: "high" is no number`},
		{"settle tea done", `1: settle tea done: fence: no lease of tea has been taken`},
		{"put tea in 0s\nclaim tea\nsettle tea done fence=f7", `3: settle tea done fence=f7: fence: tea has no f7 yet`},
		{"cancel tea if-gen=g2", `1: cancel tea if-gen=g2: if-gen: tea has no g2 yet`},
		{"advance -1h", `1: advance -1h: time does not go back; clock -1h steps the wall clock`},
		{"advance", `1: advance: advance takes one name, not 0: `},
		{"get a ; b", `1: get a ; b: get takes no second row`},
		{"list state=tired", `1: list state=tired: state: store: parse state: name is tired, want `},
		{"kill tea", `1: kill tea: kill takes no name, not 1: `},
	} {
		o := Options{New: newJournalHome}
		_, err := o.script(t, c.text)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %s", c.text, err, c.want)
		}
	}
}

// What the store answers takes the place of what the script said; all else stays as it was.
func TestScript_Rewrites(t *testing.T) {
	o := Options{New: newJournalHome}
	got, err := o.script(t, "# a pot\n\nput tea in 5m\n  burnt tea\n\tspilt tea\nclaim tea\n# the end\nclose\nput tea in 5m\n")
	want := "# a pot\n\nput tea in 5m\n  created tea g1 task next 5m\nclaim tea\n  refused tea: not due yet\n# the end\nclose\nput tea in 5m\n  error: store is closed\n"
	if err != nil || got != want {
		t.Errorf("error %v, difference %s", err, cmp.Diff(want, got))
	}
}

func TestScript_Durations(t *testing.T) {
	for _, s := range []string{"0s", "5m", "1h", "1h30m", "1d", "1d12h", "-1h", "4m59.999s", "250ms", "1h0m1s", "30d"} {
		d, err := parseDuration(s)
		if got := durationText(d); err != nil || got != s {
			t.Errorf("%s is read and shown as %s, error %v", s, got, err)
		}
	}
	for _, s := range []string{"", "5", "d", "1x", "1d1d", "--1h", "1d-1h", "99999999d", "1h1d"} {
		if d, err := parseDuration(s); err == nil {
			t.Errorf("%q is read as %v, want an error", s, d)
		}
	}
}
