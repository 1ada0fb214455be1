package duly_test

import (
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

// A task that a transaction holds for long keeps the outcomes and the leases of no others, and its own are asked for again.
func TestBusy_KeepsNoOthers(t *testing.T) {
	tap(t, duly.Options{}, takes(15*time.Second), func(t *testing.T, r *rig) {
		r.work()
		r.refuse("Renew", "a", store.ErrBusy)
		r.put("a", schedule.After(0))
		r.put("b", schedule.After(100*time.Millisecond))
		r.at(12 * time.Second)
		r.refuse("Renew", "a", nil)
		r.refuse("Settle", "a", store.ErrBusy)
		r.at(15*time.Second + 600*time.Millisecond)
		r.refuse("Settle", "a", nil)
		r.at(time.Minute)
		r.wantCalls(t, "Renew", "10s Renew a", "11.5s Renew a b", "13s Renew a")
		r.wantCalls(t, "Settle", "15s Settle a", "15.1s Settle b", "15.25s Settle a", "15.5s Settle a", "15.75s Settle a")
		r.wantRan("0s a #1", "100ms b #1")
		r.wantLogged(t)
		r.end()
	})
}
