package pebble_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
)

// What one change of the code costs; figures beside other stores, and at size, are made by the program bench/store.

func openBench(b *testing.B) *pebble.Store {
	b.Helper()
	s, err := pebble.Open(b.TempDir(), pebble.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// benchPut is a put of task i, due within the hour after an instant.
func benchPut(i int, due store.Instant) store.Put {
	scrambled := uint64(i) * 0x9e3779b97f4a7c15
	payload := make([]byte, 0, 224)
	for n := range uint64(6) {
		payload = fmt.Appendf(payload, `{"part":"%016x"},`, scrambled*(n+2))
	}
	return store.Put{
		Key:  store.Key{Name: fmt.Sprintf("order-%016x", scrambled)},
		Spec: store.Spec{Kind: "remind", Schedule: "in 72h", Payload: payload},
		When: store.On(store.Occurrence{For: due + store.Instant(scrambled%3_600_000_000)}),
	}
}

func putAll(b *testing.B, s *pebble.Store, puts []store.Put) {
	b.Helper()
	res, err := s.Put(b.Context(), puts)
	if err != nil {
		b.Error(err)
		return
	}
	for _, r := range res {
		if r.Err != nil || r.Outcome != store.Created {
			b.Errorf("put: %v, %v", r.Outcome, r.Err)
		}
	}
}

// BenchmarkPut: callers that wait for their answers before they call again. An operation is one task.
func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ callers, batch int }{{1, 1}, {64, 1}, {4, 1000}} {
		b.Run(fmt.Sprintf("callers=%d/batch=%d", c.callers, c.batch), func(b *testing.B) {
			s, due := openBench(b), store.At(time.Now().Add(time.Hour))
			puts := make([]store.Put, b.N)
			for i := range puts {
				puts[i] = benchPut(i, due)
			}
			var next atomic.Int64
			var callers sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range c.callers {
				callers.Go(func() {
					for {
						to := int(next.Add(int64(c.batch)))
						if to-c.batch >= len(puts) {
							return
						}
						putAll(b, s, puts[to-c.batch:min(to, len(puts))])
					}
				})
			}
			callers.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}

// BenchmarkFire: what is due is read by pages, claimed and settled, durably, one page after the other.
func BenchmarkFire(b *testing.B) {
	s, due := openBench(b), store.At(time.Now().Add(-2*time.Hour))
	puts := make([]store.Put, b.N)
	for i := range puts {
		puts[i] = benchPut(i, due)
	}
	for len(puts) > 0 {
		n := min(len(puts), 1000)
		putAll(b, s, puts[:n])
		puts = puts[n:]
	}
	b.ReportAllocs()
	b.ResetTimer()
	fired := 0
	for q := (store.DueQuery{Until: store.At(time.Now()), Limit: 256}); ; {
		page, err := s.Due(b.Context(), q)
		if err != nil {
			b.Fatal(err)
		}
		fireAll(b, s, page.Tasks)
		fired += len(page.Tasks)
		if q.After = page.Cursor; !page.More {
			break
		}
	}
	b.StopTimer()
	if fired != b.N {
		b.Fatalf("%d fired of %d", fired, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "fires/s")
}

func fireAll(b *testing.B, s *pebble.Store, tasks []*store.Task) {
	b.Helper()
	claims := make([]store.Claim, len(tasks))
	for i, t := range tasks {
		claims[i] = store.Claim{RunID: store.RunID{Key: t.Key, Generation: t.Generation, For: t.Next.For}, Lease: time.Minute, Owner: "bench"}
	}
	claimed, err := s.Claim(b.Context(), claims)
	if err != nil {
		b.Fatal(err)
	}
	ends := make([]store.Settlement, len(claimed))
	for i, c := range claimed {
		if c.Err != nil {
			b.Fatal(c.Err)
		}
		ends[i] = store.Settlement{RunID: c.RunID, Fence: c.Fence, Verb: store.VerbSettle, State: store.Done}
	}
	settled, err := s.Settle(b.Context(), ends)
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range settled {
		if r.Err != nil {
			b.Fatal(r.Err)
		}
	}
}
