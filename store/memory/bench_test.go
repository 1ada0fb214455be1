package memory_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

// full returns a store with n tasks an hour and more away.
func full(b *testing.B, n int) *memory.Store {
	b.Helper()
	s := memory.New(memory.Options{})
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	now := must(s.Clock(b.Context())).Now.Add(time.Hour)
	puts := make([]store.Put, n)
	for i := range puts {
		// A stride that is coprime to n: in no order of instants, as tasks come.
		o := store.Occurrence{For: now + store.Instant(i*7919%n)}
		puts[i] = store.Put{Key: key(fmt.Sprint("far/", i)), Spec: store.Spec{Kind: "k"}, When: store.On(o)}
	}
	must(s.Put(b.Context(), puts))
	return s
}

// BenchmarkLife takes a task from put to done beside n others.
func BenchmarkLife(b *testing.B) {
	for _, n := range []int{0, 10_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			s := full(b, n)
			ctx := b.Context()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := must(s.Put(ctx, []store.Put{{Key: key(strconv.Itoa(i % 1000)), Spec: store.Spec{Kind: "k"}, When: store.In(0, 0)}}))[0]
				c := must(s.Claim(ctx, []store.Claim{{
					RunID: store.RunID{Key: r.Task.Key, Generation: r.Task.Generation, For: r.Task.Next.For}, Lease: time.Minute,
				}}))[0]
				x := must(s.Settle(ctx, []store.Settlement{{RunID: c.RunID, Fence: c.Fence, Verb: store.VerbSettle, State: store.Done}}))[0]
				if x.Err != nil {
					b.Fatal(x.Err)
				}
				if i%10_000 == 9_999 {
					must(s.Trim(ctx, store.Retention{MaxHistory: 1}))
				}
			}
		})
	}
}

// BenchmarkPut declares tasks in batches of 1000, in no order.
func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				full(b, n)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/task")
		})
	}
}

// BenchmarkDue reads a page of 1000 and one of nothing out of a million.
func BenchmarkDue(b *testing.B) {
	s := full(b, 1_000_000)
	for _, q := range []struct {
		name string
		store.DueQuery
	}{{"page", store.DueQuery{Until: store.Never}}, {"nothing", store.DueQuery{}}} {
		b.Run(q.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				must(s.Due(b.Context(), q.DueQuery))
			}
		})
	}
}
