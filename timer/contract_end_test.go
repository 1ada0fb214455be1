package timer_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// ctLeft tells what Drain or Close left.
func ctLeft(left *timer.Leftover) string {
	var not, still []string
	for info := range left.NotRun() {
		not = append(not, info.Name)
		if info.State != timer.StateCancelled {
			not = append(not, "in state "+info.State.String())
		}
	}
	for info := range left.StillRunning() {
		still = append(still, info.Name)
	}
	slices.Sort(not)
	slices.Sort(still)
	return strings.TrimSpace(fmt.Sprintf("left %v still %v", not, still))
}

// ctEnds says, for the states of ctStates at 10 s, what starts after that, when the call returns, and what it left.
// Runs under way take until 15 s and do not heed their contexts.
const ctEnds = `
                | Drain                           | RunPending                                |
absent          | at 10s left [] still []         | at 10s left [] still []                   |
plain           | at 10s left [a] still []        | 40s old, at 40s left [] still []          |
tracked         | at 10s left [a] still []        | 40s old, at 40s left [] still []          |
paused          | at 10s left [a] still []        | at 10s left [a] still []                  |
ready           | at 15s left [a] still []        | 15s old, at 15s left [] still []          |
keyed           | at 15s left [a] still []        | 15s old, at 15s left [] still []          |
held            | at 15s left [a] still []        | 15s old, at 15s left [] still []          |
running         | at 15s left [] still []         | at 15s left [] still []                   |
recurring       | at 10s left [a] still []        | at 10s left [a] still []                  |
recurring, runs | at 15s left [a] still []        | at 15s left [a] still []                  |
pace, runs      | at 15s left [a] still []        | at 15s left [a] still []                  |
last, runs      | at 15s left [] still []         | at 15s left [] still []                   |
cancelled, runs | at 15s left [] still []         | at 15s left [] still []                   |
done            | at 10s left [] still []         | at 10s left [] still []                   |
dead            | at 10s left [] still []         | at 10s left [] still []                   |
cancelled       | at 10s left [] still []         | at 10s left [] still []                   |
expired         | at 10s left [] still []         | at 10s left [] still []                   |
`

// contract: K1. Invariant 10. Every state, drained and closed, with what is pending dropped and run first.
func TestContract_K1_EveryStateDrainedAndClosed(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(ctEnds), "\n")[1:]
	for i, st := range ctStates {
		cells := strings.Split(rows[i], "|")
		ctEqual(t, "row", strings.TrimSpace(cells[0]), st.name)
		for j, opts := range [][]timer.CloseOption{nil, {timer.RunPending}} {
			for _, op := range []string{"drain", "close"} {
				t.Run(fmt.Sprint(st.name, "/", op, " ", string(opts)), func(t *testing.T) {
					ctBubble(t, st.opts, func(t *testing.T, w *ct) {
						st.bring(w)
						w.pass(time.Until(w.t0.Add(10 * time.Second)))
						w.told()
						task, _ := w.Find("a")
						end := w.Drain
						if op == "close" {
							end = w.Close
						}
						left, err := end(t.Context(), opts...)
						ctIs(t, op, err, nil)
						got := append(w.told(), fmt.Sprint("at ", w.now().Truncate(time.Second), " ", ctLeft(left)))
						ctEqual(t, "came of it", strings.Join(got, ", "), strings.TrimSpace(cells[j+1]))
						w.books()
						ctIs(t, "the waiter is answered", task.Wait(t.Context()), nil)
						w.pass(time.Hour)
						w.want()
						again, err := end(t.Context(), opts...)
						ctIs(t, "once more", err, nil)
						ctEqual(t, "left once more", ctLeft(again), "left [] still []")
					})
				})
			}
		}
	}
}

// contract: K1. A context that ends first: what still runs is named, and nothing else of the user's starts any more.
func TestContract_K1_TheContextEndsFirst(t *testing.T) {
	for _, op := range []string{"drain", "close"} {
		for _, workers := range []int{0, 1} {
			for _, opts := range [][]timer.CloseOption{nil, {timer.RunPending}} {
				t.Run(fmt.Sprint(op, workers, string(opts)), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w := &ct{t: t, t0: time.Now(), Engine: timer.New(timer.Options{Workers: workers})}
						gate := make(chan struct{})
						for i := range 5 {
							w.put(fmt.Sprint("t", i), schedule.After(0), w.waits("task", gate))
							w.AfterFunc(time.Millisecond, func() { w.note("timer"); <-gate })
						}
						w.put("far", schedule.After(time.Hour), w.logs("far"))
						w.put("far, tracked", schedule.After(time.Hour), w.logs("far"), timer.Track())
						w.AfterFunc(time.Hour, func() { w.note("far") })
						w.pass(time.Second)
						running := w.Stats().Running
						w.told()
						end := w.Drain
						if op == "close" {
							end = w.Close
						}
						ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
						defer cancel()
						left, err := end(ctx, opts...)
						ctIs(t, op, err, context.DeadlineExceeded)
						ctEqual(t, "returned after", w.now(), 4*time.Second)
						ctEqual(t, "running", left.Running(), running)
						ctEqual(t, "timers", left.Timers(), 1)
						still := len(slices.Collect(left.StillRunning()))
						ctEqual(t, "tasks, still running or not run", still+len(slices.Collect(left.NotRun())), 7)
						close(gate)
						w.pass(2 * time.Hour)
						w.want()
						left, err = end(t.Context())
						ctIs(t, "once more", err, nil)
						ctEqual(t, "left", ctLeft(left), "left [] still []")
						w.books()
					})
				})
			}
		}
	}
}

// contract: K1. What is due and waits for a worker when the call gives up is not started later, unnamed timers included.
func TestContract_K1_NothingStartsAfterTheReturn(t *testing.T) {
	for _, op := range []string{"drain", "close"} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &ct{t: t, t0: time.Now(), Engine: timer.New()}
				gate := make(chan struct{})
				for range 4 * runtime.GOMAXPROCS(0) { // all due at once: most of them wait up to a millisecond
					w.AfterFunc(time.Second, func() { w.note("timer"); <-gate })
				}
				time.Sleep(time.Second)
				synctest.Wait()
				started := len(w.told())
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				end := w.Drain
				if op == "close" {
					end = w.Close
				}
				left, err := end(ended)
				ctIs(t, op, err, context.Canceled)
				ctEqual(t, "running", left.Running(), started)
				ctEqual(t, "running or not run", left.Running()+left.Timers(), 4*runtime.GOMAXPROCS(0))
				w.pass(time.Second)
				close(gate)
				w.pass(time.Second)
				w.want()
				w.books()
			})
		})
	}
}

// contract: K1. An ended context does not make an idle engine's Close fail, nor a second one.
func TestContract_K1_EndedContextOnAnIdleEngine(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		e := timer.New()
		if _, err := e.Put("a", schedule.After(time.Hour), timer.Plain(func() {})); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := e.Drain(ended); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// contract: K1. Close asks the runs under way to stop, Drain does not.
func TestContract_K1_CloseAsksToStop(t *testing.T) {
	for op, want := range map[string]string{"drain": "1m0s <nil>", "close": "1s engine is closed"} {
		t.Run(op, func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				task := w.put("a", schedule.After(0), func(ctx context.Context) error {
					select {
					case <-ctx.Done():
					case <-time.After(time.Minute):
					}
					w.note(fmt.Sprint(context.Cause(ctx)))
					return context.Cause(ctx)
				}, timer.Track())
				w.pass(time.Second)
				end := w.Drain
				if op == "close" {
					end = w.Close
				}
				_, err := end(t.Context())
				ctIs(t, op, err, nil)
				w.want(want)
				state := timer.StateDone
				if op == "close" {
					state = timer.StateCancelled
				}
				ctEqual(t, "state", task.State(), state)
			})
		})
	}
}

// contract: K1. A handler may drain and close its own engine: it is not waited for.
func TestContract_K1_FromInsideAHandler(t *testing.T) {
	for _, op := range []string{"drain", "close", "close, derived context"} {
		t.Run(op, func(t *testing.T) {
			ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
				w.put("other", schedule.After(time.Hour), w.logs("other"))
				w.put("a", schedule.After(0), func(ctx context.Context) error {
					var err error
					var left *timer.Leftover
					switch op {
					case "drain":
						left, err = w.Drain(ctx)
					case "close":
						left, err = w.Close(ctx, timer.RunPending)
					default:
						derived, cancel := context.WithTimeout(ctx, time.Minute)
						defer cancel()
						left, err = w.Close(derived)
					}
					ctIs(t, op, err, timer.ErrSelfWait)
					ctEqual(t, "left", ctLeft(left), "left [other] still [a]")
					w.note("returned")
					return nil
				})
				w.pass(time.Second)
				w.want("0s returned")
			})
		})
	}
}

// contract: K1. Of many that close at the same time, one gets what was pending, and all return when all has ended.
func TestContract_K1_ManyCloseAtOnce(t *testing.T) {
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
		for i := range 50 {
			w.put(strconv.Itoa(i), schedule.After(time.Hour), w.logs("x"))
		}
		w.put("running", schedule.After(0), w.takes("running", 10*time.Second))
		w.pass(time.Second)
		var group sync.WaitGroup
		var got atomic.Int64
		for i := range 8 {
			group.Go(func() {
				end := w.Close
				if i%2 == 0 {
					end = w.Drain
				}
				left, err := end(t.Context())
				ctIs(t, "end", err, nil)
				ctEqual(t, "returned after", w.now(), 10*time.Second)
				for range left.NotRun() {
					got.Add(1)
				}
			})
		}
		group.Wait()
		ctEqual(t, "got", got.Load(), 50)
	})
}

// contract: K1. RunPending runs one-offs when they are due, never early, and ends what recurs; what is accepted stops at
// once.
func TestContract_K1_RunPending(t *testing.T) {
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
		w.put("plain", schedule.After(10*time.Second), w.logs("plain"))
		w.put("at", schedule.At(w.wall(20*time.Second)), w.logs("at"), timer.Track())
		w.put("every", schedule.Every(time.Second), w.logs("every"))
		w.put("retry", schedule.After(25*time.Second), func(context.Context) error {
			_, err := w.Put("another", schedule.After(0), w.logs("another"))
			ctIs(t, "put meanwhile", err, timer.ErrClosed)
			ctEqual(t, "timer meanwhile", errors.Is(w.AfterFunc(0, func() {}).Err(), timer.ErrClosed), true)
			ctEqual(t, "cancel meanwhile", w.Cancel("cancelled"), timer.Cancelled)
			w.note("retry")
			return nil
		})
		w.put("cancelled", schedule.After(time.Hour), w.logs("cancelled"))
		w.AfterFunc(30*time.Second, func() { w.note("timer") })
		w.AfterFunc(time.Hour, func() { w.note("stopped") }).Stop()
		left, err := w.Close(t.Context(), timer.RunPending)
		ctIs(t, "close", err, nil)
		ctEqual(t, "left", ctLeft(left), "left [every] still []")
		w.want("10s plain", "20s at", "25s retry", "30s timer")
	})
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) { // as long as the context allows
		w.put("soon", schedule.After(10*time.Second), w.logs("soon"))
		w.put("late", schedule.After(time.Hour), w.logs("late"))
		w.AfterFunc(time.Hour, func() { w.note("late") })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		left, err := w.Drain(ctx, timer.RunPending)
		ctIs(t, "drain", err, context.DeadlineExceeded)
		ctEqual(t, "left", ctLeft(left), "left [late] still []")
		ctEqual(t, "timers", left.Timers(), 1)
		ctEqual(t, "returned after", w.now(), time.Minute)
		w.pass(2 * time.Hour)
		w.want("10s soon")
	})
	ctBubble(t, timer.Options{Held: true}, func(t *testing.T, w *ct) { // an engine that was never started
		w.put("a", schedule.After(10*time.Second), w.logs("a"))
		_, err := w.Drain(t.Context(), timer.RunPending)
		ctIs(t, "drain", err, nil)
		w.want("10s a")
	})
}

// contract: K1. Nothing of the user's runs after the return: neither handlers nor hooks nor OnPanic.
func TestContract_K1_NothingOfTheUsersRunsAfter(t *testing.T) {
	for round := range 60 {
		synctest.Test(t, func(t *testing.T) {
			var over atomic.Bool
			check := func(what string) {
				if over.Load() {
					t.Errorf("%s runs after the return", what)
				}
			}
			hook := func(timer.Event) { time.Sleep(time.Millisecond); check("hook") }
			e := timer.New(timer.Options{
				Workers: round % 3, OnPanic: func(timer.Panic) { time.Sleep(time.Millisecond); check("OnPanic") },
				Hooks: timer.Hooks{Scheduled: hook, Started: hook, Finished: hook, Failed: hook, Skipped: hook, Cancelled: hook},
			})
			for i := range 40 {
				fn := func(context.Context) error {
					time.Sleep(time.Duration(i%5) * time.Millisecond)
					check("handler")
					if i%7 == 0 {
						panic("x")
					}
					return nil
				}
				s := schedule.After(time.Duration(i) * time.Millisecond)
				if i%3 == 0 {
					s = schedule.Every(time.Duration(1+i) * time.Millisecond)
				}
				if _, err := e.Put(strconv.Itoa(i), s, fn, []timer.Option{timer.Key("k", 2)}[:i%2]...); err != nil {
					t.Fatal(err)
				}
				e.AfterFunc(time.Duration(i)*time.Millisecond, func() { check("timer") })
			}
			time.Sleep(time.Duration(round) * time.Millisecond)
			if _, err := e.Close(t.Context(), []timer.CloseOption{timer.RunPending}[:round%2]...); err != nil {
				t.Error(err)
			}
			over.Store(true)
			time.Sleep(time.Second)
		})
	}
}

// contract: K1. Invariant 10: waiters of every kind are answered by Close.
func TestContract_K1_EveryWaiterIsAnswered(t *testing.T) {
	ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
		gate := make(chan struct{})
		w.put("holder", schedule.After(0), w.waits("holder", gate), timer.Key("k", 1))
		w.settle()
		w.put("plain", schedule.After(time.Hour), w.logs("x"))
		w.put("tracked", schedule.After(time.Hour), w.logs("x"), timer.Track())
		w.put("every", schedule.Every(time.Hour), w.logs("x"))
		w.put("keyed", schedule.After(0), w.logs("x"), timer.Key("k", 1))
		w.put("paused", schedule.After(0), w.logs("x"))
		_, err := w.Pause(timer.Named("paused"), "")
		ctIs(t, "pause", err, nil)
		w.settle()
		w.told()
		var answered atomic.Int64
		var group sync.WaitGroup
		wait := func(f func() error) {
			group.Go(func() {
				ctIs(t, "wait", f(), nil)
				answered.Add(1)
			})
		}
		for _, name := range []string{"holder", "plain", "tracked", "every", "keyed", "paused"} {
			task, _ := w.Find(name)
			wait(func() error { return task.Wait(t.Context()) })
			wait(func() error { <-task.Done(); return nil })
			wait(func() error { return w.Wait(t.Context(), timer.Named(name)) })
		}
		wait(func() error { return w.Wait(t.Context(), timer.AllTasks()) })
		w.settle()
		ctEqual(t, "answered before", answered.Load(), 0)
		time.AfterFunc(time.Second, func() { close(gate) })
		_, err = w.Close(t.Context())
		ctIs(t, "close", err, nil)
		group.Wait()
		ctEqual(t, "answered", answered.Load(), 19)
		w.want()
	})
}

// ctUses are all entry points that can fail, with an engine that takes nothing any more.
func ctUses(w *ct, task timer.Task, tm timer.Timer) []struct {
	name string
	use  func() error
} {
	hour := schedule.After(time.Hour)
	use := func(_ any, err error) error { return err }
	return []struct {
		name string
		use  func() error
	}{
		{"put, plain after", func() error { return use(w.Put("x", hour, w.logs("x"))) }},
		{"put, plain at", func() error { return use(w.Put("x", schedule.At(time.Now().Add(time.Hour)), w.logs("x"))) }},
		{"put, options", func() error { return use(w.Put("x", hour, w.logs("x"), timer.Track())) }},
		{"put, recurring", func() error { return use(w.Put("x", schedule.Every(time.Hour), w.logs("x"))) }},
		{"put, at once", func() error { return use(w.Put("x", schedule.After(0), w.logs("x"))) }},
		{"put runnable", func() error { return use(w.PutRunnable(timer.Func("x", w.logs("x")), hour)) }},
		{"put on a name that was there", func() error { return use(w.Put("a", hour, w.logs("x"))) }},
		{"move", func() error { return w.Move("a", hour) }},
		{"move to a rhythm", func() error { return w.Move("a", schedule.Every(time.Hour)) }},
		{"pause", func() error { return use(w.Pause(timer.Named("a"), "")) }},
		{"pause all", func() error { return use(w.Pause(timer.AllTasks(), "")) }},
		{"resume", func() error { return use(w.Resume(timer.Prefix("a"))) }},
		{"run now", func() error { return use(w.RunNow(timer.Tagged("a"), "")) }},
		{"start", w.Start},
		{"timer", func() error { return w.AfterFunc(0, func() { w.note("timer") }).Err() }},
	}
}

// contract: K1, A6. Use after Close and after Drain, for every entry point: told so, nothing changed, nothing leaked.
func TestContract_K1_UseAfterClose(t *testing.T) {
	for _, op := range []string{"drain", "close"} {
		ctBubble(t, timer.Options{}, func(t *testing.T, w *ct) {
			task := w.put("a", schedule.After(time.Hour), w.logs("a"))
			every := w.put("b", schedule.Every(time.Hour), w.logs("b"), timer.Tags("a"))
			tm := w.AfterFunc(time.Hour, func() { w.note("timer") })
			end := w.Drain
			if op == "close" {
				end = w.Close
			}
			_, err := end(t.Context())
			ctIs(t, op, err, nil)
			before := w.ctBooks()
			for _, u := range ctUses(w, task, tm) {
				ctIs(t, u.name, u.use(), timer.ErrClosed)
				ctEqual(t, "books after "+u.name, w.ctBooks(), before)
			}
			ctIs(t, "move by handle", task.Move(schedule.After(0)), timer.ErrClosed)
			ctIs(t, "move by handle", every.Move(schedule.After(0)), timer.ErrClosed)
			ctEqual(t, "cancel", []timer.CancelResult{w.Cancel("a"), w.Cancel("x"), task.Cancel(), every.Cancel()},
				[]timer.CancelResult{timer.Unknown, timer.Unknown, timer.Finished, timer.Finished})
			ctEqual(t, "stop, reset", []bool{tm.Stop(), tm.Reset(0)}, []bool{false, false})
			ctEqual(t, "asked to stop", every.CancelRunning(), 0)
			_, found := w.Find("a")
			ctEqual(t, "found", found, false)
			_, due := w.NextDue()
			ctEqual(t, "due", due, false)
			ctEqual(t, "state", []timer.State{task.State(), every.State()}, []timer.State{timer.StateFinished, timer.StateCancelled})
			ctEqual(t, "error", every.Err(), timer.ErrClosed)
			ctIs(t, "wait", w.Wait(t.Context(), timer.AllTasks()), nil)
			_, err = every.CancelWait(t.Context())
			ctIs(t, "cancel and wait", err, nil)
			ctEqual(t, "refused timers", w.Stats().Refused, 1)
			w.pass(2 * time.Hour)
			w.want()
			w.books()
		})
	}
}

// contract: K1. The names after Close: the bad ones are told as bad, not as late.
func TestContract_K1_BadArgumentsAfterClose(t *testing.T) {
	ctByHand(t, timer.Options{}, func(t *testing.T, w *ct) {
		_, err := w.Close(t.Context())
		ctIs(t, "close", err, nil)
		_, err = w.Put("", schedule.After(0), w.logs("x"))
		ctNamesArgument(t, "put", err, "name")
		_, err = w.Put("x", schedule.After(0), nil)
		ctNamesArgument(t, "put", err, "handler")
		_, err = w.Put("x", schedule.Every(0), w.logs("x"))
		ctNamesArgument(t, "put", err, "every")
	})
}

// An engine made outside of a synctest bubble and used inside, and the reverse: told so, without a hang, and it goes on
// working where it belongs.
func TestContract_BubbleEdge(t *testing.T) {
	var ran atomic.Int64
	fn := func(context.Context) error { ran.Add(1); return nil }
	uses := func(t *testing.T, e *timer.Engine, task timer.Task, tm timer.Timer) {
		t.Helper()
		w := &ct{t: t, Engine: e}
		for _, u := range ctUses(w, task, tm) {
			if u.name != "start" {
				ctIs(t, u.name, u.use(), timer.ErrBubble)
			}
		}
		ctIs(t, "move by handle", task.Move(schedule.After(0)), timer.ErrBubble)
		_, err := e.Drain(t.Context())
		ctIs(t, "drain", err, timer.ErrBubble)
		_, err = e.Close(t.Context(), timer.RunPending)
		ctIs(t, "close", err, timer.ErrBubble)
		ctEqual(t, "reset", tm.Reset(time.Hour), false)
		ctIs(t, "wait", task.Wait(t.Context()), timer.ErrBubble)
		ctIs(t, "wait for all", e.Wait(t.Context(), timer.AllTasks()), timer.ErrBubble)
		c, err := task.CancelWait(t.Context())
		ctIs(t, "cancel and wait", err, timer.ErrBubble)
		ctEqual(t, "cancelled", c, timer.Unknown)
		_, found := e.Find("a")
		ctEqual(t, "found", found, true)
		ctEqual(t, "listed", len(slices.Collect(e.Tasks(timer.AllTasks()))), 1)
	}
	silent := timer.Options{Logger: slog.New(slog.DiscardHandler)}
	t.Run("made outside", func(t *testing.T) {
		e := timer.New(silent)
		task, err := e.Put("a", schedule.After(time.Hour), fn)
		ctIs(t, "put", err, nil)
		tm := e.AfterFunc(time.Hour, func() {})
		synctest.Test(t, func(t *testing.T) { uses(t, e, task, tm) })
		done := make(chan struct{})
		ctEqual(t, "it is still set", tm.Stop(), true)
		ctIs(t, "and works", e.AfterFunc(time.Millisecond, func() { close(done) }).Err(), nil)
		<-done
		left, err := e.Close(t.Context())
		ctIs(t, "close", err, nil)
		ctEqual(t, "left", ctLeft(left), "left [a] still []")
	})
	t.Run("cancelled across the edge", func(t *testing.T) {
		for _, put := range []func(e *timer.Engine) func() bool{
			func(e *timer.Engine) func() bool { return e.AfterFunc(time.Hour, func() {}).Stop },
			func(e *timer.Engine) func() bool {
				task, err := e.Put("a", schedule.After(time.Hour), fn)
				ctIs(t, "put", err, nil)
				return func() bool { return task.Cancel() == timer.Cancelled }
			},
			func(e *timer.Engine) func() bool {
				_, err := e.Put("a", schedule.Every(time.Hour), fn)
				ctIs(t, "put", err, nil)
				return func() bool { return e.Cancel("a") == timer.Cancelled }
			},
		} {
			made, used := make(chan func() bool), make(chan bool)
			go func() { used <- (<-made)() }()
			synctest.Test(t, func(t *testing.T) {
				e := timer.New(silent)
				undo := put(e)
				e.AfterFunc(0, func() {}) // leaves an idle worker, which waits in the bubble
				synctest.Wait()
				made <- undo
				ctEqual(t, "prevented", <-used, true)
				ctEqual(t, "pending", e.Stats().Pending, 0)
				time.Sleep(2 * time.Hour)
				_, err := e.Close(t.Context())
				ctIs(t, "close", err, nil)
			})
		}
	})
	t.Run("made inside", func(t *testing.T) {
		made, used := make(chan func()), make(chan struct{})
		go func() {
			defer close(used)
			(<-made)()
		}()
		synctest.Test(t, func(bt *testing.T) {
			e := timer.New(silent)
			task, err := e.Put("a", schedule.After(time.Hour), fn)
			ctIs(bt, "put", err, nil)
			tm := e.AfterFunc(2*time.Hour, func() {})
			made <- func() { uses(t, e, task, tm) }
			<-used // a channel of the outside: the bubble's time stands still
			ctEqual(bt, "it is still set", tm.Stop(), true)
			time.Sleep(time.Hour)
			synctest.Wait()
			ctEqual(bt, "and runs", ran.Load(), 1)
			_, err = e.Close(bt.Context())
			ctIs(bt, "close", err, nil)
		})
	})
}
