package pebble_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/dulyhq/duly/store"
)

// TestPowerCutsWhileOpening cuts the power before each storage call that opening makes, with any half of what is not synced left: what
// was there before must be there after.
func TestPowerCutsWhileOpening(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, fs)
	key := store.Key{Name: "n"}
	put := store.Put{Key: key, Spec: store.Spec{Kind: "k", Schedule: "in 1h"}, When: store.In(time.Hour, 0)}
	if _, err := s.Put(t.Context(), []store.Put{put}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, "at first", s)

	const lots = 8 // at each call
	rng := rand.New(rand.NewPCG(1, 1))
	var mu sync.Mutex
	var left []*vfs.MemFS
	open := true
	s = mustOpen(t, errorfs.Wrap(fs, errorfs.InjectorFunc(func(o errorfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		for range lots {
			if open && o.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				left = append(left, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}))
			}
		}
		return nil
	})))
	mu.Lock()
	open = false
	mu.Unlock()
	closeStore(t, "opened", s)
	if len(left) < 10*lots {
		t.Fatalf("%d calls were cut, want ten at least", len(left)/lots)
	}
	for i, fs := range left {
		what := fmt.Sprintf("cut before call %d", i/lots+1)
		s := mustOpen2(t, what, fs)
		if ts, err := s.Get(t.Context(), []store.Key{key}); err != nil || ts[0] == nil {
			t.Errorf("%s: the task is %v, error %v", what, ts, err)
		}
		closeStore(t, what, s)
	}
}
