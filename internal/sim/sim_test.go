package sim_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

var (
	oneSeed  = flag.Uint64("sim.seed", 0, "the one world to run, with its log")
	seeds    = flag.Int("sim.seeds", 300, "how many worlds to run")
	baseSeed = flag.Uint64("sim.base", 1, "the first of them")
)

// TestMain lets no test leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSim runs worlds. contract: C1, C4, D1, D3, E1, F3, G3, H3, K1.
func TestSim(t *testing.T) {
	if *oneSeed != 0 {
		run(t, *oneSeed, true)
		return
	}
	hits, worlds := map[string]int{}, 0
	for i := range *seeds {
		of := run(t, *baseSeed+uint64(i), false)
		if of != nil { // else -run leaves it out
			worlds++
		}
		for kind, n := range of {
			hits[kind] += n
		}
	}
	for _, kind := range faultKinds {
		if hits[kind] == 0 && worlds >= 100 {
			t.Errorf("no %s in %d worlds: what they show of it is void", kind, *seeds)
		}
	}
	t.Logf("%d worlds, faults: %v", *seeds, hits)
}

// storyMost is how many lines of a world's log are shown.
const storyMost = 400

// run runs a world, and returns the faults that struck.
func run(t *testing.T, seed uint64, tell bool) (hits map[string]int) {
	t.Helper()
	var w *world
	t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
		told := false
		story := func() {
			if w == nil || told {
				return
			}
			told = true
			t.Logf("%s\n%s\nagain: go test ./internal/sim -run TestSim -sim.seed=%d", w.story(storyMost), strings.Join(w.wrong, "\n"), seed)
		}
		defer func() {
			if v := recover(); v != nil { // the bubble is told to be stuck
				t.Errorf("panic: %v", v)
			}
			if t.Failed() || tell {
				story()
			}
		}()
		synctest.Test(t, func(t *testing.T) {
			w = newWorld(t, draw(seed))
			w.live()
			for i, what := range w.wrong {
				if i == 10 {
					t.Errorf("and %d more", len(w.wrong)-i)
					break
				}
				t.Error(what)
			}
			if err := w.rec.Close(); err != nil {
				t.Error(err)
			}
		})
	})
	if w != nil {
		hits = w.hits
		if file := os.Getenv("SIM_STORIES"); file != "" && len(w.wrong) > 0 {
			_ = os.WriteFile(filepath.Join(file, fmt.Sprintf("%d.log", seed)), []byte(w.story(1<<20)+"\n"+strings.Join(w.wrong, "\n")), 0o600)
		}
	}
	return hits
}
