package timer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

func TestStartTwice_StopBeforeStart(t *testing.T) {
	held := timer.Options{Held: true}
	t.Run("start twice", func(t *testing.T) {
		rows2Bubble(t, held, func(t *testing.T, e *timer.Engine) {
			tr := rows2NewTrace()
			rows2Put(t, e, "before", schedule.After(time.Second), tr.run(0))
			sleep(2 * time.Second)
			tr.want(t)
			rows2Is(t, "start", e.Start(), nil)
			rows2Is(t, "start again", e.Start(), timer.ErrAlreadyStarted)
			rows2Put(t, e, "after", schedule.After(time.Second), tr.run(0))
			sleep(10 * time.Second)
			tr.want(t, "before@2s", "after@3s")
			rows2Close(t, e)
			rows2Is(t, "start what is closed", e.Start(), timer.ErrClosed)
		})
	})
	t.Run("stop before start", func(t *testing.T) {
		rows2Bubble(t, held, func(t *testing.T, e *timer.Engine) {
			tr := rows2NewTrace()
			rows2Put(t, e, "never", schedule.After(time.Second), tr.run(0))
			left, err := e.Close(t.Context())
			rows2Is(t, "close", err, nil)
			if diff := cmp.Diff([]string{"never"}, rows2Names(left.NotRun())); diff != "" {
				t.Errorf("given back (-want +got):\n%s", diff)
			}
			rows2Is(t, "start what is closed", e.Start(), timer.ErrClosed)
			sleep(10 * time.Second)
			tr.want(t)
		})
	})
}

// New takes nobody's goroutine, and Close comes to an end from every state and as often as it is called. contract: K1.
func TestStopAlwaysPossible(t *testing.T) {
	heeds := func(ctx context.Context) error { <-ctx.Done(); return nil }
	states := map[string]func(*testing.T, *timer.Engine){
		"new":     func(*testing.T, *timer.Engine) {},
		"pending": func(t *testing.T, e *timer.Engine) { rows2Put(t, e, "task", schedule.After(time.Hour), heeds) },
		"due":     func(t *testing.T, e *timer.Engine) { rows2Put(t, e, "task", schedule.After(0), heeds) },
		"running": func(t *testing.T, e *timer.Engine) { rows2Put(t, e, "task", schedule.After(0), heeds); sleep(1) },
		"overlapping": func(t *testing.T, e *timer.Engine) {
			rows2Put(t, e, "task", schedule.Every(time.Second), heeds, timer.Overlap(timer.Allow))
			sleep(3 * time.Second)
		},
		"waiting for a key": func(t *testing.T, e *timer.Engine) {
			for i := range 10 {
				rows2Put(t, e, strconv.Itoa(i), schedule.After(0), heeds, timer.Key("k", 1))
			}
			sleep(time.Second)
		},
		"waiting for a run": func(t *testing.T, e *timer.Engine) {
			rows2Put(t, e, "task", schedule.After(0), heeds)
			sleep(time.Second)
			rows2Put(t, e, "task", schedule.After(0), heeds)
			sleep(time.Second)
		},
		"paused": func(t *testing.T, e *timer.Engine) {
			rows2Put(t, e, "task", schedule.Every(time.Second), heeds)
			_, err := e.Pause(timer.AllTasks(), "why")
			rows2Is(t, "pause", err, nil)
			sleep(3 * time.Second)
		},
		"drained in vain": func(t *testing.T, e *timer.Engine) {
			rows2Put(t, e, "task", schedule.After(0), heeds)
			sleep(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := e.Drain(ctx)
			rows2Is(t, "drain", err, context.DeadlineExceeded)
		},
		"closed": rows2Close,
	}
	for name, reach := range states {
		for _, workers := range []int{0, 1} {
			t.Run(fmt.Sprint(name, ", workers ", workers), func(t *testing.T) {
				rows2Bubble(t, timer.Options{Workers: workers}, func(t *testing.T, e *timer.Engine) {
					reach(t, e)
					start := time.Now()
					var wg sync.WaitGroup
					for range 4 {
						wg.Go(func() {
							_, err := e.Close(t.Context())
							rows2Is(t, "close", err, nil)
						})
					}
					wg.Wait()
					if took := time.Since(start); took != 0 {
						t.Errorf("close took %v, want 0s", took)
					}
				})
			})
		}
	}
}

// On the real clock: a driver that sleeps for an hour hears of Close at once.
func TestStopLatency(t *testing.T) {
	for range 20 {
		e := timer.New()
		rows2Put(t, e, "delay", schedule.After(time.Hour), rows2Nothing)
		rows2Put(t, e, "instant", schedule.At(time.Now().Add(time.Hour)), rows2Nothing)
		e.AfterFunc(time.Hour, func() {})
		start := time.Now()
		rows2Close(t, e)
		if took := time.Since(start); took > patience/2 {
			t.Fatalf("close took %v with a head an hour away", took)
		}
	}
}

// An add says whether it was accepted, and nothing else: becoming the head is nobody's business.
func TestAddReportsErrorOnly(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		tr := rows2NewTrace()
		for _, d := range []int{5, 9, 1, 5, 1, 7} { // the head, later, the head, equal, equal to the head, between
			name := fmt.Sprintf("%d/%d", d, e.Stats().Pending)
			task, err := e.Put(name, schedule.After(time.Duration(d)*time.Second), tr.run(0))
			rows2Is(t, "put", err, nil)
			if s := task.State(); s != timer.StatePending || task.Name() != name {
				t.Errorf("the handle says %q is %v, want %q pending", task.Name(), s, name)
			}
		}
		sleep(time.Minute)
		tr.want(t, "1/2@1s", "1/4@1s", "5/0@5s", "5/3@5s", "7/5@7s", "9/1@9s")
	})
	texts := map[string]bool{}
	for c := timer.Unknown; c <= timer.Finished; c++ {
		texts[c.String()] = true
	}
	if len(texts) != 5 {
		t.Errorf("the five results of Cancel read %v, want five texts", texts)
	}
}

// No rounding: a delay counts from where it was accepted, between whole seconds too.
func TestSubSecondAccuracy(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		for _, phase := range []time.Duration{0, 630 * time.Millisecond, 999_999_999, 1} {
			sleep(phase)
			tr := rows2NewTrace()
			for _, d := range []time.Duration{300 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second, 3*time.Second + 1} {
				rows2Put(t, e, d.String(), schedule.After(d), tr.run(0))
				at := d + time.Millisecond
				rows2Put(t, e, at.String(), schedule.At(time.Now().Add(at)), tr.run(0))
			}
			sleep(5 * time.Second)
			want := []string{}
			for _, s := range []string{"300ms", "301ms", "1s", "1.001s", "2s", "2.001s", "3s", "3.000000001s", "3.001s", "3.001000001s"} {
				want = append(want, s+"@"+s)
			}
			tr.want(t, want...)
		}
	})
}

// What is due and cannot run, for want of a worker, of its key, of its name or of Resume, costs nothing meanwhile: the
// driver sleeps and others are served.
func TestOverdueDoesNotSpin(t *testing.T) {
	block := func(context.Context) error { time.Sleep(time.Hour); return nil }
	tests := map[string]func(*testing.T, *timer.Engine){
		"worker": func(t *testing.T, e *timer.Engine) {
			rows2Put(t, e, "blocks", schedule.After(0), block)
			rows2Put(t, e, "overdue", schedule.After(time.Second), rows2Nothing)
		},
		"key": func(t *testing.T, e *timer.Engine) {
			rows2Put(t, e, "blocks", schedule.After(0), block, timer.Key("k", 1))
			rows2Put(t, e, "overdue", schedule.After(time.Second), rows2Nothing, timer.Key("k", 1))
		},
		"name": func(t *testing.T, e *timer.Engine) {
			rows2Put(t, e, "overdue", schedule.After(0), block)
			sleep(1)
			rows2Put(t, e, "overdue", schedule.After(time.Second), rows2Nothing)
		},
		"resume": func(t *testing.T, e *timer.Engine) {
			rows2Put(t, e, "overdue", schedule.After(time.Second), rows2Nothing)
			_, err := e.Pause(timer.Named("overdue"), "")
			rows2Is(t, "pause", err, nil)
		},
		"instant": func(t *testing.T, e *timer.Engine) {
			rows2Put(t, e, "blocks", schedule.After(0), block)
			rows2Put(t, e, "overdue", schedule.At(time.Unix(1, 0)), rows2Nothing)
		},
	}
	for name, arm := range tests {
		t.Run(name, func(t *testing.T) {
			rows2Manual(t, timer.Options{Workers: 1}, func(t *testing.T, e *timer.Engine, m *clock.Manual) {
				arm(t, e)
				rows2Advance(t, m, 2*time.Second)
				before := e.Stats()
				rows2Advance(t, m, 30*time.Minute) // by the engine's clock; the handler's hour is the bubble's
				if boot, wall := m.Armed(); boot != clock.Never || wall != clock.Never {
					t.Errorf("the alarm is set while what is pending is overdue: %d, %d", boot, wall)
				}
				served := make(chan struct{})
				e.AfterFunc(0, func() { close(served) })
				synctest.Wait()
				select {
				case <-served:
				default:
					t.Error("another's timer was not served")
				}
				if s := e.Stats(); s.Wakeups-before.Wakeups > 4 || s.Pending != before.Pending {
					t.Errorf("%d wake-ups while overdue, %d pending; want at most 4, and %d", s.Wakeups-before.Wakeups, s.Pending, before.Pending)
				}
				_, _ = e.Resume(timer.AllTasks())
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				if s := e.Stats(); s.Pending != 0 {
					t.Errorf("%d pending after all, want 0", s.Pending)
				}
			})
		})
	}
}

// Others add, and are run, while callbacks are in their midst: adding waits for none of them.
func TestAddNotBlockedByCallback(t *testing.T) {
	rows2Bubble(t, timer.Options{}, func(t *testing.T, e *timer.Engine) {
		for i := range 10 {
			rows2Put(t, e, fmt.Sprint("slow", i), schedule.After(0), func(context.Context) error { time.Sleep(1100 * time.Millisecond); return nil })
		}
		sleep(500 * time.Millisecond)
		start := time.Now()
		var waited, ran atomic.Int64
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				for i := range 100 {
					_, err := e.Put(fmt.Sprint(g, "/", i), schedule.After(0), func(context.Context) error { ran.Add(1); return nil })
					rows2Is(t, "put", err, nil)
				}
				waited.Add(int64(time.Since(start)))
			})
		}
		wg.Wait()
		sleep(10 * time.Millisecond)
		if w := time.Duration(waited.Load()); w != 0 || ran.Load() != 1600 {
			t.Errorf("1600 adds waited %v and %d of them have run, want 0s and all", w, ran.Load())
		}
	})
}

// A panic leaves nothing held: no worker, key, name, place or waiter. contract: F3.
func TestPanicReleasesEverything(t *testing.T) {
	for how, f := range rows2Ends {
		t.Run(how, func(t *testing.T) {
			o := timer.Options{Workers: 1, MaxPending: 1, OnPanic: func(timer.Panic) {}}
			rows2Bubble(t, o, func(t *testing.T, e *timer.Engine) {
				for i := range 100 {
					tr := rows2NewTrace()
					name := fmt.Sprint("task", i%3)
					task := rows2Put(t, e, name, schedule.After(time.Second), f, timer.Key("k", 1), timer.Timeout(time.Hour))
					rows2Is(t, "wait", task.Wait(t.Context()), nil)
					tr.note("waited")
					synctest.Wait()
					if s := e.Stats(); s.Pending != 0 || s.Running != 0 {
						t.Fatalf("after round %d: %d pending, %d running", i, s.Pending, s.Running)
					}
					tr.want(t, "waited@1s")
				}
				if err := e.Err(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// rows2Ends are the ways in which a run fails.
var rows2Ends = map[string]timer.Handler{
	"error":  func(context.Context) error { return errRows2 },
	"panic":  func(context.Context) error { panic(errRows2) },
	"Goexit": func(context.Context) error { rows2Goexit(); return nil },
}

// What a failure does to a recurring task is said when it is put. contract: F3.
func TestOnPanicPolicy(t *testing.T) {
	for how, f := range rows2Ends {
		for policy, want := range map[timer.ErrorPolicy]string{timer.Continue: "6 runs, pending", timer.Stop: "2 runs, dead"} {
			t.Run(fmt.Sprint(how, ", ", policy), func(t *testing.T) {
				rows2Bubble(t, timer.Options{OnPanic: func(timer.Panic) {}}, func(t *testing.T, e *timer.Engine) {
					task := rows2Put(t, e, "task", schedule.Every(time.Second), func(ctx context.Context) error {
						if a, _ := timer.TaskFrom(ctx); a.Number == 2 {
							return f(ctx)
						}
						return nil
					}, timer.OnError(policy))
					sleep(2500 * time.Millisecond)
					target := errRows2
					if how == "Goexit" {
						target = timer.ErrGoexit
					}
					rows2Is(t, "the run's error", task.Err(), target)
					sleep(4 * time.Second)
					if got := fmt.Sprintf("%d runs, %v", task.Runs(), task.State()); got != want {
						t.Errorf("got %s, want %s", got, want)
					}
					rows2Put(t, e, "task", schedule.After(time.Second), rows2Nothing) // the name is free either way
				})
			})
		}
	}
}

// The engine's key of a task is its own: what becomes of the caller's values does not matter.
func TestKeyIsImmutableCopy(t *testing.T) {
	rows2Bubble(t, timer.Options{Workers: 1}, func(t *testing.T, e *timer.Engine) {
		var mu sync.Mutex
		ran := []string{}
		tasks := make([]*rows2Mutable, 100)
		want := []string{}
		tags := []string{"tag"}
		for i := range tasks {
			name := fmt.Sprintf("task%02d", i)
			tasks[i] = &rows2Mutable{name: name, at: time.Now().Add(time.Duration(i+1) * time.Second), run: func() {
				mu.Lock()
				defer mu.Unlock()
				ran = append(ran, name)
			}}
			_, err := e.PutRunnable(tasks[i], schedule.At(tasks[i].at), timer.Tags(tags...))
			rows2Is(t, "put", err, nil)
			want = append(want, name)
		}
		tags[0] = "changed"
		for i, task := range tasks { // the objects change while they are pending
			task.at = task.at.Add(-time.Duration(i) * time.Minute)
			task.name = "changed"
		}
		if n := len(rows2Names(e.Tasks(timer.Tagged("tag")))); n != 100 {
			t.Errorf("%d of 100 keep their tag", n)
		}
		tasks[50].name = "task50" // the same object again, due later: it moves
		_, err := e.PutRunnable(tasks[50], schedule.After(time.Hour))
		rows2Is(t, "put again", err, nil)
		sleep(2 * time.Hour)
		want = append(slices.Delete(want, 50, 51), "task50")
		if diff := cmp.Diff(want, ran); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

type rows2Mutable struct {
	name string
	at   time.Time
	run  func()
}

func (m *rows2Mutable) Name() string              { return m.name }
func (m *rows2Mutable) Run(context.Context) error { m.run(); return nil }

// contract: C3.
func TestFIFOOnTies(t *testing.T) {
	rows2Bubble(t, timer.Options{Workers: 1}, func(t *testing.T, e *timer.Engine) {
		start := time.Now()
		ran, want := []int{}, []int{}
		for i := range 1000 {
			s := schedule.At(start.Add(time.Minute))
			if i%2 == 0 {
				s = schedule.After(time.Minute)
			}
			opts := []timer.Option{}
			if i%5 == 0 {
				opts = append(opts, timer.Track())
			}
			rows2Put(t, e, strconv.Itoa(i), s, func(context.Context) error { ran = append(ran, i); return nil }, opts...)
			if i%7 == 3 {
				e.Cancel(strconv.Itoa(i))
				continue
			}
			want = append(want, i)
		}
		sleep(2 * time.Minute)
		if diff := cmp.Diff(want, ran); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	})
}

// Go's types hold no NaN: time is whole nanoseconds. It can come in by the text form only, which refuses it. The zero and
// the most distant values keep their places in the order.
func TestNaNRejected(t *testing.T) {
	e := timer.New()
	defer rows2Close(t, e)
	for _, text := range []string{"NaN", "nan", "Inf", "-Inf", "+Inf", "NaNs", "Infs", "1e999s", "0x1p-2s", "in NaN", "at NaN"} {
		for _, verb := range []string{"in ", "every ", "pace ", "at "} {
			s, err := schedule.Parse(verb + text)
			var se *schedule.Error
			if !errors.As(err, &se) || s.Err() == nil {
				t.Errorf("parse %q: got %v, %v, want a *schedule.Error", verb+text, s, err)
			}
			if _, err := e.Put("task", s, rows2Nothing); !errors.Is(err, timer.ErrInvalid) {
				t.Errorf("put %q: got %v, want %v", verb+text, err, timer.ErrInvalid)
			}
		}
	}
	rows2Bubble(t, timer.Options{Workers: 1}, func(t *testing.T, e *timer.Engine) {
		order := []string{}
		for _, d := range []time.Duration{3, 1 << 62, 4, 1<<63 - 1, 1, -1 << 63, 5} {
			rows2Put(t, e, d.String(), schedule.After(d), func(context.Context) error { order = append(order, d.String()); return nil })
		}
		sleep(time.Hour)
		if got := strings.Join(order, " "); got != time.Duration(-1<<63).String()+" 1ns 3ns 4ns 5ns" {
			t.Errorf("order: %s", got)
		}
	})
}

// Only what becomes the earliest wakes anybody. contract: C6.
func TestWakeupsPerAdd(t *testing.T) {
	rows2Manual(t, timer.Options{}, func(t *testing.T, e *timer.Engine, m *clock.Manual) {
		rows2Put(t, e, "head", schedule.After(time.Minute), rows2Nothing)
		m.TakeSets()
		before := e.Stats()
		for i := range 1000 {
			rows2Put(t, e, strconv.Itoa(i), schedule.After(time.Minute+time.Duration(i)), rows2Nothing)
			e.AfterFunc(time.Hour, func() {})
			rows2Put(t, e, fmt.Sprint("every", i), schedule.Every(time.Hour), rows2Nothing)
		}
		s := e.Stats()
		if n := len(m.TakeSets()); n != 0 || s.Rearms != before.Rearms || s.Wakeups != before.Wakeups {
			t.Errorf("3000 later adds set the alarm %d times, and woke the driver %d times, want never", n, s.Wakeups-before.Wakeups)
		}
		for i := range 10 {
			rows2Put(t, e, fmt.Sprint("earlier", i), schedule.After(time.Duration(50-i)*time.Second), rows2Nothing)
		}
		s = e.Stats()
		if n := len(m.TakeSets()); n != 10 || s.Rearms-before.Rearms != 10 || s.Wakeups != before.Wakeups {
			t.Errorf("10 earlier adds set the alarm %d times, %d by their own count, and woke the driver %d times, want 10, 10, 0",
				n, s.Rearms-before.Rearms, s.Wakeups-before.Wakeups)
		}
	})
}

// Waiting is for tasks of this engine, and no others; for oneself it is an error.
func TestWaitOnlyOwnTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine, other := timer.New(timer.Options{Name: "mine"}), timer.New(timer.Options{Name: "other"})
		defer rows2Close(t, other)
		defer rows2Close(t, mine)
		tr := rows2NewTrace()
		rows2Put(t, other, "task", schedule.After(0), func(context.Context) error { time.Sleep(time.Hour); return nil })
		go time.Sleep(time.Hour) // a stranger
		rows2Put(t, mine, "task", schedule.After(time.Second), func(ctx context.Context) error {
			rows2Is(t, "wait for all from one of them", mine.Wait(ctx, timer.AllTasks()), timer.ErrSelfWait)
			tr.note("task")
			return nil
		})
		rows2Put(t, other, "visitor", schedule.After(0), func(ctx context.Context) error {
			rows2Is(t, "wait for another engine's", mine.Wait(ctx, timer.AllTasks()), nil)
			tr.note("visitor")
			return nil
		})
		rows2Is(t, "wait", mine.Wait(t.Context(), timer.AllTasks()), nil)
		tr.note("waited")
		synctest.Wait()
		_, err := mine.Drain(t.Context())
		rows2Is(t, "drain", err, nil)
		tr.note("drained")
		tr.want(t, "task@1s", "visitor@1s", "waited@1s", "drained@1s")
		sleep(time.Hour)
	})
}
