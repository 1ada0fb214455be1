package pebble

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

var internalStart = time.Date(2031, time.March, 14, 15, 9, 26, 0, time.UTC)

func internalOptions(fs vfs.FS, clk clock.Clock) Options {
	return Options{FS: fs, Clock: clk, MinFree: -1, CacheSize: 1 << 20, Logger: slog.New(slog.DiscardHandler)}
}

func openInternal(t *testing.T, fs vfs.FS) (*Store, *clock.Manual) {
	t.Helper()
	clk := clock.NewManual(internalStart)
	s, err := Open("store", internalOptions(fs, clk))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, clk
}

func putAt(t testing.TB, s *Store, name string, at store.Instant, payload string) *store.Task {
	t.Helper()
	res, err := s.Put(t.Context(), []store.Put{{
		Key: store.Key{Name: name}, Spec: store.Spec{Kind: "remind", Payload: []byte(payload)}, When: store.On(store.Occurrence{For: at}),
	}})
	if err == nil {
		err = res[0].Err
	}
	if err != nil {
		t.Error(err)
		return nil
	}
	return res[0].Task
}

func names(prefix string, n int) []uint64 {
	hashes := make([]uint64, n)
	for i := range hashes {
		hashes[i] = hashKey(store.Key{Name: fmt.Sprintf("%s-%d", prefix, i)})
	}
	return hashes
}

// A name that was added is never denied, however full the filter is, and whatever the hashes are.
func TestFilter_NoFalseNegative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFilter(0)
		hashes := rapid.SliceOf(rapid.Uint64()).Draw(t, "hashes")
		for _, h := range hashes {
			f.add(h)
		}
		for _, h := range hashes {
			if !f.has(h) {
				t.Fatalf("%x was added, and is denied", h)
			}
		}
	})
	f := newFilter(1 << 12)
	all := names("task", 1<<16) // sixteen times as many as it is made for
	for _, h := range all {
		f.add(h)
	}
	for _, h := range all {
		if !f.has(h) {
			t.Fatalf("%x was added, and is denied", h)
		}
	}
}

// With as many names as it was made for it is wrong about one in a hundred others.
func TestFilter_FalsePositives(t *testing.T) {
	const n = 100_000
	f := newFilter(n)
	for _, h := range names("task", n) {
		f.add(h)
	}
	wrong := 0
	for _, h := range names("other", n) {
		if f.has(h) {
			wrong++
		}
	}
	t.Logf("%d of %d names that are not there pass", wrong, n)
	if wrong > n*15/1000 {
		t.Errorf("%d of %d names that are not there pass, want about 1%%", wrong, n)
	}
	if wrong == 0 {
		t.Error("none passes: this measures nothing")
	}
	if f.added.Load() != n {
		t.Errorf("it counts %d, want %d", f.added.Load(), n)
	}
}

// The committer adds while a builder fills: nothing of either is lost.
func TestFilter_TwoWriters(t *testing.T) {
	f := newFilter(1 << 12) // small, so that they meet in the same words
	a, b := names("a", 1<<15), names("b", 1<<15)
	var wg sync.WaitGroup
	for _, hashes := range [][]uint64{a, b} {
		wg.Go(func() {
			for _, h := range hashes {
				f.add(h)
				if !f.has(h) {
					t.Errorf("%x was added, and is denied", h)
				}
			}
		})
	}
	wg.Wait()
	for _, h := range append(a, b...) {
		if !f.has(h) {
			t.Fatalf("%x was added, and is denied", h)
		}
	}
}

// While filters are made anew and take each other's place, no name that is there is ever denied: neither of those that were there
// before, nor of those that come meanwhile.
func TestFilter_MadeAnew(t *testing.T) {
	s, _ := openInternal(t, vfs.NewMem())
	c := s.core
	far := store.At(internalStart.Add(24 * time.Hour)) // too far to be remembered: the filter and the database are asked
	var stop atomic.Bool
	var wg sync.WaitGroup
	made := 0
	wg.Go(func() { // says that each filter is too full, so that the committer has the next one made
		for old := (*filter)(nil); !stop.Load(); {
			f := c.filter.Load()
			if f == old {
				runtime.Gosched()
				continue
			}
			f.added.Add(2 * f.most)
			old = f
			made++
		}
	})
	var putters sync.WaitGroup
	for w := range 4 {
		putters.Go(func() {
			for i := range 500 {
				name := fmt.Sprintf("task-%d-%d", w, i)
				first := putAt(t, s, name, far, "x")
				for _, old := range []int{i, i / 2, 0} {
					k := store.Key{Name: fmt.Sprintf("task-%d-%d", w, old)}
					got, err := s.Get(t.Context(), []store.Key{k})
					if err != nil || got[0] == nil {
						t.Errorf("%v, which is there, is %v, %v", k, got, err)
						return
					}
				}
				if again := putAt(t, s, name, far, "x"); first == nil || again == nil || again.Generation != first.Generation {
					t.Errorf("%s was put twice: %v, %v", name, first, again)
					return
				}
			}
		})
	}
	putters.Wait()
	stop.Store(true)
	wg.Wait()
	if made < 5 {
		t.Errorf("only %d filters were made", made)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Tasks != 2000 {
		t.Errorf("%d tasks, %v, want 2000", st.Tasks, err)
	}
}

// A filter that has become too full is made anew by itself, without the names that are gone.
func TestFilter_Refill(t *testing.T) {
	s, _ := openInternal(t, vfs.NewMem())
	c := s.core
	for c.filter.Load() == nil {
		time.Sleep(time.Millisecond) // real time: the first one is being made
	}
	old := newFilter(1)
	for _, h := range names("gone", int(old.most+old.most/4+1)) {
		old.add(h)
	}
	c.filter.Store(old)
	far := store.At(internalStart.Add(24 * time.Hour))
	putAt(t, s, "a", far, "x")
	for c.filter.Load() == old {
		time.Sleep(time.Millisecond) // real time: the next one is being made
	}
	f := c.filter.Load()
	if n := f.added.Load(); n > 3 {
		t.Errorf("the new filter holds %d names, want the one that is there", n)
	}
	if !f.has(hashKey(store.Key{Name: "a"})) {
		t.Error("the name that is there is denied")
	}
}
