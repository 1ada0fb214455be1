package proof_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/wait"
)

const (
	poisonDir  = "DULY_TEST_POISON_DIR" // of the process that is poisoned: any value
	poisonName = "poison-"              // what the names of tasks that kill their process begin with
)

// TestPoisoned is the process of TestPoison: it runs what is there, until it is killed by it or nothing is left.
func TestPoisoned(t *testing.T) {
	if os.Getenv(killDir) == "" || os.Getenv(poisonDir) == "" {
		t.Skip("it is a process of TestPoison, and runs only there")
	}
	st, book, _ := openLife(t, "poisoned")
	l, err := newLoad(st, book, 0, func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	})
	if err != nil {
		t.Fatal(err)
	}
	duly.Handle(l.s, "poison", func(context.Context, *duly.Attempt[work]) error {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			l.fault(err)
		}
		select {} // until it takes effect
	})
	ran := make(chan error, 1)
	go func() { ran <- l.s.Run(context.WithoutCancel(t.Context())) }()
	for left := true; left; {
		if err := wait.Sleep(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		n, err := st.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		left = n.Tasks > 0
	}
	if err := errors.Join(l.s.Drain(t.Context()), <-ran, st.Close(), book.Close()); err != nil {
		t.Fatal(err)
	}
	os.Exit(0) // what is left waits for its parent
}

// TestPoison runs tasks that kill their process among others, and starts the process again until nothing is left.
//
// contract: D5
func TestPoison(t *testing.T) {
	poison, neighbours := 5, 50
	if long() {
		poison, neighbours = 100, 1000
	}
	dir := t.TempDir()
	putPoison(t, dir, poison, neighbours)
	k := &killing{dir: dir}
	for most := poison*duly.MaxLost + 1; ; {
		if k.boot++; k.boot > int64(most) {
			t.Fatalf("the process was killed %d times, and something is left", k.boot-1)
		}
		c := startChild(t, "TestPoisoned", append(k.env(), poisonDir+"=1")...)
		killed := c.end(t)
		k.ages = append(k.ages, time.Since(c.began))
		if !killed {
			break
		}
		died(t, dir, verdict.Incarnation{Node: "poisoned", Boot: k.boot})
	}
	slices.Sort(k.ages)
	t.Logf("%d tasks that kill beside %d others: %d restarts, a process lived for a median of %v", poison, neighbours, k.boot-1, k.ages[len(k.ages)/2])
	buried(t, dir, poison, neighbours)
}

// putPoison puts all tasks, due at once and well mixed.
func putPoison(t *testing.T, dir string, poison, neighbours int) {
	t.Helper()
	st, err := pebble.Open(filepath.Join(dir, "store"), pebble.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := duly.New(duly.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	every, now := (poison+neighbours)/poison, time.Now()
	items := func(kind string, from int) iter.Seq[duly.Item[work]] {
		return func(yield func(duly.Item[work]) bool) {
			for i := range poison + neighbours {
				name := fmt.Sprintf("%s-%04d", kind, i)
				at := now.Add(time.Duration(i-poison-neighbours) * time.Millisecond)
				if (i%every == every-1) == (from == 1) && !yield(duly.Item[work]{Name: name, Payload: work{Millis: i % 7}, Schedule: schedule.At(at)}) {
					return
				}
			}
		}
	}
	for i, kind := range [2]string{"once", "poison"} {
		entries, err := duly.Declare[work](s, kind).PutMany(t.Context(), items(kind, i))
		if err != nil {
			t.Fatal(err)
		}
		if want := [2]int{neighbours, poison}[i]; len(entries) != want {
			t.Fatalf("%d tasks of kind %s, want %d", len(entries), kind, want)
		}
		for _, e := range entries {
			if e.Err != nil {
				t.Fatal(e.Err)
			}
		}
	}
	if err := errors.Join(s.Close(t.Context()), st.Close()); err != nil {
		t.Fatal(err)
	}
}

// buried holds what is left to what should be: those that kill are dead, because they were lost, and nothing else.
func buried(t *testing.T, dir string, poison, neighbours int) {
	t.Helper()
	records, _, err := verdict.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	if vs := verdict.Check(records, verdict.Options{}); len(vs) > 0 {
		t.Errorf("%d faults, the first of them:\n%v", len(vs), vs[:min(len(vs), 20)])
	}
	st, err := pebble.Open(filepath.Join(dir, "store"), pebble.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := duly.New(duly.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(s.Close(t.Context()), st.Close()); err != nil {
			t.Error(err)
		}
	}()
	there, dead, err := inventory(t.Context(), s)
	if err != nil {
		t.Error(err)
	}
	if len(there) > 0 {
		t.Errorf("%d tasks are left, want none", len(there))
	}
	var innocent []string
	for name := range dead {
		if !strings.HasPrefix(name, poisonName) {
			innocent = append(innocent, name)
		}
	}
	if len(innocent) > 0 || len(dead) != poison {
		t.Errorf("%d runs are dead, want the %d that kill; of the others: %q", len(dead), poison, innocent)
	}
	done := map[string]bool{}
	for after := int64(0); ; {
		evs, err := st.History(t.Context(), store.HistoryQuery{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(evs) == 0 {
			break
		}
		for i := range evs {
			after = evs[i].Seq
			if evs[i].To == store.Done {
				done[evs[i].Name] = true
			}
		}
	}
	if len(done) != neighbours {
		t.Errorf("%d runs are done, want the %d that do not kill", len(done), neighbours)
	}
}
