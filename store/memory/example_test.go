package memory_test

import (
	"context"
	"fmt"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// A task from being declared to its end, with a clock that is moved by hand.
func Example() {
	ctx := context.Background()
	clk := clock.NewManual(time.Date(2031, 1, 1, 12, 0, 0, 0, time.UTC))
	s := memory.New(memory.Options{Clock: clk})
	defer func() {
		if err := s.Close(); err != nil {
			fmt.Println(err)
		}
	}()

	puts, err := s.Put(ctx, []store.Put{{
		Key:  store.Key{Namespace: "shop", Name: "remind/42"},
		Spec: store.Spec{Kind: "remind"},
		When: store.In(time.Hour, 0),
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(puts[0].Outcome, "for", puts[0].Task.Next.Due)

	clk.Advance(time.Hour)
	now, err := s.Clock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	due, err := s.Due(ctx, store.DueQuery{Until: now.Now})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, t := range due.Tasks {
		claims, err := s.Claim(ctx, []store.Claim{{
			RunID: store.RunID{Key: t.Key, Generation: t.Generation, For: t.Next.For},
			Lease: 30 * time.Second,
		}})
		if err != nil {
			fmt.Println(err)
			return
		}
		settled, err := s.Settle(ctx, []store.Settlement{{
			RunID: claims[0].RunID, Fence: claims[0].Fence, Verb: store.VerbSettle, State: store.Done,
		}})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(t.Key, settled[0].State, "at", settled[0].At)
	}
	// Output:
	// created for 2031-01-01T13:00:00Z
	// shop/remind/42 done at 2031-01-01T13:00:00Z
}
