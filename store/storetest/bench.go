package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// Bench measures a store on the machine's own clock: putting in batches of 1, 64 and 1000, claiming and settling, cancelling, and reading
// a page of what is due out of many pending. Each result is of one task, but for the page's.
func Bench(b *testing.B, o Options) {
	for _, batch := range []int{1, 64, 1000} {
		b.Run(fmt.Sprintf("put/%d", batch), func(b *testing.B) { benchPut(b, &o, batch) })
	}
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("claim-settle/%d", batch), func(b *testing.B) { benchClaimSettle(b, &o, batch) })
	}
	b.Run("cancel/64", func(b *testing.B) { benchCancel(b, &o, 64) })
	b.Run("due-page/100", func(b *testing.B) { benchDue(b, &o, 100) })
}

// benchStore opens a store with n tasks that are due, and returns them.
func benchStore(b *testing.B, o *Options, n int) (store.Store, []*store.Task) {
	b.Helper()
	s, err := o.New(b, clock.System()).Open()
	if err != nil {
		b.Fatalf("Home.Open: %v", err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Errorf("Close: %v", err)
		}
	})
	tasks := make([]*store.Task, 0, n)
	for len(tasks) < n {
		res, err := s.Put(b.Context(), benchPuts(len(tasks), min(1000, n-len(tasks))))
		if err != nil {
			b.Fatalf("Put: %v", err)
		}
		for _, r := range res {
			tasks = append(tasks, r.Task)
		}
	}
	return s, tasks
}

// benchPuts returns n Puts, the first of number from, each due a microsecond after the one before and with 100 bytes of payload.
func benchPuts(from, n int) []store.Put {
	puts := make([]store.Put, n)
	payload := make([]byte, 100)
	for i := range puts {
		puts[i] = once(fmt.Sprintf("task-%09d", from+i), at(store.Instant(from+i+1)))
		puts[i].Payload = payload
	}
	return puts
}

func benchPut(b *testing.B, o *Options, batch int) {
	s, _ := benchStore(b, o, 0)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		if _, err := s.Put(b.Context(), benchPuts(n, min(batch, b.N-n))); err != nil {
			b.Fatalf("Put: %v", err)
		}
	}
}

func benchClaimSettle(b *testing.B, o *Options, batch int) {
	s, tasks := benchStore(b, o, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		page := tasks[n:min(n+batch, b.N)]
		claims := make([]store.Claim, len(page))
		for i, t := range page {
			claims[i] = next(t, 0)
		}
		res, err := s.Claim(b.Context(), claims)
		if err != nil {
			b.Fatalf("Claim: %v", err)
		}
		done := make([]store.Settlement, len(res))
		for i, r := range res {
			if r.Err != nil {
				b.Fatalf("Claim: %v", r.Err)
			}
			done[i] = ended(r, store.Done)
		}
		if _, err := s.Settle(b.Context(), done); err != nil {
			b.Fatalf("Settle: %v", err)
		}
	}
}

func benchCancel(b *testing.B, o *Options, batch int) {
	s, tasks := benchStore(b, o, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += batch {
		page := tasks[n:min(n+batch, b.N)]
		cancels := make([]store.Cancel, len(page))
		for i, t := range page {
			cancels[i].Key = t.Key
		}
		if _, err := s.Cancel(b.Context(), cancels); err != nil {
			b.Fatalf("Cancel: %v", err)
		}
	}
}

func benchDue(b *testing.B, o *Options, limit int) {
	s, tasks := benchStore(b, o, 20_000)
	b.ReportAllocs()
	b.ResetTimer()
	var after store.Cursor
	for range b.N {
		p, err := s.Due(b.Context(), store.DueQuery{After: after, Until: store.At(start), Limit: limit})
		if err != nil || len(p.Tasks) == 0 {
			b.Fatalf("Due: %d tasks of %d, error %v", len(p.Tasks), len(tasks), err)
		}
		if after = p.Cursor; !p.More {
			after = store.Cursor{}
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(limit)/float64(time.Nanosecond), "ns/task")
}
