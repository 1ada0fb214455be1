package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/storetest"
)

// A backup holds what the store showed, to the last entry; restored it can be opened, and so can the backup itself.
func TestBackup_Whole(t *testing.T) {
	for name, durability := range map[string]pebble.Durability{"sync": pebble.Sync, "interval": pebble.Interval, "memory": pebble.Memory} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			o := quiet(fs, clock.NewManual(damageStart))
			o.Durability = durability
			s := must[*pebble.Store](t)(pebble.Open("store", o))
			furnish(t, s)
			want, errs := read(t.Context(), s)
			errs = append(errs, s.Backup(t.Context(), "backup"), pebble.Restore("backup", "restored", o))
			declare(t, s, "later", "not part of it")
			if err := errors.Join(append(errs, s.Close())...); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{"restored", "backup"} {
				s := must[*pebble.Store](t)(pebble.Open(dir, o))
				got, errs := read(t.Context(), s)
				storetest.Invariants(t, s)
				if err := errors.Join(append(errs, s.Close())...); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", dir, diff)
				}
			}
		})
	}
}

// A backup under load is of one moment: what was acknowledged before the call is in it, nothing that was handed in after it, and of
// two writes of which one came after the other not the later alone.
func TestBackup_OneMoment(t *testing.T) {
	fs := vfs.NewMem()
	o := quiet(fs, clock.NewManual(damageStart))
	s := must[*pebble.Store](t)(pebble.Open("store", o))
	type span struct{ begun, ended int64 }
	var order atomic.Int64
	var mu sync.Mutex
	done := map[string]span{}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; !stop.Load(); i++ {
				name := fmt.Sprintf("task-%d-%06d", w, i)
				at := span{begun: order.Add(1)}
				declare(t, s, name, strings.Repeat("x", i%3000))
				at.ended = order.Add(1)
				mu.Lock()
				done[name] = at
				mu.Unlock()
			}
		})
	}
	for order.Load() < 2000 {
		time.Sleep(time.Millisecond) // real time: the load has to build up
	}
	called := order.Add(1)
	err := s.Backup(t.Context(), "backup")
	returned := order.Add(1)
	stop.Store(true)
	wg.Wait()
	if err := errors.Join(err, s.Close(), pebble.Restore("backup", "restored", o)); err != nil {
		t.Fatal(err)
	}
	r := must[*pebble.Store](t)(pebble.Open("restored", o))
	storetest.Invariants(t, r)
	in := map[string]bool{}
	newest := int64(0) // when the last of what is in it was handed in
	for q := (store.Query{Limit: 1000}); ; {
		p := must[store.Page](t)(r.List(t.Context(), q))
		for _, task := range p.Tasks {
			in[task.Name] = true
			newest = max(newest, done[task.Name].begun)
		}
		if q.After = p.Cursor; q.After == "" {
			break
		}
	}
	if st := must[store.Stats](t)(r.Stats(t.Context())); st.Tasks != int64(len(in)) {
		t.Errorf("the counters say %d tasks, there are %d", st.Tasks, len(in))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if newest > returned {
		t.Errorf("it holds what was handed in at %d, after it had returned at %d", newest, returned)
	}
	for name, at := range done {
		if at.ended < max(called, newest) && !in[name] {
			t.Errorf("%s, acknowledged at %d, is not in it: it was asked for at %d, and holds what was handed in at %d", name, at.ended, called, newest)
		}
	}
	if len(in) < 1000 {
		t.Errorf("%d tasks are no load", len(in))
	}
}

// numbers returns a generation and a fence that a store gives out now.
func numbers(t *testing.T, s *pebble.Store, name string) (generation, fence int64) {
	t.Helper()
	k := store.Key{Name: name}
	p := must[[]store.PutResult](t)(s.Put(t.Context(), []store.Put{{Key: k, Spec: store.Spec{Kind: "remind"}, When: store.In(0, 0)}}))[0]
	if p.Err != nil {
		t.Fatal(p.Err)
	}
	id := store.RunID{Key: k, Generation: p.Task.Generation, For: p.Task.Next.For}
	c := must[[]store.ClaimResult](t)(s.Claim(t.Context(), []store.Claim{{RunID: id, Lease: time.Minute}}))[0]
	if c.Err != nil {
		t.Fatal(c.Err)
	}
	e := must[[]store.EditResult](t)(s.Edit(t.Context(), []store.Edit{{Verb: store.VerbStop, Key: k, Generation: id.Generation, For: id.For}}))[0]
	if e.Err != nil {
		t.Fatal(e.Err)
	}
	return p.Task.Generation, c.Fence
}

// What a restored store gives out is greater than all that was given out after the backup was taken: by the store that it is of, and by
// another one that was restored from it before.
func TestBackup_NumbersRise(t *testing.T) {
	fs := vfs.NewMem()
	clk := clock.NewManual(damageStart)
	o := quiet(fs, clk)
	s := must[*pebble.Store](t)(pebble.Open("store", o))
	numbers(t, s, "before")
	if err := s.Backup(t.Context(), "backup"); err != nil {
		t.Fatal(err)
	}
	var highest int64
	more := func(s *pebble.Store) {
		for i := range 100 {
			g, f := numbers(t, s, fmt.Sprint("after", i))
			highest = max(highest, g, f)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	more(s)
	for i := range 3 {
		clk.Advance(time.Second)
		dir := fmt.Sprint("restored", i)
		if err := pebble.Restore("backup", dir, o); err != nil {
			t.Fatal(err)
		}
		r := must[*pebble.Store](t)(pebble.Open(dir, o))
		g, f := numbers(t, r, "first")
		if g <= highest || f <= highest {
			t.Errorf("%s gives out generation %d and fence %d, but %d was given out before", dir, g, f, highest)
		}
		more(r)
		r = must[*pebble.Store](t)(pebble.Open(dir, o)) // it leaps once, not whenever it is opened
		if g, _ := numbers(t, r, "again"); g > highest+10 {
			t.Errorf("%s gives out %d when it is opened again, %d was the last", dir, g, highest)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if highest >= 1<<53 {
			t.Errorf("%d is not exact as a float64", highest)
		}
	}
}

// Nothing is overwritten, and what is no backup is not restored.
func TestBackup_Refuses(t *testing.T) {
	fs := vfs.NewMem()
	o := quiet(fs, clock.NewManual(damageStart))
	s := must[*pebble.Store](t)(pebble.Open("store", o))
	defer func() { _ = s.Close() }()
	declare(t, s, "a", "b")
	if err := errors.Join(fs.MkdirAll("there", 0o700), s.Backup(t.Context(), "backup")); err != nil {
		t.Fatal(err)
	}
	before := slurp(t, fs, "backup")
	for what, err := range map[string]error{
		"a directory that exists":      s.Backup(t.Context(), "there"),
		"a backup that exists":         s.Backup(t.Context(), "backup"),
		"its own directory":            s.Backup(t.Context(), "store"),
		"to a directory that exists":   pebble.Restore("backup", "there", o),
		"from what is no backup":       pebble.Restore("there", "new", o),
		"from the store itself":        pebble.Restore("store", "new", o),
		"from a directory that is not": pebble.Restore("nowhere", "new", o),
	} {
		if !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	if _, err := fs.Stat("new"); err == nil {
		t.Error("a restore that was refused left a directory")
	}
	if diff := cmp.Diff(before, slurp(t, fs, "backup")); diff != "" {
		t.Errorf("the backup was changed (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, "late"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if _, err := fs.Stat("late"); err == nil {
		t.Error("a backup that was refused left a directory")
	}
}

// A backup that was opened is no backup any more: it may have gone on.
func TestBackup_Opened(t *testing.T) {
	fs := vfs.NewMem()
	o := quiet(fs, clock.NewManual(damageStart))
	s := must[*pebble.Store](t)(pebble.Open("store", o))
	declare(t, s, "a", "b")
	if err := errors.Join(s.Backup(t.Context(), "backup"), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = must[*pebble.Store](t)(pebble.Open("backup", o))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := pebble.Restore("backup", "new", o); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("restored from a backup that was opened: %v, want ErrInvalid", err)
	}
}

// Damage to a backup is noticed when it is restored, or when it is opened or read.
func TestBackup_Damaged(t *testing.T) {
	fs := vfs.NewMem()
	o := quiet(fs, clock.NewManual(damageStart))
	s := must[*pebble.Store](t)(pebble.Open("store", o))
	furnish(t, s)
	want, errs := read(t.Context(), s)
	if err := errors.Join(append(errs, s.Backup(t.Context(), "backup"), s.Close())...); err != nil {
		t.Fatal(err)
	}
	f := slurp(t, fs, "backup")
	for _, name := range f.names() {
		for _, d := range damages(rand.New(rand.NewPCG(1, 6)), len(f[name]), 3) {
			broken := files{}
			for n, b := range f {
				broken[n] = slices.Clone(b)
			}
			if delete(broken, name); d.do != nil {
				broken[name] = d.do(slices.Clone(f[name]))
			}
			o := quiet(broken.lay(t, "backup"), clock.NewManual(damageStart))
			err := pebble.Restore("backup", "store", o)
			if err != nil {
				if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrInvalid) {
					t.Errorf("%s: %s: restore: %v", name, d.what, err)
				}
				continue
			}
			table := strings.HasSuffix(name, ".sst") // not every byte of it is needed to read what is there
			if v, err := verdict(t, slurp(t, o.FS, "store"), want); err != nil || v == "harmless" && len(f[name]) > 0 && !table {
				t.Errorf("%s: %s: %s, %v", name, d.what, v, err)
			}
		}
	}
}

// onPath injects an error into the n-th call that concerns a directory.
type onPath struct {
	dir  string
	n    atomic.Int64
	what atomic.Pointer[errorfs.Op]
}

func (p *onPath) String() string { return "the n-th call" }

func (p *onPath) MaybeError(op errorfs.Op) error {
	if op.Path != p.dir && !strings.HasPrefix(op.Path, p.dir+"/") || op.Kind == errorfs.OpRemoveAll || op.Kind == errorfs.OpStat {
		return nil
	}
	if p.n.Add(-1) == 0 {
		p.what.Store(&op)
		return errorfs.ErrInjected
	}
	return nil
}

// A backup that fails leaves nothing behind, and the store goes on. So does a restore.
func TestBackup_FailureCleansUp(t *testing.T) {
	mem := vfs.NewMem()
	clk := clock.NewManual(damageStart)
	s := must[*pebble.Store](t)(pebble.Open("store", quiet(mem, clk)))
	furnish(t, s)
	if err := errors.Join(s.Backup(t.Context(), "good"), s.Close()); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func(s *pebble.Store, o pebble.Options) error{
		"backup":  func(s *pebble.Store, _ pebble.Options) error { return s.Backup(t.Context(), "new") },
		"restore": func(_ *pebble.Store, o pebble.Options) error { return pebble.Restore("good", "new", o) },
	} {
		t.Run(name, func(t *testing.T) {
			inj := &onPath{dir: "new"}
			o := quiet(errorfs.Wrap(mem, inj), clk)
			s := must[*pebble.Store](t)(pebble.Open("store", o))
			n := int64(1)
			for ; n < 1000; n++ {
				inj.n.Store(n)
				err := do(s, o)
				if inj.n.Load() > 0 { // it needs fewer calls
					if err != nil {
						t.Fatal(err)
					}
					break
				}
				if err == nil {
					t.Errorf("call %d (%v) failed, and nobody noticed", n, inj.what.Load())
				}
				if _, serr := mem.Stat("new"); serr == nil {
					t.Errorf("call %d (%v) failed with %v, and left %v", n, inj.what.Load(), err, must[[]string](t)(mem.List("new")))
				}
				if err := mem.RemoveAll("new"); err != nil {
					t.Fatal(err)
				}
				declare(t, s, fmt.Sprint(name, n), "goes on")
			}
			if n < 5 {
				t.Errorf("only %d calls", n)
			}
			if err := errors.Join(s.Close(), mem.RemoveAll("new")); err != nil {
				t.Fatal(err)
			}
		})
	}
}
