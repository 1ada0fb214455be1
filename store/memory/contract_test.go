package memory_test

import (
	"errors"
	"testing"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
	"github.com/dulyhq/duly/store/storetest"
)

// home is the piece of memory that a store lives in.
type home struct {
	testing.TB
	clk clock.Clock
	s   *memory.Store // nil until the first Open
}

// Open returns the store that was killed, or an empty one: what is closed is forgotten.
func (h *home) Open() (store.Store, error) {
	if h.s != nil {
		if _, err := h.s.Stats(h.Context()); !errors.Is(err, store.ErrClosed) {
			return h.s, nil
		}
	}
	h.s = memory.New(memory.Options{Clock: h.clk})
	return h.s, nil
}

// Kill ends what only the process knew.
func (h *home) Kill() { h.s.Restart() }

var options = storetest.Options{
	New: func(t testing.TB, clk clock.Clock) storetest.Home {
		t.Helper()
		return &home{TB: t, clk: clk}
	},
	Forgets: true,
}

// TestContract holds the reference to the contract.
func TestContract(t *testing.T) { storetest.Run(t, options) }

func BenchmarkStore(b *testing.B) { storetest.Bench(b, options) }

func TestScripts(t *testing.T) { storetest.Scripts(t, options) }

func TestModel(t *testing.T) { storetest.Model(t, options) }

func TestHistories(t *testing.T) { storetest.Histories(t, options) }
