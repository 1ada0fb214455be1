package storetest

import (
	"testing"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

func TestModel_Journal(t *testing.T) { Model(t, Options{New: newJournalHome}) }

// plainMemoryHome keeps a store in memory, whose process can die.
type plainMemoryHome struct {
	clk clock.Clock
	s   *memory.Store
}

func (h *plainMemoryHome) Open() (store.Store, error) {
	if h.s == nil {
		h.s = memory.New(memory.Options{Clock: h.clk})
	}
	return h.s, nil
}

func (h *plainMemoryHome) Kill() { h.s.Restart() }

var memoryStore = Options{
	New:     func(_ testing.TB, clk clock.Clock) Home { return &plainMemoryHome{clk: clk} },
	Forgets: true,
}

func TestModel_Memory(t *testing.T) { Model(t, memoryStore) }
