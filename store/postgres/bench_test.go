package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/pgtest"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
	"github.com/dulyhq/duly/store/storetest"
)

// What one change of the code costs, on a server that syncs; figures beside another product are made by the program bench/cluster.

func durable(b *testing.B) string {
	b.Helper()
	return pgtest.Start(b, pgtest.Options{Durable: true}).URL("postgres")
}

func BenchmarkStore(b *testing.B) {
	url := durable(b)
	storetest.Bench(b, storetest.Options{New: func(t testing.TB, _ clock.Clock) storetest.Home {
		t.Helper()
		return &home{t: t, url: url, o: postgres.Options{Schema: fmt.Sprintf("b%d", schemas.Add(1))}}
	}})
}

// benchPut is a put of task i, due within the hour after an instant.
func benchPut(i int64, due store.Instant) store.Put {
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

// BenchmarkPut: callers that wait for their answers before they call again. An operation is one task.
func BenchmarkPut(b *testing.B) {
	url := durable(b)
	for _, c := range []struct{ callers, batch int }{{1, 1}, {16, 1}, {256, 1}, {4, 1000}} {
		b.Run(fmt.Sprintf("callers=%d/batch=%d", c.callers, c.batch), func(b *testing.B) {
			s, err := postgres.Open(b.Context(), url, postgres.Options{Schema: fmt.Sprintf("b%d", schemas.Add(1))})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			clk, err := s.Clock(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			due := clk.Now.Add(72 * 3600 * 1e9)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for range c.callers {
				wg.Go(func() {
					for {
						from := next.Add(int64(c.batch)) - int64(c.batch)
						n := min(int64(c.batch), int64(b.N)-from)
						if n <= 0 {
							return
						}
						puts := make([]store.Put, n)
						for i := range puts {
							puts[i] = benchPut(from+int64(i), due)
						}
						res, err := s.Put(b.Context(), puts)
						if err != nil {
							b.Error(err)
							return
						}
						for i := range res {
							if res[i].Err != nil {
								b.Error(res[i].Err)
							}
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
		})
	}
}
