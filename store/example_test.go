package store_test

import (
	"fmt"

	"github.com/dulyhq/duly/store"
)

// A store keeps what a transition returns, and answers with its result. Here the store is a variable.
func ExamplePut_Apply() {
	var (
		kept *store.Task
		seq  int64
	)
	moment := store.Moment{Now: 1_924_992_000_000_000, Seq: func() int64 { seq++; return seq }}
	put := store.Put{
		Key:  store.Key{Namespace: "shop", Name: "remind/42"},
		Spec: store.Spec{Kind: "remind", Payload: []byte("42")},
		When: store.In(24*3600e9, 0),
	}
	for range 2 {
		change, result := put.Apply(kept, &moment)
		if change.Write {
			kept = change.Task
		}
		fmt.Println(result.Outcome, "for", result.Task.Next.Due, "in generation", result.Task.Generation)
	}

	put.OnConflict = store.Fail
	_, result := put.Apply(kept, &moment)
	fmt.Println(result.Err)
	// Output:
	// created for 2031-01-02T00:00:00Z in generation 1
	// unchanged for 2031-01-02T00:00:00Z in generation 1
	// store: put "shop/remind/42": a task of this name exists
}

// The change of a settlement says what becomes of the task, and what the history gets. This one is the end of its task.
func ExampleSettlement_Apply() {
	var seq int64
	moment := store.Moment{Now: 1_924_992_000_000_000, Seq: func() int64 { seq++; return seq }}
	put := store.Put{Key: store.Key{Name: "a"}, Spec: store.Spec{Kind: "k"}, When: store.In(0, 0)}
	change, declared := put.Apply(nil, &moment)

	claim := store.Claim{
		RunID: store.RunID{Key: put.Key, Generation: declared.Task.Generation, For: declared.Task.Next.For},
		Lease: 30e9,
		Owner: "worker 7",
	}
	change, claimed := claim.Apply(change.Task, &moment)
	fmt.Println(change.Task.State(), "with fence", claimed.Fence)

	settle := store.Settlement{RunID: claimed.RunID, Fence: claimed.Fence, Verb: store.VerbSettle, State: store.Dead, Reason: "no such address"}
	change, settled := settle.Apply(change.Task, &moment)
	fmt.Println(settled.State, "and the task is gone:", change.Task == nil)
	for _, e := range change.Events {
		fmt.Println(e.Verb, "from", e.From, "to", e.To, "by", e.Owner+":", e.Reason)
	}
	fmt.Println("kept to be tried again:", change.Dead.Runs[0].ID(change.Dead.Key))
	// Output:
	// running with fence 2
	// dead and the task is gone: true
	// settle from running to dead by worker 7: no such address
	// kept to be tried again: a@1@1924992000000000
}

func ExampleLegal() {
	fmt.Println(store.Legal(store.Running, store.Pending, store.VerbRetry))
	fmt.Println(store.Legal(store.Done, store.Pending, store.VerbRedrive))
	// Output:
	// true
	// false
}
