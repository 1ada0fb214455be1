package pebble

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/dulyhq/duly/store"
)

func dueNames(t testing.TB, s *Store, until store.Instant) map[string]store.Instant {
	t.Helper()
	all := map[string]store.Instant{}
	for q := (store.DueQuery{Until: until, Limit: 100}); ; {
		page, err := s.Due(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range page.Tasks {
			all[task.Name] = task.Position()
		}
		if !page.More {
			return all
		}
		q.After = page.Cursor
	}
}

// The floor rises to what a scan has found to be the first, and sinks with whatever is put before it.
func TestFloor(t *testing.T) {
	s, _ := openInternal(t, vfs.NewMem())
	now := store.At(internalStart)
	floor := func() store.Instant {
		s.core.mu.Lock()
		defer s.core.mu.Unlock()
		return s.core.floor
	}
	if floor() != store.Over {
		t.Errorf("when opened it is %v, want the beginning of time: what is there is not known", floor())
	}
	putAt(t, s, "late", now+1000, "x")
	dueNames(t, s, now)
	if floor() != now+1000 {
		t.Errorf("after a scan it is %v, want the first task's, %v", floor(), now+1000)
	}
	putAt(t, s, "early", now+10, "x")
	if floor() != now+10 {
		t.Errorf("after an earlier task it is %v, want %v", floor(), now+10)
	}
	if _, err := s.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: "early"}}}); err != nil {
		t.Fatal(err)
	}
	dueNames(t, s, now)
	if floor() != now+1000 {
		t.Errorf("after the earlier one has gone it is %v, want %v", floor(), now+1000)
	}
	if got := dueNames(t, s, now+1000); len(got) != 1 {
		t.Errorf("%v is due, want late", got)
	}
}

// What is put before the floor while a scan is under way is not hidden by what the scan finds out, however the two meet.
func TestFloor_PutWhileScanning(t *testing.T) {
	s, _ := openInternal(t, vfs.NewMem())
	c := s.core
	now := store.At(internalStart)
	putAt(t, s, "late", now+1_000_000, "x")
	sc := c.begin() // a scan that has read what there was, and has not said so yet
	putAt(t, s, "early", now, "x")
	c.raise(sc, now+1_000_000)
	c.finish(sc)
	if got := dueNames(t, s, now); len(got) != 1 {
		t.Errorf("%v is due, want early", got)
	}

	// The same by chance, many times.
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			dueNames(t, s, now)
		}
	})
	rng := rand.New(rand.NewPCG(4, 2))
	for i := range 500 {
		name, at := fmt.Sprintf("task-%d", i%50), now+store.Instant(rng.IntN(1000))
		if putAt(t, s, name, at, "x") == nil {
			break
		}
		got := dueNames(t, s, now+1000)
		if got[name] != at {
			t.Errorf("%s, put at %v, is due at %v", name, at, got[name])
			break
		}
		if i%3 == 0 {
			if _, err := s.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: name}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop.Store(true)
	wg.Wait()
}

// hungSync holds up the syncs of files.
type hungSync struct{ gate atomic.Pointer[chan struct{}] }

func (h *hungSync) String() string { return "syncs wait" }

func (h *hungSync) MaybeError(op errorfs.Op) error {
	if op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData {
		if p := h.gate.Load(); p != nil {
			<-*p
		}
	}
	return nil
}

// A call that nobody has taken yet is withdrawn with its context: nothing of it is written. One that was taken is unknown.
func TestCall_Withdrawn(t *testing.T) {
	h := &hungSync{}
	s, _ := openInternal(t, errorfs.Wrap(vfs.NewMem(), h))
	c := s.core
	now := store.At(internalStart)
	putAt(t, s, "first", now, "x")
	gate := make(chan struct{})
	h.gate.Store(&gate)
	put := func(ctx context.Context, name string, size int) error {
		_, err := s.Put(ctx, []store.Put{{
			Key: store.Key{Name: name}, Spec: store.Spec{Kind: "remind", Payload: make([]byte, size)}, When: store.On(store.Occurrence{For: now}),
		}})
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := put(t.Context(), "synced", 1); err != nil {
			t.Error(err)
		}
	})
	wait := func(what string, is func() bool) {
		t.Helper()
		for range 10_000 {
			if is() {
				return
			}
			time.Sleep(time.Millisecond) // real time: the committer is on its way
		}
		t.Fatalf("it never comes to it that %s", what)
	}
	locked := func(is func() bool) func() bool {
		return func() bool {
			c.qmu.Lock()
			defer c.qmu.Unlock()
			return is()
		}
	}
	wait("a sync is under way", locked(func() bool { return c.inflight }))
	// The next batch is built meanwhile. When it is full, nobody takes calls any more.
	for i := range 5 {
		wg.Go(func() {
			if err := put(t.Context(), fmt.Sprint("full", i), 1<<20-1000); err != nil {
				t.Error(err)
			}
		})
	}
	for i := 0; ; i++ {
		name := fmt.Sprint("left", i)
		ctx, leave := context.WithCancelCause(t.Context())
		cause := errors.New("the user has left")
		errs := make(chan error, 1)
		go func() { errs <- put(ctx, name, 1) }()
		time.Sleep(5 * time.Millisecond) // real time, for the committer to take it if it will
		leave(cause)
		err := <-errs
		if !errors.Is(err, cause) {
			t.Fatalf("%v, want the cause", err)
		}
		if errors.Is(err, store.ErrUnknown) {
			if i > 1000 {
				t.Fatal("every call was taken")
			}
			continue // it got into the batch
		}
		h.gate.Store(nil)
		close(gate)
		wg.Wait()
		putAt(t, s, "last", now, "x") // what came before it is decided
		got, err := s.Get(t.Context(), []store.Key{{Name: name}, {Name: "left0"}, {Name: "full0"}})
		if err != nil || got[0] != nil {
			t.Errorf("%s was withdrawn, and is %v, %v", name, got[0], err)
		}
		if got[2] == nil {
			t.Error("full0 was put, and is not there")
		}
		return
	}
}

func fill(n int, c byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = c
	}
	return b
}

// A payload crosses the size from which it is kept apart, in either direction, and nothing of the old one is left.
func TestPayload_Crosses(t *testing.T) {
	s, _ := openInternal(t, vfs.NewMem())
	k := store.Key{Name: "a"}
	for i, n := range []int{0, largePayload - 1, largePayload, largePayload + 1, largePayload - 1, largePayload, 0} {
		putAt(t, s, "a", store.Instant(i+1), string(fill(n, byte('a'+i))))
		got, err := read(s.core.db, k) // not what is remembered
		if err != nil || string(got.t.Payload) != string(fill(n, byte('a'+i))) {
			t.Fatalf("%d bytes: %v, %v", n, got.t, err)
		}
		_, closer, err := s.core.db.Get(nameKey(nil, keyPayload, k))
		if apart := err == nil; apart != (n >= largePayload) {
			t.Errorf("%d bytes: kept apart: %v", n, apart)
		}
		if err == nil {
			err = closer.Close()
		}
		if err != nil && n >= largePayload {
			t.Fatal(err)
		}
	}
}

// A Trim looks at each dead run once, however many parts it takes: those it keeps as well.
func TestTrim_DeadPartByPart(t *testing.T) {
	defer SmallTrims(7)()
	s, clk := openInternal(t, vfs.NewMem())
	die := func(prefix string, n int) {
		t.Helper()
		for i := range n {
			task := putAt(t, s, fmt.Sprintf("%s-%02d", prefix, i), s.clock().Now, "x")
			claim := store.Claim{RunID: store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}, Lease: time.Minute}
			res, err := s.Claim(t.Context(), []store.Claim{claim})
			if err != nil || res[0].Err != nil {
				t.Fatalf("%s: %+v, %v", task.Name, res, err)
			}
			end := store.Settlement{RunID: res[0].RunID, Fence: res[0].Fence, Verb: store.VerbSettle, State: store.Dead}
			if out, err := s.Settle(t.Context(), []store.Settlement{end}); err != nil || out[0].Err != nil {
				t.Fatalf("%s: %+v, %v", task.Name, out, err)
			}
		}
	}
	die("b", 30) // behind those that are kept
	if err := clk.Advance(time.Hour).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := store.Retention{DeadFrom: s.clock().Now}
	die("a", 20)
	parts, all := 0, int64(0)
	for tr := (trimming{began: s.clock()}); parts == 0 || tr.more; parts++ {
		var n int64
		var failed error
		if err := s.do(t.Context(), "trim", 1, func(w *writer, _ int) { n, failed = w.trim(r, &tr) }); err != nil || failed != nil {
			t.Fatal(err, failed)
		}
		if all += n; n > 7 || parts > 50 {
			t.Fatalf("part %d forgot %d, want at most 7 of each", parts, n)
		}
	}
	left, err := s.List(t.Context(), store.Query{State: store.Dead})
	if parts != 8 || all != 30 || err != nil || len(left.Tasks) != 20 || left.Tasks[0].Name != "a-00" {
		t.Errorf("%d parts forgot %d and left %d, error %v; want 8, 30 and 20", parts, all, len(left.Tasks), err)
	}
}
