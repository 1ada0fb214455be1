package pebble_test

import (
	"log/slog"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func (h *home) options() pebble.Options {
	return pebble.Options{Clock: h.clk, FS: h.fs, MinFree: -1, CacheSize: 1 << 20, Logger: slog.New(slog.DiscardHandler)}
}

func (h *home) Open() (store.Store, error) {
	s, err := pebble.Open("store", h.options())
	if err != nil {
		return nil, err
	}
	h.s = s
	return s, nil
}

// Kill leaves what was written, synced or not: that the operating system has.
func (h *home) Kill() { h.PowerCut(100) }

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

func options() storetest.Options { return storetest.Options{New: newHome} }

func TestContract(t *testing.T) { storetest.Run(t, options()) }

func TestScripts(t *testing.T) { storetest.Scripts(t, options()) }

func TestModel(t *testing.T) { storetest.Model(t, options()) }

func TestHistories(t *testing.T) { storetest.Histories(t, options()) }
