package contract_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/contract"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
	"github.com/dulyhq/duly/store/storetest"
)

// TestMain lets no test leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memoryHome is the piece of memory that a store lives in.
type memoryHome struct {
	testing.TB
	clk clock.Clock
	s   *memory.Store // nil until the first Open
}

// Open returns the store that was killed, or an empty one: what is closed is forgotten.
func (h *memoryHome) Open() (store.Store, error) {
	if h.s != nil {
		if _, err := h.s.Stats(h.Context()); !errors.Is(err, store.ErrClosed) {
			return h.s, nil
		}
	}
	h.s = memory.New(memory.Options{Clock: h.clk})
	return h.s, nil
}

// Kill ends what only the process knew.
func (h *memoryHome) Kill() { h.s.Restart() }

// TestContract holds duly on the store in memory to the durable contract, each rule by the cases that name it; internal/proof does the
// same on the embedded store.
//
// contract: A1, A3, A4, A5, A6, A7, B1, B2, B3, B4, C1, C2, C3, C4, C5, C6, D1, D2, D3, D4, D5, D6, E1, E2, E3, E4, E5, F1, F2, F3, G1, G2, G3.
// contract: G4, G5, H1, H2, H3, I1, I2, I3, J1, J2, J3, K1, K2.
func TestContract(t *testing.T) {
	contract.Run(t, contract.Options{
		New: func(t testing.TB, clk clock.Clock) storetest.Home {
			t.Helper()
			return &memoryHome{TB: t, clk: clk}
		},
		Forgets: true,
	})
}
