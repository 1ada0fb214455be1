package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
)

// A gate holds up the syncs of the log while it is shut.
type gate struct {
	mu   sync.Mutex
	shut chan struct{} // nil: open
	held atomic.Int64  // how many wait
}

func (g *gate) String() string { return "syncs wait" }

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
	default:
		return nil
	}
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		g.held.Add(1)
		<-shut
		g.held.Add(-1)
	}
	return nil
}

// behindGate opens a store whose syncs a gate holds up. The gate is open.
func behindGate(t *testing.T) (*pebble.Store, *gate) {
	t.Helper()
	g := &gate{}
	s := must[*pebble.Store](t)(pebble.Open("store", quiet(errorfs.Wrap(vfs.NewMem(), g), clock.NewManual(damageStart))))
	t.Cleanup(func() {
		g.open()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, g
}

// No write is answered, and none is shown, before it is synced.
func TestSync_AnswersAfter(t *testing.T) {
	s, g := behindGate(t)
	ctx := t.Context()
	for _, name := range []string{"cancelled", "claimed", "settled", "edited"} {
		if _, err := s.Put(ctx, []store.Put{{Key: store.Key{Name: name}, Spec: store.Spec{Kind: "remind"}, When: store.In(0, 0)}}); err != nil {
			t.Fatal(err)
		}
	}
	id := func(name string) store.RunID {
		task := must[[]*store.Task](t)(s.Get(ctx, []store.Key{{Name: name}}))[0]
		return store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}
	}
	claimed, settled := id("claimed"), id("settled")
	c := must[[]store.ClaimResult](t)(s.Claim(ctx, []store.Claim{{RunID: settled, Lease: time.Minute}}))[0]
	key := func(name string) store.Key { return store.Key{Name: name} }
	for _, step := range []struct {
		name        string
		write, read func() error
	}{
		{
			"put, get",
			func() error {
				_, err := s.Put(ctx, []store.Put{{Key: key("put"), Spec: store.Spec{Kind: "remind"}, When: store.In(0, 0)}})
				return err
			},
			func() error { _, err := s.Get(ctx, []store.Key{key("put")}); return err },
		},
		{
			"cancel, list",
			func() error { _, err := s.Cancel(ctx, []store.Cancel{{Key: key("cancelled")}}); return err },
			func() error { _, err := s.List(ctx, store.Query{}); return err },
		},
		{
			"claim, due",
			func() error {
				_, err := s.Claim(ctx, []store.Claim{{RunID: claimed, Lease: time.Minute}})
				return err
			},
			func() error { _, err := s.Due(ctx, store.DueQuery{Until: store.Never}); return err },
		},
		{
			"settle, history",
			func() error {
				_, err := s.Settle(ctx, []store.Settlement{{RunID: settled, Fence: c.Fence, Verb: store.VerbSettle, State: store.Done}})
				return err
			},
			func() error { _, err := s.History(ctx, store.HistoryQuery{}); return err },
		},
		{
			"edit, stats",
			func() error {
				_, err := s.Edit(ctx, []store.Edit{{Verb: store.VerbPause, Key: key("edited")}})
				return err
			},
			func() error { _, err := s.Stats(ctx); return err },
		},
		{
			"what is refused by what is not synced, the same read again",
			func() error {
				_, err := s.Put(ctx, []store.Put{{Key: key("keep"), Spec: store.Spec{Kind: "remind"}, When: store.In(0, 0)}})
				return err
			},
			func() error {
				_, err := s.Put(ctx, []store.Put{{Key: key("keep"), Spec: store.Spec{Kind: "remind"}, When: store.In(0, 0), OnConflict: store.Keep}})
				return err
			},
		},
	} {
		t.Run(step.name, func(t *testing.T) {
			g.close()
			var open atomic.Bool
			var wg sync.WaitGroup
			check := func(what string, do func() error) {
				if err := do(); err != nil {
					t.Error(err)
				}
				if !open.Load() {
					t.Errorf("%s was answered before the sync", what)
				}
			}
			wg.Go(func() { check("the write", step.write) })
			for g.held.Load() == 0 { // now it is in the log, and readable
				time.Sleep(time.Millisecond) // real time: the syncer is on its way
			}
			wg.Go(func() { check("the read", step.read) })
			time.Sleep(20 * time.Millisecond) // real time, for a wrong answer to come
			open.Store(true)
			g.open()
			wg.Wait()
		})
	}
}

// A reader that gives up while it waits for a sync says so, and so does a writer: but nobody knows of a write.
func TestSync_GivingUp(t *testing.T) {
	s, g := behindGate(t)
	declare(t, s, "a", "b")
	g.close()
	put := func(ctx context.Context, name string) error {
		_, err := s.Put(ctx, []store.Put{{Key: store.Key{Name: name}, Spec: store.Spec{Kind: "remind"}, When: store.In(0, 0)}})
		return err
	}
	written, giveUp := context.WithCancelCause(t.Context())
	cause := errors.New("the user has left")
	errs := make(chan error, 2)
	go func() { errs <- put(written, "taken") }()
	for g.held.Load() == 0 {
		time.Sleep(time.Millisecond) // real time: the syncer is on its way
	}
	giveUp(cause)
	if err := <-errs; !errors.Is(err, store.ErrUnknown) || !errors.Is(err, cause) {
		t.Errorf("a write that is under way: %v, want ErrUnknown and the cause", err)
	}
	reading, giveUp := context.WithCancelCause(t.Context())
	go func() { _, err := s.Get(reading, []store.Key{{Name: "taken"}}); errs <- err }()
	giveUp(cause)
	if err := <-errs; errors.Is(err, store.ErrUnknown) || !errors.Is(err, cause) {
		t.Errorf("a read: %v, want the cause alone", err)
	}
	g.open()
	// It was written, as may be. Whoever repeats it learns so.
	res, err := s.Put(t.Context(), []store.Put{{Key: store.Key{Name: "taken"}, Spec: store.Spec{Kind: "remind"}, When: store.In(0, 0), OnConflict: store.Keep}})
	if err != nil || res[0].Outcome != store.Kept {
		t.Errorf("%v, %v, want it kept", res, err)
	}
}

// crash puts tasks with a durability, lets the power fail at some moment of it, and returns how many were acknowledged before the
// moment, how many of these are there afterwards, and how many others.
func crash(t *testing.T, o pebble.Options, sleep time.Duration, keep int) (acked, there int, prefix bool) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	o.FS = fs
	s := must[*pebble.Store](t)(pebble.Open("store", o))
	name := func(i int) string { return fmt.Sprintf("task-%04d", i) }
	for i := range 100 {
		declare(t, s, name(i), "x")
	}
	time.Sleep(sleep) // real time: the interval runs in it
	for i := range 50 {
		declare(t, s, name(100+i), "x")
	}
	crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rand.New(rand.NewPCG(5, 8))})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.FS = crashed
	s = must[*pebble.Store](t)(pebble.Open("store", o))
	prefix = true
	for i := range 150 {
		if must[[]*store.Task](t)(s.Get(t.Context(), []store.Key{{Name: name(i)}}))[0] != nil {
			prefix = prefix && there == i
			there++
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return 150, there, prefix
}

// What each durability says is lost by a crash is what may be lost, and never one write before another.
func TestDurability_Crash(t *testing.T) {
	base := quiet(nil, clock.NewManual(damageStart))
	for _, c := range []struct {
		name       string
		durability pebble.Durability
		sleep      time.Duration
		least      int // of 150 tasks that must be there
		most       int
	}{
		{"sync", pebble.Sync, 0, 150, 150},
		{"interval", pebble.Interval, time.Second, 100, 150}, // the interval is 20 ms: 50 times as long
		{"memory", pebble.Memory, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := base
			o.Durability = c.durability
			_, there, prefix := crash(t, o, c.sleep, 0)
			if there < c.least || there > c.most {
				t.Errorf("%d tasks are there, want %d to %d", there, c.least, c.most)
			}
			if !prefix {
				t.Error("a later write is there, and an earlier one is not")
			}
		})
	}
}

// Closing makes durable what was not, whatever the durability. And the durability may be another at each opening.
func TestDurability_Close(t *testing.T) {
	fs := vfs.NewCrashableMem()
	n := 0
	for _, d := range []pebble.Durability{pebble.Memory, pebble.Sync, pebble.Interval, pebble.Memory, pebble.Memory, pebble.Interval, pebble.Sync} {
		o := quiet(fs, clock.NewManual(damageStart))
		o.Durability = d
		s := must[*pebble.Store](t)(pebble.Open("store", o))
		if st := must[store.Stats](t)(s.Stats(t.Context())); st.Tasks != int64(n) {
			t.Fatalf("%d tasks, want %d", st.Tasks, n)
		}
		declare(t, s, fmt.Sprint("task", n), "x")
		n++
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		fs = fs.CrashClone(vfs.CrashCloneCfg{})
	}
}

// The directories above the store's are as durable as it is.
func TestDurability_Directories(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := quiet(fs, clock.NewManual(damageStart))
	s := must[*pebble.Store](t)(pebble.Open("var/lib/duly/store", o))
	declare(t, s, "a", "b")
	if err := s.Backup(t.Context(), "srv/backups/today"); err != nil {
		t.Fatal(err)
	}
	if err := pebble.Restore("srv/backups/today", "var/other/duly/store", o); err != nil {
		t.Fatal(err)
	}
	o.FS = fs.CrashClone(vfs.CrashCloneCfg{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"var/lib/duly/store", "srv/backups/today", "var/other/duly/store"} {
		s := must[*pebble.Store](t)(pebble.Open(dir, o))
		if got := must[[]*store.Task](t)(s.Get(t.Context(), []store.Key{{Name: "a"}})); got[0] == nil {
			t.Errorf("%s: the task is gone", dir)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
