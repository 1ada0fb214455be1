package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// A home is a store in memory with a scheduler on it, in a bubble's time, and what that has started.
type home struct {
	*testing.T
	st   *memory.Store
	d    *duly.Scheduler
	fail func(name string) bool

	mu  sync.Mutex
	ran []string
}

func newHome(t *testing.T) *home {
	t.Helper()
	h := &home{T: t, st: memory.New(memory.Options{}), fail: func(string) bool { return false }}
	t.Cleanup(func() {
		if err := h.st.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// work has a scheduler work for a while.
func (h *home) work(d time.Duration, put func(k *duly.Kind[[]byte])) {
	h.Helper()
	var err error
	h.d, err = duly.New(duly.Options{Store: h.st, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.Fatal(err)
	}
	k := duly.Handle(h.d, "k", func(_ context.Context, a *duly.Attempt[[]byte]) error {
		h.mu.Lock()
		h.ran = append(h.ran, fmt.Sprintf("%s for %s at %s with %x", a.Name, text(a.ScheduledFor), text(time.Now()), a.Payload))
		h.mu.Unlock()
		if h.fail(a.Name) {
			return errors.New("no")
		}
		return nil
	})
	ctx, stop := context.WithTimeout(h.Context(), d)
	defer stop()
	if put != nil {
		put(k)
	}
	if err := h.d.Run(ctx); err != nil {
		h.Fatal(err)
	}
	if err := h.d.Close(context.WithoutCancel(ctx)); err != nil {
		h.Fatal(err)
	}
}

func text(t time.Time) string { return t.UTC().Format("02T15:04:05.000000") }

// out exports, and returns the lines and what stays behind.
func out(t *testing.T, from store.Store) (lines, left string) {
	t.Helper()
	var b bytes.Buffer
	var all []string
	n, err := Out(t.Context(), from, Choice{}, &b, func(l Left) error {
		all = append(all, l.Key.String()+": "+l.Why)
		return nil
	})
	if err != nil || n != strings.Count(b.String(), "\n") {
		t.Fatalf("%d lines: %v\n%s", n, err, b.String())
	}
	return b.String(), strings.Join(all, "\n")
}

// in imports, which must refuse nothing.
func in(t *testing.T, to store.Store, lines string) Tally {
	t.Helper()
	tally, refused := take(t, to, lines, store.Fail)
	if refused != "" {
		t.Fatalf("refused: %s", refused)
	}
	return tally
}

func take(t *testing.T, to store.Store, lines string, c store.Conflict) (Tally, string) {
	t.Helper()
	var refused []string
	tally, err := In(t.Context(), to, strings.NewReader(lines), InOptions{OnConflict: c, Refused: func(r Refusal) error {
		refused = append(refused, fmt.Sprintf("%d %s: %v", r.Line, r.Key, r.Err))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return tally, strings.Join(refused, "\n")
}

// schedules are one of every kind, and what may stand behind them.
var schedules = []string{
	"every 7m", "every 11m jitter 20s", "every 1h align 2000-01-01T00:10:00Z", "every 25m times 9", "every 10m until 2000-01-02T00:00:00Z",
	"cron 0 9 * * mon-fri in Europe/Berlin", "cron */20 * * * * in America/New_York jitter 30s", "cron 30 2 * * * in Europe/Berlin times 40",
	"pace 13m", "pace 11m times 30", "pace-from-start 17m", "in 5h", "in 26h jitter 10m", "at 2000-01-01T20:00:00Z", "at 2000-01-03T00:00:00Z",
	"(cron 0 */2 * * * in UTC) or (every 45m)", "every 2h from 2000-01-01T12:00:00Z", "cron 0 6 * * * in Asia/Tokyo except (cron * * * * sun)",
}

// What was moved goes on as it would have: after a time in which all sorts of things happen to tasks of every kind of schedule, two stores,
// one of them the other's export and import, start the same occurrences at the same instants.
func TestMoved_GoesOn(t *testing.T) {
	seed := rand.Uint64()
	for round := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed+round), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { goesOn(t, rand.New(rand.NewPCG(seed+round, 1))) })
		})
	}
}

func goesOn(t *testing.T, rng *rand.Rand) {
	old := newHome(t)
	failing := map[string]bool{}
	old.fail = func(name string) bool { return failing[name] }
	names := make([]string, 0, len(schedules))
	begun := time.Now()
	for i, s := range schedules {
		names = append(names, fmt.Sprintf("%02d %s", i, s))
		failing[names[i]] = rng.IntN(3) == 0
	}
	old.work(time.Duration(1+rng.IntN(40*60))*time.Minute/4, func(k *duly.Kind[[]byte]) {
		for i, s := range schedules {
			sc, err := schedule.Parse(s)
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			payload := []byte{byte(i), 0xff, '"'}
			if i%2 == 0 {
				payload = fmt.Appendf(nil, `{"a":"<%d>\u2028"}`, i)
			}
			opts := []duly.PutOption{duly.Retry(duly.RetryPolicy{Attempts: 5, Backoff: 3 * time.Hour, MaxBackoff: 9 * time.Hour}), duly.Tags("x", s[:2]), duly.Priority(i), duly.Overlap(duly.Allow)}
			if i%3 == 0 {
				opts = append(opts, duly.Key("shared", 1))
			}
			if _, err := k.Put(t.Context(), names[i], payload, sc, opts...); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, name := range names {
		if _, err := old.d.Get(t.Context(), name); err != nil {
			continue // it has ended
		}
		e := store.Edit{Key: store.Key{Name: name}}
		switch rng.IntN(6) {
		case 0:
			e.Verb, e.Reason = store.VerbPause, "lunch"
		case 1:
			e.Verb, e.When = store.VerbMove, store.On(store.Occurrence{For: store.At(time.Now().Add(95 * time.Minute))})
		default:
			continue
		}
		if res, err := old.st.Edit(t.Context(), []store.Edit{e}); err != nil || res[0].Err != nil && !errors.Is(res[0].Err, store.ErrRunning) {
			t.Fatal(err, res)
		}
	}
	time.Sleep(time.Duration(rng.IntN(60)) * time.Minute) // some is missed
	lines, left := out(t, old.st)
	for l := range strings.SplitSeq(left, "\n") {
		if l != "" && !strings.Contains(l, "is dead") {
			t.Errorf("left behind: %s", l)
		}
	}
	moved := newHome(t)
	if tally := in(t, moved.st, lines); tally != (Tally{Imported: strings.Count(lines, "\n")}) {
		t.Errorf("imported %+v of %d", tally, strings.Count(lines, "\n"))
	}
	if again, _ := out(t, moved.st); again != lines {
		t.Errorf("an export of the import (-first +second):\n%s", cmp.Diff(lines, again))
	}
	if tally := in(t, moved.st, lines); tally != (Tally{Unchanged: strings.Count(lines, "\n")}) {
		t.Errorf("imported again: %+v", tally)
	}
	old.fail, old.ran = func(string) bool { return false }, nil
	var wg sync.WaitGroup // both end at an instant at which nothing is due
	for _, h := range []*home{old, moved} {
		wg.Go(func() { h.work(30*time.Hour+7777*time.Millisecond, nil) })
	}
	wg.Wait()
	slices.Sort(old.ran)
	slices.Sort(moved.ran)
	if diff := cmp.Diff(old.ran, moved.ran); diff != "" {
		t.Errorf("begun at %s; started from then on, where it was and where it was moved to (-was +moved):\n%s", text(begun), diff)
	}
	if len(old.ran) < 50 {
		t.Errorf("only %d occurrences have started", len(old.ran))
	}
}
