//go:build unix

package mutate_test

import (
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A fate is what became of a mutant.
type fate struct {
	*mutant

	killed  bool
	by      string // the test that failed, or why it counts as killed
	reached int    // how many tests reach it
	slow    bool   // killed by taking too long
}

// put puts each mutant before the tests that reach it, the quickest first, with some at a time. It goes by the order in which
// they were drawn, so that those it comes to until a given time are a sample, too. They are returned as they stand in the code.
func (b *built) put(t *testing.T, units []*unit, jobs int, until time.Time) []*fate {
	t.Helper()
	sortFunc(units, func(a, b *unit) int { return int(a.cost - b.cost) })
	var mu sync.Mutex
	of := map[*mutant]*fate{}
	var wg sync.WaitGroup
	next := make(chan *mutant)
	for range jobs {
		wg.Go(func() {
			for m := range next {
				f := b.judge(t, m, units)
				mu.Lock()
				of[m] = f
				mu.Unlock()
				word := map[bool]string{true: "killed", false: "SURVIVED"}[f.killed]
				t.Logf("%s %s: %s (%d tests) %s", word, f.where, f.id, f.reached, f.by)
			}
		})
	}
	for _, m := range shuffled(b.sample, *seed) {
		if time.Now().Before(until) {
			next <- m
		}
	}
	close(next)
	wg.Wait()
	var fates []*fate
	for _, m := range b.sample {
		if of[m] != nil {
			fates = append(fates, of[m])
		}
	}
	return fates
}

func (b *built) judge(t *testing.T, m *mutant, units []*unit) *fate {
	f := &fate{mutant: m}
	var reaching []*unit
	for _, u := range units {
		if u.reaches[m.number] == 1 {
			reaching = append(reaching, u)
		}
	}
	f.reached = len(reaching)
	for spent := time.Duration(0); len(reaching) > 0 && !f.killed && spent < *budget; {
		var some batch
		some, reaching = first(reaching)
		spent += some.cost
		f.killed, f.slow, f.by = some.fails(t, m, b.patience)
	}
	return f
}

// A batch is some units of one binary, which one process runs.
type batch struct {
	in      *binary
	pattern string
	took    time.Duration
	cost    time.Duration
}

// first takes units for a process: of one binary, and no more than about a second of them.
func first(units []*unit) (some batch, rest []*unit) {
	some.in = units[0].in
	var patterns []string
	for _, u := range units {
		if u.in != some.in || len(patterns) > 0 && some.cost+u.cost > time.Second || len(patterns) == 200 {
			rest = append(rest, u)
			continue
		}
		patterns = append(patterns, u.pattern)
		some.took += u.took
		some.cost += u.cost
	}
	some.pattern = strings.Join(patterns, "|")
	return some, rest
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// fails puts the mutant before a batch. Failing or taking too long counts if the same tests pass, in time, without it just
// after; if they don't, it is tried again, with more time.
func (b batch) fails(t *testing.T, m *mutant, patience time.Duration) (killed, slow bool, by string) {
	limit := 4*b.took + patience
	for range 3 {
		out, took, _, err := b.in.run(b.pattern, m.number, "", limit, "-test.failfast")
		if err == nil {
			return false, false, ""
		}
		name := failed.FindStringSubmatch(out)
		same := b.pattern
		switch {
		case took >= limit:
			slow, by = true, "takes too long"
		case name != nil:
			slow, by = false, name[1]
			if !strings.Contains(same, "/") {
				same = "^" + name[1] + "$"
			}
		default:
			slow, by = false, "the tests' process ends: "+short(out)
		}
		out, calm, _, err := b.in.run(same, 0, "", limit, "-test.failfast")
		if err == nil && (!slow || calm < limit/2) {
			return true, slow, by
		}
		t.Logf("%s: %s, but without a mutant %v after %v: %s", m.id, by, err, calm, short(out))
		limit *= 4
	}
	return false, false, "unsure: " + by
}
