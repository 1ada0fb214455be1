package proof_test

import (
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/contract"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/storetest"
)

// home is a directory on a file system that can crash.
type home struct {
	t   testing.TB
	clk clock.Clock
	fs  *vfs.MemFS
	rng *rand.Rand
	s   *pebble.Store
}

func newHome(t testing.TB, clk clock.Clock) storetest.Home {
	t.Helper()
	h := &home{t: t, clk: clk, fs: vfs.NewCrashableMem(), rng: rand.New(rand.NewPCG(1, 2))}
	t.Cleanup(h.end)
	return h
}

func (h *home) Open() (store.Store, error) {
	s, err := pebble.Open("store", pebble.Options{
		Clock: h.clk, FS: h.fs, MinFree: -1, CacheSize: 1 << 20, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	h.s = s
	return s, nil
}

// Kill leaves what was written, synced or not: that the operating system has.
func (h *home) Kill() { h.PowerCut(100) }

// PowerCut leaves keep percent of what was not synced.
func (h *home) PowerCut(keep int) {
	fs := h.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: h.rng})
	h.end()
	h.fs = fs
}

// end closes the store that was open, so that nothing of it is left; what it does to its file system nobody sees.
func (h *home) end() {
	if h.s != nil {
		_ = h.s.Close() // mostly it was closed
		h.s = nil
	}
}

// TestContract holds duly on the embedded store to the durable contract, each rule by the cases that name it.
//
// contract: A1, A3, A4, A5, A6, A7, B1, B2, B3, B4, C1, C2, C3, C4, C5, C6, D1, D2, D3, D4, D5, D6, E1, E2, E3, E4, E5, F1, F2, F3, G1, G2, G3.
// contract: G4, G5, H1, H2, H3, I1, I2, I3, J1, J2, J3, K1, K2.
func TestContract(t *testing.T) { contract.Run(t, contract.Options{New: newHome}) }

// TestHome_KeepsWhatWasWritten: a home that forgot would let each case begin anew.
func TestHome_KeepsWhatWasWritten(t *testing.T) {
	h := newHome(t, nil)
	s, err := h.Open()
	if err != nil {
		t.Fatal(err)
	}
	k := store.Key{Name: "n"}
	_, err = s.Put(t.Context(), []store.Put{{Key: k, When: store.In(0, 0), Spec: store.Spec{Kind: "k", Schedule: "in 0s"}}})
	if err != nil {
		t.Fatal(err)
	}
	h.Kill()
	if s, err = h.Open(); err != nil {
		t.Fatal(err)
	}
	if ts, err := s.Get(t.Context(), []store.Key{k}); err != nil || ts[0] == nil {
		t.Errorf("after a kill: %v, error %v; want the task", ts, err)
	}
}
