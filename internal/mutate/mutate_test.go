//go:build unix

package mutate_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

var (
	really     = flag.Bool("mutate", false, "run TestMutants, which takes an hour")
	only       = flag.String("mutate.only", "", "the one target to mutate")
	number     = flag.Int("mutate.n", 200, "how many mutants to draw of each target, 0 for all")
	seed       = flag.Uint64("mutate.seed", 1, "what the draw depends on")
	match      = flag.String("mutate.match", "", "draw only mutants whose id has a match of this regular expression")
	unsettled  = flag.Bool("mutate.open", false, "draw only mutants without a verdict")
	tests      = flag.String("mutate.tests", "", "put them before tests alone whose name has a match of this regular expression")
	budget     = flag.Duration("mutate.budget", 20*time.Second, "how much of a processor's time tests may take, without the mutant, until it counts as survived")
	again      = flag.Bool("mutate.again", false, "put those that have survived, by the record, before tests again, and count the others as they were; with -mutate.tests the new ones do")
	enough     = flag.Duration("mutate.for", 24*time.Hour, "how long to go on with a target; those it comes to by then are the sample")
	jobs       = flag.Int("mutate.jobs", runtime.NumCPU(), "how many mutants to run at a time")
	least      = flag.Float64("mutate.least", 90, "fail below this rate, in percent")
	recordInto = flag.String("mutate.record", "../../docs/bench/mutation.md", "where to write what was found; nothing is written for an empty name")
)

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestMutants is the check. It is run by make mutate.
func TestMutants(t *testing.T) {
	if !*really {
		t.Skip("it takes an hour; make mutate runs it")
	}
	verdicts, err := readVerdicts("testdata/verdicts.txt")
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(*match)
	pick := func(m *mutant) bool {
		_, settled := verdicts[m.id]
		return wanted.MatchString(m.id) && (!*unsettled || !settled)
	}
	for _, of := range targets {
		if *only != "" && *only != of.name {
			continue
		}
		t.Run(of.name, func(t *testing.T) {
			began := time.Now()
			var before *earlier
			if *again {
				if before, err = readEarlier(*recordInto, of.name); err != nil {
					t.Fatal(err)
				}
				*number = 0
				pick = func(m *mutant) bool { _, ok := before.reached[listedAs(m.id)]; return ok }
			}
			b := build(t, root(t), of, *number, *seed, pick)
			t.Logf("%d mutants, %d more do not compile, %d drawn; built after %v", b.total, b.broken, len(b.sample), time.Since(began).Round(time.Second))
			units := b.survey(t, *jobs)
			t.Logf("%d tests, surveyed after %v", len(units), time.Since(began).Round(time.Second))
			r := &result{
				target: of.name, total: b.total, broken: b.broken, fates: b.put(t, units, *jobs, began.Add(*enough)), verdicts: verdicts,
				seed: *seed, commit: commit(root(t)), at: began, took: time.Since(began), before: before,
			}
			for _, f := range r.fates {
				if before != nil {
					f.reached += before.reached[listedAs(f.id)]
				}
			}
			tell(t, r)
			if *recordInto != "" {
				if err := record(*recordInto, []*result{r}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func tell(t *testing.T, r *result) {
	t.Helper()
	for _, f := range r.fates {
		v, settled := r.verdicts[f.id]
		switch {
		case f.killed && v.equivalent:
			t.Errorf("%s is said to be equivalent, but %s tells it: %s", f.id, f.by, f.where)
		case !f.killed && !settled:
			t.Logf("without a verdict: %s: %s (%d tests) %s", f.where, f.id, f.reached, f.by)
		}
	}
	t.Log(strings.TrimSpace(r.row()))
	if rate, _, _ := r.score().rate(); rate < *least {
		t.Errorf("%s: %.1f %% of the mutants are killed, want at least %v %%", r.target, rate, *least)
	}
}

// small is a module of a few lines, for which it is known what its tests see.
func small(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := copyTree(dir, "testdata/small"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "small.go", "small_test.go"} {
		if err := os.Rename(filepath.Join(dir, name+".txt"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestMutator holds the mutator to the small module.
func TestMutator(t *testing.T) {
	dir := small(t)
	b := build(t, dir, target{name: "small", code: []string{"."}, tests: []string{"."}}, 0, 0, func(*mutant) bool { return true })
	b.patience = 500 * time.Millisecond
	var got strings.Builder
	for _, f := range b.put(t, b.survey(t, 2), 2, time.Now().Add(time.Hour)) {
		switch {
		case f.killed:
			got.WriteString("killed ")
		case f.reached == 0:
			got.WriteString("unreached ")
		default:
			got.WriteString("survived ")
		}
		got.WriteString(strings.TrimPrefix(f.id, "small.go ") + "\n")
	}
	want, err := os.ReadFile("testdata/small/want.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got.String(), want)
	}
	if b.broken == 0 {
		t.Error("all mutants compile; there is one that can't")
	}
}

// TestMutator_EachAlone: what compiles with all mutants in it compiles with any of them, since a sample holds some.
func TestMutator_EachAlone(t *testing.T) {
	c, found, imports, err := load(small(t), ".")
	if err != nil {
		t.Fatal(err)
	}
	good, err := c.compilable(found, imports)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range good {
		if bad, err := c.check([]*mutant{m}, imports); len(bad) > 0 || err != nil {
			t.Errorf("%s does not compile alone: %v", m.id, err)
		}
	}
}

// TestScore: a rate leaves equivalent mutants aside, and its interval is Wilson's.
func TestScore(t *testing.T) {
	r := &result{verdicts: map[string]verdict{"same": {equivalent: true}, "known": {}}}
	for i := range 100 {
		f := &fate{mutant: &mutant{id: "x"}, killed: i < 90, reached: 1}
		r.fates = append(r.fates, f)
	}
	for _, id := range []string{"same", "same", "known"} {
		r.fates = append(r.fates, &fate{mutant: &mutant{id: id}})
	}
	r.fates[0].slow = true
	if got, want := r.score(), (score{sample: 103, equivalent: 2, killed: 90, slow: 1, survived: 11, unreached: 1}); got != want {
		t.Errorf("score is %+v, want %+v", got, want)
	}
	if got, want := strings.TrimSpace(r.row()), "|  | 0 | 103 | 2 | 90 | 1 | 11 | 1 | 89.1 % | 81.5 to 93.8 % |"; got != want {
		t.Errorf("row is\n%s\nwant\n%s", got, want)
	}
}

// TestRecord: a run for one target leaves what the record says of the others.
func TestRecord(t *testing.T) {
	name := filepath.Join(t.TempDir(), "record.md")
	at := time.Date(2026, 11, 29, 14, 0, 0, 0, time.UTC)
	of := func(target, id string) *result {
		return &result{
			target: target, fates: []*fate{{mutant: &mutant{id: id, where: "a.go:7"}, reached: 3}, {mutant: &mutant{id: "k"}, killed: true}}, at: at, commit: "abc",
			verdicts: map[string]verdict{"same": {equivalent: true, reason: "It is slower only."}},
		}
	}
	for _, r := range []*result{of("timer", "same"), of("schedule", "b"), of("schedule", "c")} {
		if err := record(name, []*result{r}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := recordHead + `| schedule | 0 | 2 | 0 | 1 | 0 | 1 | 0 | 50.0 % | 9.5 to 90.5 % |
| timer | 0 | 2 | 1 | 1 | 0 | 0 | 0 | 100.0 % | 20.7 to 100.0 % |

## schedule

On 2026-11-29 14:00 UTC, of commit abc, in 0s, with seed 0, 1 of 2 were killed. 0 more mutants do not compile.

Survived:

- ` + "`c`" + ` (line 7, reached by 3 tests). Open.

## timer

On 2026-11-29 14:00 UTC, of commit abc, in 0s, with seed 0, 1 of 2 were killed. 0 more mutants do not compile.

Equivalent:

- ` + "`same`" + ` (line 7, reached by 3 tests). It is slower only.
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
