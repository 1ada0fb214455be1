package duly_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

var rewrite = flag.Bool("rewrite", false, "write into testdata/outages.txt what the scheduler does, to be reviewed as a difference")

// A trouble is what a store does that a scheduler works on, from 12 s to 45 s.
type trouble struct {
	what string
	far  bool // the store is not in this process
	from func(s *tapped)
}

// troubles are each method that fails, each write whose first answer is lost, and each way in which rows are refused.
func troubles() (all []trouble) {
	for _, m := range []string{"Claim", "Due", "Edit", "Renew"} {
		all = append(all, trouble{m + " fails", false, func(s *tapped) { s.fail(store.ErrBroken, m) }})
	}
	for _, m := range []string{"Claim", "Edit"} {
		all = append(all, trouble{m + " is done, and its first two answers are lost", true, func(s *tapped) {
			n := 0
			s.on(m, func(call func() error) error {
				if n++; n > 2 {
					return call()
				}
				if err := call(); err != nil {
					return err
				}
				return store.ErrUnknown
			})
		}})
	}
	for _, x := range []struct {
		row string
		err error
	}{
		{"Claim every", store.ErrBusy},
		{"Claim every", store.ErrNotDue},
		{"Claim every", store.ErrInvalid},
		{"Claim every", store.ErrNotOwner},
		{"Edit late", store.ErrInvalid},
		{"Edit late", store.ErrChanged},
		{"Renew long", store.ErrFenced},
		{"Settle every", store.ErrFenced},
	} {
		for _, far := range []bool{false, true} {
			if far && x.err != store.ErrNotDue { //nolint:errorlint // it is the table's
				continue
			}
			all = append(all, trouble{x.row + ": " + x.err.Error(), far, func(s *tapped) {
				method, name, _ := strings.Cut(x.row, " ")
				s.refuse(method, name, x.err)
			}})
		}
	}
	return all
}

// happens is what a scheduler does whose store is in trouble, call by call, with all that it logs.
func (x *trouble) happens(t *testing.T) (all []string) {
	t.Helper()
	lasts := map[string]time.Duration{"long": 33 * time.Second, "in its way": 8 * time.Second, "every": 1100 * time.Millisecond}
	tap(t, duly.Options{}, func(ctx context.Context, a *duly.Attempt[string]) error {
		if err := takes(lasts[a.Name])(ctx, a); err != nil {
			return duly.RetryAfter(time.Second, err)
		}
		return nil
	}, func(t *testing.T, r *rig) {
		r.far = x.far
		r.work()
		r.put("long", schedule.After(730*time.Millisecond))
		r.at(300 * time.Millisecond)
		r.put("every", schedule.Every(5*time.Second))
		r.put("in its way", schedule.After(10310*time.Millisecond), duly.Key("x", 1))
		r.put("late", schedule.After(10440*time.Millisecond), duly.StartWithin(5*time.Second), duly.Key("x", 1))
		r.at(12 * time.Second)
		x.from(r.tapped)
		r.at(13170 * time.Millisecond)
		if x.what != "Due fails" { // it is known or not then, by whether it is put while Due is asked
			r.put("meanwhile", schedule.After(100*time.Millisecond))
		}
		r.at(45070 * time.Millisecond)
		r.mu.Lock()
		clear(r.taps)
		clear(r.refused)
		r.mu.Unlock()
		r.at(82 * time.Second)
		all = slices.DeleteFunc(r.timeline(), func(s string) bool { return strings.Contains(s, " Get ") }) // a task is read where two write it at once
		for _, name := range []string{"long", "late", "meanwhile"} {
			all = append(all, name+": "+strings.Join(r.events(name), ", "))
		}
		k := r.counts()
		all = append(all, fmt.Sprintf("%d started: %d succeeded, %d failed, %d lost, %d fenced, %d expired, %d run; %d errors",
			k.Started, k.Succeeded, k.Failed, k.Lost, k.Fenced, k.Expired, k.Running, r.stats().StoreErrors))
		r.end()
	})
	return all
}

// What is done while the store is in trouble, and after it, is in testdata/outages.txt to be read: what is tried again and when, what waits
// meanwhile, what is logged and how often.
func TestOutages(t *testing.T) {
	const file = "testdata/outages.txt"
	want := map[string][]string{}
	text, err := os.ReadFile(file)
	if err != nil && !*rewrite {
		t.Fatal(err)
	}
	for section := range strings.SplitSeq(string(text), "# ") {
		what, lines, _ := strings.Cut(section, "\n")
		want[what] = strings.Split(strings.TrimSpace(lines), "\n")
	}
	var out strings.Builder
	for _, x := range troubles() {
		what := x.what
		if x.far {
			what += ", elsewhere"
		}
		t.Run(what, func(t *testing.T) {
			got := x.happens(t)
			fmt.Fprintf(&out, "# %s\n%s\n\n", what, strings.Join(got, "\n"))
			if !*rewrite {
				same(t, "what happens", want[what], got)
			}
		})
		delete(want, what)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A store elsewhere that does not tell the time any more is asked again and again, more and more seldom, which is said once, and so is its end.
func TestOutage_OfTheClock(t *testing.T) {
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		r.far = true
		r.work()
		r.at(12 * time.Second)
		r.fail(store.ErrBroken, "Clock")
		r.at(25 * time.Second)
		r.fail(nil, "Clock")
		r.at(50 * time.Second)
		r.wantCalls(t, "Clock", "0s Clock", "10s Clock", "20s Clock", "20.01s Clock", "20.03s Clock", "20.07s Clock", "20.15s Clock", "20.31s Clock", "20.63s Clock",
			"21.27s Clock", "22.55s Clock", "24.55s Clock", "26.55s Clock", "36.55s Clock", "46.55s Clock")
		r.wantLogged(t, `20s level=ERROR msg="the store fails, nothing new starts" doing="read the clock" error="storage has failed"`,
			`26.55s level=INFO msg="the store works again"`)
		r.end()
	})
}

// By a store in this process the clock is told that is set with ours, exactly, and the other way round what it is ahead.
func TestStats_ClockOffsetHere(t *testing.T) {
	tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
		r.work()
		r.at(time.Hour)
		if st := r.stats(); st.ClockOffset != 0 || st.Uncertainty != 0 {
			t.Errorf("the store is %v ahead, give or take %v; want neither", st.ClockOffset, st.Uncertainty)
		}
		r.end()
	})
}

// The clock of a store elsewhere is looked at again at once if that took long, and what it is ahead is told to the microsecond.
func TestStats_ClockOffsetElsewhere(t *testing.T) {
	for took, looks := range map[time.Duration]int{0: 1, time.Millisecond: 1, time.Millisecond + 1: 4, time.Second: 4} {
		tap(t, duly.Options{}, quick, func(t *testing.T, r *rig) {
			r.far, r.ahead = true, 3*time.Second
			r.on("Clock", func(call func() error) error {
				err := call()
				time.Sleep(took)
				return err
			})
			r.work()
			r.at(9 * time.Second)
			if n := len(r.of("Clock")); n != looks {
				t.Errorf("where a look takes %v: %d looks, want %d", took, n, looks)
			}
			if ahead := 3*time.Second - took.Truncate(time.Microsecond); took != time.Millisecond+1 {
				if st := r.stats(); st.ClockOffset != ahead || st.Uncertainty < took {
					t.Errorf("where a look takes %v: the store is %v ahead, give or take %v; want %v", took, st.ClockOffset, st.Uncertainty, ahead)
				}
			}
			r.end()
		})
	}
}
