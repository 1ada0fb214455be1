package notice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// A sink is a receiver that a test can take away.
type sink struct {
	mu    sync.Mutex
	down  bool
	tries int
	got   []*Notice
}

func (s *sink) receive(_ context.Context, n *Notice, _ int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries++
	if s.down {
		return errors.New("nobody is there")
	}
	s.got = append(s.got, n)
	return nil
}

func (s *sink) set(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// told returns what came since it was asked last.
func (s *sink) told() []*Notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// texts are what and which task, or how many.
func texts(ns []*Notice) (all []string) {
	for _, n := range ns {
		if n.What == Summary {
			all = append(all, fmt.Sprintf("summary of %d", n.HeldBack.Count))
			continue
		}
		all = append(all, n.What+" "+shortName(n.Namespace, n.Name))
	}
	return all
}

// A bench is a scheduler at work in a bubble, whose tasks do what their payload says.
type bench struct {
	*testing.T
	*duly.Scheduler

	notes store.Noter
	kind  *duly.Kind[string]
	sink  sink
	log   bytes.Buffer
}

func inBubble(t *testing.T, o duly.Options, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		st := memory.New(memory.Options{})
		o.Store, o.Logger = st, slog.New(slog.DiscardHandler)
		s, err := duly.New(o)
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{T: t, Scheduler: s, notes: st}
		b.kind = duly.Handle(s, "k", func(ctx context.Context, a *duly.Attempt[string]) error {
			switch what, _, _ := strings.Cut(a.Payload, " "); what {
			case "die":
				return duly.Permanent(errors.New(a.Payload))
			case "block":
				<-ctx.Done()
			}
			return nil
		})
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		t.Cleanup(func() {
			if err := errors.Join(s.Close(context.Background()), <-ended, st.Close()); err != nil { //nolint:usetesting // the test's own has ended
				t.Error(err)
			}
		})
		test(b)
	})
}

// run tells until the function returned is called.
func (b *bench) run(change func(o *Options)) (stop func()) {
	b.Helper()
	o := Options{
		Scheduler: b.Scheduler, Notes: b.notes, Note: "notices", Receiver: b.sink.receive, Daemon: "here", Interval: time.Hour, Limit: 20,
		Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
	}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, o)
	}()
	synctest.Wait() // it knows where the history ends now
	stop = sync.OnceFunc(func() { cancel(); <-done })
	b.Cleanup(stop)
	return stop
}

func (b *bench) put(name, payload string, s schedule.Schedule, o ...duly.PutOption) {
	b.Helper()
	if _, err := b.kind.Put(b.Context(), name, payload, s, o...); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *bench) want(want ...string) []*Notice {
	b.Helper()
	got := b.sink.told()
	if !slices.Equal(texts(got), want) {
		b.Fatalf("told %q, want %q\n%s", texts(got), want, b.log.String())
	}
	return got
}

func TestRun_Tells(t *testing.T) {
	inBubble(t, duly.Options{}, func(b *bench) {
		b.put("before", "die", schedule.After(0))
		b.pass(time.Second)
		b.run(func(o *Options) {
			o.Hide = func(s string) string { return strings.ReplaceAll(s, "hush", "[redacted]") }
		})
		b.put("backup", "die of hush", schedule.After(time.Minute))
		b.put("good", "", schedule.After(time.Minute))
		b.put("old", "die", schedule.At(time.Now().Add(-time.Hour)), duly.StartWithin(time.Minute))
		b.pass(time.Second)
		b.want("expired old")
		b.pass(time.Minute)
		n := b.want("dead backup")[0]
		if n.Error != "die of [redacted]" || n.Text != `"backup" is dead after attempt 1: die of [redacted]` || n.Attempts != 1 || n.Kind != "k" ||
			n.RunID == "" || n.DueAt == nil || n.StartedAt == nil || n.Lateness == nil || n.Daemon != "here" || !strings.HasPrefix(n.ID, "dead-") {
			b.Errorf("told %s", n.JSON())
		}
		b.pass(24 * time.Hour)
		b.want()
	})
}

// What has died since the daemon began is told, however late it begins to tell.
func TestRun_From(t *testing.T) {
	inBubble(t, duly.Options{}, func(b *bench) {
		b.put("before", "die", schedule.After(0))
		b.pass(time.Second)
		from, err := Newest(b.Context(), b.Scheduler)
		if err != nil {
			b.Fatal(err)
		}
		b.put("meanwhile", "die", schedule.After(0))
		b.pass(time.Second)
		b.run(func(o *Options) { o.From = &from })
		b.pass(time.Second)
		b.want("dead meanwhile")
	})
}

// What died while nobody told is told by the next daemon, and of what was told is told no more.
func TestRun_GoesOn(t *testing.T) {
	inBubble(t, duly.Options{}, func(b *bench) {
		stop := b.run(nil)
		b.put("a", "die", schedule.After(0))
		b.pass(time.Second)
		b.want("dead a")
		stop()
		b.put("b", "die", schedule.After(0))
		b.pass(time.Hour)
		b.want()
		b.run(nil)
		b.want("dead b")
	})
}

// A hollow store keeps nothing more, as if the process had been killed.
type hollow struct {
	store.Noter

	dead atomic.Bool
}

func (h *hollow) SetNote(ctx context.Context, name, text string) error {
	if h.dead.Load() {
		return nil
	}
	return h.Noter.SetNote(ctx, name, text)
}

// What the receiver was told, and the note does not say so yet, is told again with the same id; what was held back is counted once.
func TestRun_Killed(t *testing.T) {
	inBubble(t, duly.Options{}, func(b *bench) {
		h := &hollow{Noter: b.notes}
		stop := b.run(func(o *Options) { o.Notes, o.Limit = h, 1 })
		h.dead.Store(true)
		for i := range 5 {
			b.put(fmt.Sprint("t", i), "die", schedule.After(time.Duration(i)*time.Second))
		}
		b.pass(10 * time.Second)
		first := b.want("dead t0")
		stop()
		b.run(func(o *Options) { o.Limit = 1 })
		second := b.want("dead t0")
		if first[0].ID != second[0].ID || !bytes.Equal(first[0].JSON(), second[0].JSON()) {
			b.Errorf("told %s, and then %s", first[0].JSON(), second[0].JSON())
		}
		b.pass(2 * time.Minute)
		b.want("summary of 4")
	})
}

// A task is told once in an interval, and the rest is counted.
func TestRun_OneTask(t *testing.T) {
	inBubble(t, duly.Options{}, func(b *bench) {
		b.run(nil)
		b.put("minutely", "die", schedule.Every(time.Minute))
		b.pass(3*time.Hour + 30*time.Second)
		got := b.sink.told()
		var count, alone int64
		for _, n := range got {
			if n.What == Summary {
				count += n.HeldBack.Count
			} else {
				alone++
			}
		}
		if alone < 3 || alone > 4 || len(got) > 8 {
			b.Errorf("told %q", texts(got))
		}
		if _, err := b.Cancel(b.Context(), "minutely"); err != nil {
			b.Fatal(err)
		}
		b.pass(2 * time.Hour)
		for _, n := range b.sink.told() {
			count += n.HeldBack.Count
		}
		if alone+count != 180 {
			b.Errorf("told of %d and counted %d, want 180 in all", alone, count)
		}
	})
}

// die makes many tasks dead without a scheduler's help.
func die(t *testing.T, st store.Store, many int) {
	t.Helper()
	for from := 0; from < many; from += 1000 {
		var puts []store.Put
		var edits []store.Edit
		for i := from; i < min(from+1000, many); i++ {
			puts = append(puts, store.Put{Key: store.Key{Name: fmt.Sprint("x", i)}, Spec: store.Spec{Kind: "none"}, When: store.In(time.Hour, 0)})
		}
		res, err := st.Put(t.Context(), puts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range res {
			edits = append(edits, store.Edit{
				Verb: store.VerbBury, Key: puts[i].Key, Generation: res[i].Task.Generation, For: res[i].Task.Next.For, State: store.Dead, Reason: "why not",
			})
		}
		done, err := st.Edit(t.Context(), edits)
		if err != nil {
			t.Fatal(err)
		}
		for i := range done {
			if done[i].Err != nil {
				t.Fatal(done[i].Err)
			}
		}
	}
}

// However many die at a time, the messages are few, and the count is exact.
func TestRun_Burst(t *testing.T) {
	const many = 20_000
	inBubble(t, duly.Options{}, func(b *bench) {
		b.run(nil)()
		die(b.T, b.Store(), many)
		b.run(nil)
		b.pass(5 * time.Minute)
		got := b.sink.told()
		if len(got) != 21 || got[20].What != Summary || got[20].HeldBack.Count != many-20 || got[20].HeldBack.Dead != many-20 || len(got[20].HeldBack.Tasks) != mostNames {
			b.Fatalf("told %q", texts(got))
		}
		if !strings.HasPrefix(got[20].Text, fmt.Sprintf("and %d more since ", many-20)) {
			b.Errorf("told %s", got[20].Text)
		}
		b.pass(24 * time.Hour)
		b.want()
	})
}

// Whoever asks is told when the receiver fails, and when it does no more or nobody tells it any more.
func TestRun_Failing(t *testing.T) {
	inBubble(t, duly.Options{}, func(b *bench) {
		var said []bool
		stop := b.run(func(o *Options) { o.Failing = func(fails bool) { said = append(said, fails) } })
		told := func(when string, want ...bool) {
			b.Helper()
			if !slices.Equal(said, want) {
				b.Fatalf("%s: %v, want %v", when, said, want)
			}
		}
		b.put("a", "die", schedule.After(0))
		b.pass(time.Minute)
		told("while all is well")
		b.sink.set(true)
		b.put("b", "die", schedule.After(0))
		b.pass(time.Second)
		told("after a try", true)
		b.pass(time.Hour)
		told("after many tries", true)
		b.sink.set(false)
		b.pass(10 * time.Minute)
		told("when it takes notices again", true, false)
		b.sink.set(true)
		b.put("c", "die", schedule.After(0))
		b.pass(time.Second)
		stop()
		told("when nobody tells it", true, false, true, false)
	})
}

// A receiver that was away for hours is told how many there were, is not flooded, and was not tried all the time.
func TestRun_ReceiverAway(t *testing.T) {
	inBubble(t, duly.Options{}, func(b *bench) {
		b.run(nil)
		b.sink.set(true)
		for i := range 500 {
			b.put(fmt.Sprint("t", i), "die", schedule.After(time.Duration(i)*time.Minute/2))
		}
		b.pass(5 * time.Hour)
		b.want()
		if b.sink.tries > 150 || b.sink.tries < 60 {
			b.Errorf("tried %d times in 5 h", b.sink.tries)
		}
		if n := strings.Count(b.log.String(), "nobody is there"); n != 1 {
			b.Errorf("logged %d times:\n%s", n, b.log.String())
		}
		b.sink.set(false)
		b.pass(10 * time.Minute)
		got := b.sink.told()
		var count int64
		for _, n := range got {
			if n.HeldBack != nil {
				count += n.HeldBack.Count
			}
		}
		if len(got) > 3 || count != 500 {
			b.Errorf("told %q", texts(got))
		}
		if !strings.Contains(b.log.String(), "notices are told again") {
			b.Errorf("logged:\n%s", b.log.String())
		}
		b.put("later", "die", schedule.After(0))
		b.pass(time.Second)
		b.want("dead later")
	})
}

// Late is what began late, and what is due and has not begun; with the reason, and once. What is paused is not.
func TestRun_Late(t *testing.T) {
	inBubble(t, duly.Options{Workers: 1}, func(b *bench) {
		b.run(func(o *Options) { o.Late = time.Minute })
		b.put("long", "block", schedule.After(0), duly.Timeout(10*time.Minute), duly.Retry(duly.RetryPolicy{Attempts: 1}))
		b.put("resting", "", schedule.After(time.Second))
		if _, err := b.Pause(b.Context(), duly.Query{Names: []string{"resting"}}, "it is Sunday"); err != nil {
			b.Fatal(err)
		}
		b.pass(time.Second)
		b.put("short", "", schedule.After(0))
		b.pass(time.Minute - time.Second)
		b.want()
		b.pass(time.Minute)
		n := b.want("late short")[0]
		if !strings.Contains(n.Why, "the one worker is taken") || n.StartedAt != nil || n.Lateness == nil || time.Duration(*n.Lateness) < time.Minute {
			b.Errorf("told %s", n.JSON())
		}
		b.pass(time.Hour)
		if _, err := b.Resume(b.Context(), duly.Query{Names: []string{"resting"}}); err != nil {
			b.Fatal(err)
		}
		b.pass(2 * time.Hour)
		b.want() // "short" has begun meanwhile, late: that was told
	})
}

// As many notices as an interval may have keep what has not begun later from being told no longer than the interval, although nothing else
// comes that there is to tell.
func TestRun_LateAfterLimit(t *testing.T) {
	inBubble(t, duly.Options{Workers: 1}, func(b *bench) {
		b.run(func(o *Options) { o.Late, o.Limit = time.Minute, 1 })
		b.put("other", "die", schedule.After(0))
		b.pass(time.Second)
		b.want("dead other")
		b.put("long", "block", schedule.After(0), duly.Timeout(10*time.Hour), duly.Retry(duly.RetryPolicy{Attempts: 1}))
		b.pass(time.Second)
		b.put("short", "", schedule.After(0))
		b.pass(time.Hour - 3*time.Second)
		b.want()
		b.pass(time.Minute)
		b.want("late short")
	})
}

// A receiver that was away is told what still has not begun when it takes notices again, also if nothing else is to be told.
func TestRun_LateReceiverAway(t *testing.T) {
	for _, other := range []bool{false, true} {
		inBubble(t, duly.Options{Workers: 1}, func(b *bench) {
			b.run(func(o *Options) { o.Late = time.Minute })
			b.put("long", "block", schedule.After(0), duly.Timeout(10*time.Hour), duly.Retry(duly.RetryPolicy{Attempts: 1}))
			b.pass(time.Second)
			b.put("short", "", schedule.After(0))
			b.sink.set(true)
			b.pass(time.Hour)
			if other {
				die(b.T, b.Store(), 1)
				b.pass(time.Hour)
			}
			if b.sink.tries > 60 || b.sink.tries < 10 {
				b.Errorf("tried %d times", b.sink.tries)
			}
			b.sink.set(false)
			b.pass(10 * time.Minute)
			if other {
				b.want("summary of 1", "late short")
			} else {
				b.want("late short")
			}
			b.pass(45 * time.Minute) // less than an interval
			b.want()
		})
	}
}

// What was due while no daemon ran is late by the history alone.
func TestRun_LateByHistory(t *testing.T) {
	inBubble(t, duly.Options{}, func(b *bench) {
		b.run(func(o *Options) { o.Late = time.Minute })
		b.put("in time", "", schedule.At(time.Now().Add(-59*time.Second)))
		b.put("missed", "", schedule.At(time.Now().Add(-61*time.Second)))
		b.pass(time.Second / 2)
		n := b.want("late missed")[0]
		if n.StartedAt == nil || n.Text != fmt.Sprintf("%q began %v late: attempt 1 was due at %s", "missed", *n.Lateness, n.DueAt.Format(time.RFC3339)) {
			b.Errorf("told %s", n.JSON())
		}
	})
}

// Of several daemons one tells, and the next one when it has ended or was killed. Nothing is lost by that.
func TestRun_Several(t *testing.T) {
	inBubble(t, duly.Options{}, func(b *bench) {
		as := func(self string) func(o *Options) { return func(o *Options) { o.Self, o.Daemon = self, self } }
		h := &hollow{Noter: b.notes}
		stopA := b.run(func(o *Options) { as("a")(o); o.Notes = h })
		stopB := b.run(as("b"))
		b.put("one", "die", schedule.After(0))
		b.pass(time.Second)
		if n := b.want("dead one")[0]; n.Daemon != "a" {
			b.Errorf("told by %s", n.Daemon)
		}
		h.dead.Store(true)
		stopA() // without a word to the others
		b.put("two", "die", schedule.After(0))
		b.pass(5 * time.Minute)
		if n := b.want("dead two")[0]; n.Daemon != "b" {
			b.Errorf("told by %s", n.Daemon)
		}
		h.dead.Store(false)
		b.run(func(o *Options) { as("a")(o) })
		b.put("three", "die", schedule.After(0))
		b.pass(5 * time.Minute)
		if n := b.want("dead three")[0]; n.Daemon != "b" {
			b.Errorf("told by %s", n.Daemon)
		}
		stopB() // in order
		b.put("four", "die", schedule.After(0))
		b.pass(askAgain)
		if n := b.want("dead four")[0]; n.Daemon != "a" {
			b.Errorf("told by %s", n.Daemon)
		}
	})
}

// A store that fails holds up telling, and loses nothing.
func TestRun_StoreAway(t *testing.T) {
	inBubble(t, duly.Options{}, func(b *bench) {
		broken := &failing{Noter: b.notes}
		broken.fails.Store(true)
		b.run(func(o *Options) { o.Notes = broken })
		b.pass(time.Minute)
		broken.fails.Store(false)
		b.pass(time.Minute)
		broken.fails.Store(true)
		b.put("a", "die", schedule.After(0))
		b.pass(time.Hour)
		b.want("dead a")
		if n := strings.Count(b.log.String(), "level=WARN"); n != 2 {
			b.Errorf("logged %d times that it fails:\n%s", n, b.log.String())
		}
	})
}

type failing struct {
	store.Noter

	fails atomic.Bool
}

func (f *failing) Note(ctx context.Context, name string) (string, error) {
	if f.fails.Load() {
		return "", errors.New("no disk")
	}
	return f.Noter.Note(ctx, name)
}

func (f *failing) SetNote(ctx context.Context, name, text string) error {
	if f.fails.Load() {
		return errors.New("no disk")
	}
	return f.Noter.SetNote(ctx, name, text)
}
