package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
)

// Whoever looks after the database may write the table anew (VACUUM FULL, CLUSTER) while attempts run: rows keep the transaction that wrote them and
// stand elsewhere then, and where one stood that this process has written there may be another that the same transaction wrote.
//
// contract: D3
func TestSettle_WhereTheTableIsWrittenAnew(t *testing.T) {
	d := newDesk(t)
	const many = 40
	puts := make([]store.Put, many)
	for i := range puts {
		puts[i] = due(fmt.Sprintf("n%02d", i), "x", -time.Minute)
	}
	res, err := d.s.Put(t.Context(), puts)
	if err != nil {
		t.Fatal(err)
	}
	claims := make([]store.Claim, many)
	for i := range claims {
		x := res[i].Task
		claims[i] = store.Claim{RunID: store.RunID{Key: x.Key, Generation: x.Generation, For: x.Next.For}, Lease: time.Hour, Owner: "me"}
	}
	runs, err := d.s.Claim(t.Context(), claims)
	if err != nil {
		t.Fatal(err)
	}
	exec(t, d.admin, "delete from "+d.schema+".task where name = 'n00'") // so that the rows behind it move
	exec(t, d.admin, "vacuum full "+d.schema+".task")
	for i := 1; i < many; i += 2 {
		r := &runs[i]
		set, err := d.s.Settle(t.Context(), []store.Settlement{{RunID: r.RunID, Fence: r.Fence, Verb: store.VerbSettle, State: store.Done}})
		if err != nil || set[0].Err != nil {
			t.Errorf("Settle: %+v, error %v", set, err)
		}
	}
	for i := range many {
		name := fmt.Sprintf("n%02d", i)
		if got := get(t, d.s, name); (got != nil) != (i > 0 && i%2 == 0) {
			t.Errorf("of %s there is %+v; want those alone that were not settled", name, got)
		}
	}
}
