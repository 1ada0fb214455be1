//go:build !race

package pebble

// What is held here is how much one caller makes the store remember or write, of which much memory is made; under the race detector that
// takes a minute and finds nothing.

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/store"
)

// What is remembered is bounded, whatever is put and read; only tasks with an overlay come on top. What is forgotten is still there.
func TestHot_Bounded(t *testing.T) {
	s, _ := openInternal(t, vfs.NewMem())
	c := s.core
	now := store.At(internalStart)
	const n = hotMost + hotMost/4
	size := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.hot)
	}
	for i := 0; i < n; i += 1000 {
		puts := make([]store.Put, 1000)
		for j := range puts {
			puts[j] = store.Put{
				Key: store.Key{Name: fmt.Sprintf("task-%d", i+j)}, Spec: store.Spec{Kind: "remind"},
				When: store.On(store.Occurrence{For: now + 1_000_000}), // so near that all would be worth it
			}
		}
		if _, err := s.Put(t.Context(), puts); err != nil {
			t.Fatal(err)
		}
		if size() > hotMost {
			t.Fatalf("%d tasks are remembered, want at most %d", size(), hotMost)
		}
	}
	if got := dueNames(t, s, now+1_000_000); len(got) < n {
		t.Errorf("%d tasks are due, want %d", len(got), n)
	}
	if size() > hotMost || size() < hotMost/2 {
		t.Errorf("%d tasks are remembered, want about %d", size(), hotMost)
	}
	for i := range 100 {
		got, err := s.Get(t.Context(), []store.Key{{Name: fmt.Sprintf("task-%d", i*(n/100))}})
		if err != nil || got[0] == nil {
			t.Fatalf("task-%d: %v, %v", i, got, err)
		}
	}
}

// What is remembered is bounded in bytes too, whether it was put or read, and so is a page of what is due. What is not remembered is read
// when it is claimed.
func TestHot_BoundedBytes(t *testing.T) {
	fs := vfs.NewMem()
	s, _ := openInternal(t, fs)
	now := store.At(internalStart)
	const n = warmMost/store.MaxPayload + 8
	warm := func(s *Store, when string) {
		t.Helper()
		s.core.mu.Lock()
		defer s.core.mu.Unlock()
		bytes := 0
		for _, e := range s.core.hot {
			bytes += len(e.t.Payload)
		}
		if bytes == 0 || bytes > warmMost || bytes != s.core.warm {
			t.Errorf("%s %d bytes are remembered, and %d counted; want some, and at most %d", when, bytes, s.core.warm, warmMost)
		}
	}
	for i := range n {
		putAt(t, s, fmt.Sprintf("task-%d", i), now, string(fill(store.MaxPayload, byte(i))))
	}
	warm(s, "when put")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = openInternal(t, fs)
	var due []*store.Task
	for q := (store.DueQuery{Until: now, Limit: n}); ; {
		page, err := s.Due(t.Context(), q)
		if err != nil || len(page.Tasks)*store.MaxPayload > store.PageBytes {
			t.Fatalf("a page has %d tasks, error %v", len(page.Tasks), err)
		}
		if due = append(due, page.Tasks...); !page.More {
			break
		}
		q.After = page.Cursor
	}
	warm(s, "when read")
	if len(due) != n {
		t.Fatalf("%d tasks are due, want %d", len(due), n)
	}
	for _, task := range due {
		claim := store.Claim{RunID: store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}, Lease: time.Minute}
		res, err := s.Claim(t.Context(), []store.Claim{claim})
		if err != nil || res[0].Err != nil || len(res[0].Task.Payload) != store.MaxPayload || res[0].Task.Payload[0] != task.Payload[0] {
			t.Fatalf("%s: %+v, %v", task.Name, res, err)
		}
		end := store.Settlement{RunID: res[0].RunID, Fence: res[0].Fence, Verb: store.VerbSettle, State: store.Done}
		if out, err := s.Settle(t.Context(), []store.Settlement{end}); err != nil || out[0].Err != nil {
			t.Fatalf("%s: %+v, %v", task.Name, out, err)
		}
	}
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	if len(s.core.hot) != 0 || s.core.warm != 0 {
		t.Errorf("%d tasks of %d bytes are remembered after all have ended", len(s.core.hot), s.core.warm)
	}
}

// Calls that are larger than a batch are written in several, and answered when the last is synced.
func TestBatch_Splits(t *testing.T) {
	fs := vfs.NewMem()
	s, clk := openInternal(t, fs)
	const n = 30
	puts := make([]store.Put, n)
	for i := range puts {
		puts[i] = store.Put{
			Key: store.Key{Name: fmt.Sprintf("task-%d", i)}, When: store.In(time.Hour, 0),
			Spec: store.Spec{Kind: "remind", Payload: fill(store.MaxPayload, byte(i))},
		}
	}
	before := s.core.published()
	res, err := s.Put(t.Context(), puts)
	if err != nil {
		t.Fatal(err)
	}
	batches := s.core.published() - before
	if batches < n*store.MaxPayload/(batchMost+store.MaxPayload) {
		t.Errorf("%d MiB were written in %d batches, want them split", n, batches)
	}
	for i, r := range res {
		if r.Err != nil || r.Outcome != store.Created {
			t.Fatalf("row %d: %v, %v", i, r.Outcome, r.Err)
		}
	}
	// Rows that change one task in several batches take effect in their order.
	edits := make([]store.Put, 12)
	for i := range edits {
		edits[i] = puts[0]
		edits[i].Payload = fill(store.MaxPayload, byte(100+i))
	}
	res, err = s.Put(t.Context(), edits)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(res); i++ {
		if res[i].Outcome != store.Replaced || res[i].Task.Generation <= res[i-1].Task.Generation {
			t.Errorf("row %d: %v, generation %d after %d", i, res[i].Outcome, res[i].Task.Generation, res[i-1].Task.Generation)
		}
	}
	// Moving a task does not write its payload again.
	was := s.core.db.Metrics().WAL.BytesIn
	if r, err := s.Edit(t.Context(), []store.Edit{{Verb: store.VerbMove, Key: puts[1].Key, When: store.In(2*time.Hour, 0)}}); err != nil || r[0].Err != nil {
		t.Fatal(r, err)
	}
	if grown := s.core.db.Metrics().WAL.BytesIn - was; grown > 10_000 {
		t.Errorf("moving a task of 1 MiB wrote %d bytes", grown)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, err = Open("store", internalOptions(fs, clk))
	if err != nil {
		t.Fatal(err)
	}
	for i := range puts {
		got, err := s.Get(t.Context(), []store.Key{puts[i].Key})
		want := byte(i)
		if i == 0 {
			want = byte(100 + len(edits) - 1)
		}
		if err != nil || got[0] == nil || len(got[0].Payload) != store.MaxPayload || got[0].Payload[0] != want || got[0].Payload[store.MaxPayload-1] != want {
			t.Fatalf("task-%d is not what it was: %v", i, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
