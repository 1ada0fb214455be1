package memory_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/memory"
)

var start = time.Date(2031, time.January, 1, 0, 0, 0, 1999, time.UTC)

func key(name string) store.Key { return store.Key{Namespace: "ns", Name: name} }

func at(d time.Duration) store.When { return store.On(store.Occurrence{For: store.At(start.Add(d))}) }

func open(t testing.TB) (*memory.Store, *clock.Manual) {
	t.Helper()
	clk := clock.NewManual(start)
	s := memory.New(memory.Options{Clock: clk})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s, clk
}

func put(t testing.TB, s store.Store, name string, when store.When) *store.Task {
	t.Helper()
	r, err := s.Put(t.Context(), []store.Put{{Key: key(name), Spec: store.Spec{Kind: "k"}, When: when}})
	if err != nil || r[0].Err != nil {
		t.Fatalf("put %s: %v, %v", name, err, r)
	}
	return r[0].Task
}

func claim(t testing.TB, s store.Store, task *store.Task) store.ClaimResult {
	t.Helper()
	c := store.Claim{RunID: store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}, Lease: 30 * time.Second}
	r, err := s.Claim(t.Context(), []store.Claim{c})
	if err != nil || r[0].Err != nil {
		t.Fatalf("claim %v: %v, %v", task.Key, err, r[0].Err)
	}
	return r[0]
}

// TestStore_Clock holds readings to being rounded down: a deadline within the microsecond is not yet reached.
func TestStore_Clock(t *testing.T) {
	for _, c := range []struct {
		wall time.Time
		want store.Instant
	}{
		{start, 1_924_992_000_000_001},
		{time.Unix(0, 0), -1}, // 0 is not set
		{time.Unix(0, 999), -1},
		{time.Unix(0, 1000), 1},
		{time.Unix(0, -1), -1},
		{time.Unix(0, -1001), -2},
	} {
		clk := clock.NewManual(c.wall)
		s := memory.New(memory.Options{Clock: clk})
		clk.Suspend(1999)
		clk.Step(-1999)
		got, err := s.Clock(t.Context())
		if d := cmp.Diff(store.Clock{Now: c.want, Mono: 1}, got); d != "" || err != nil {
			t.Errorf("clock at %v: %v (-want +got):\n%s", c.wall, err, d)
		}
	}
	system := memory.New(memory.Options{})
	got, err := system.Clock(t.Context())
	if err != nil || got.Now < 1_700_000_000_000_000 || got.Mono < 0 {
		t.Errorf("the system's clock says %+v, %v", got, err)
	}
}

// TestStore_Restart tells what a death takes with it from what stays.
func TestStore_Restart(t *testing.T) {
	s, clk := open(t)
	clk.Advance(time.Second)
	running := claim(t, s, put(t, s, "a", at(0)))
	put(t, s, "b", at(time.Hour))
	hints, stop := s.Hints()
	defer stop()
	handed := running.Task.Runs[0].Lease

	s.Restart()

	if _, ok := <-hints; ok {
		t.Error("the hints go on after a restart")
	}
	now, err := s.Clock(t.Context())
	if err != nil || now.Mono != 0 {
		t.Errorf("after a restart the clock says %+v, %v; want Mono to begin anew", now, err)
	}
	got, err := s.Get(t.Context(), []store.Key{key("a"), key("b")})
	if err != nil || got[0] == nil || got[1] == nil {
		t.Fatalf("after a restart: %v, %v", got, err)
	}
	if r := got[0].Runs[0]; r.Lease != store.Over || r.Fence != running.Fence || r.State != store.Running {
		t.Errorf("after a restart the run is %v with fence %d and lease %v; want it running, with the lease over", r.State, r.Fence, r.Lease)
	}
	if running.Task.Runs[0].Lease != handed {
		t.Error("the task that was handed out has changed")
	}
	x, err := s.Edit(t.Context(), []store.Edit{{
		Verb: store.VerbRescue, Key: key("a"), Generation: running.RunID.Generation, For: running.RunID.For, Fence: running.Fence, State: store.Pending,
	}})
	if err != nil || x[0].Err != nil {
		t.Errorf("rescue at once: %v, %v", err, x[0].Err)
	}
}

// TestStore_Close holds every call after Close to failing, and a restart to not helping.
func TestStore_Close(t *testing.T) {
	s, _ := open(t)
	put(t, s, "a", at(0))
	hints, stop := s.Hints()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, ok := <-hints; ok {
		t.Error("the hints go on after Close")
	}
	stop()
	s.Restart()
	late, stopLate := s.Hints()
	if _, ok := <-late; ok {
		t.Error("a closed store hints")
	}
	stopLate()
	for op, err := range calls(t.Context(), s) {
		if !errors.Is(err, store.ErrClosed) || err.Error() != "store: "+op+": store is closed" {
			t.Errorf("%s of a closed store: %v", op, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// TestStore_context holds every call with a context that has ended to failing with its cause, and to writing nothing.
func TestStore_context(t *testing.T) {
	s, _ := open(t)
	cause := errors.New("the user went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	for op, err := range calls(ctx, s) {
		if !errors.Is(err, cause) {
			t.Errorf("%s with a context that has ended: %v, want its cause", op, err)
		}
	}
	if st, err := s.Stats(t.Context()); err != nil || st != (store.Stats{}) {
		t.Errorf("after that there is %+v, %v", st, err)
	}
}

// TestStore_empty calls everything with nothing to do.
func TestStore_empty(t *testing.T) {
	s, _ := open(t)
	for op, err := range calls(t.Context(), s) {
		if err != nil {
			t.Errorf("%s of nothing: %v", op, err)
		}
	}
}

// calls makes every call once, and returns their errors by their names.
func calls(ctx context.Context, s store.Store) map[string]error {
	errs := map[string]error{}
	_, errs["clock"] = s.Clock(ctx)
	_, errs["put"] = s.Put(ctx, nil)
	_, errs["cancel"] = s.Cancel(ctx, []store.Cancel{})
	_, errs["edit"] = s.Edit(ctx, nil)
	_, errs["due"] = s.Due(ctx, store.DueQuery{Limit: -1})
	_, errs["claim"] = s.Claim(ctx, nil)
	_, errs["renew"] = s.Renew(ctx, nil)
	_, errs["settle"] = s.Settle(ctx, nil)
	_, errs["get"] = s.Get(ctx, nil)
	_, errs["list"] = s.List(ctx, store.Query{})
	_, errs["history"] = s.History(ctx, store.HistoryQuery{Limit: -1})
	_, errs["trim"] = s.Trim(ctx, store.Retention{})
	_, errs["stats"] = s.Stats(ctx)
	return errs
}

// TestStore_Hints holds hints to telling of what is at a new place, merged, and of nothing else.
func TestStore_Hints(t *testing.T) {
	s, _ := open(t)
	hints, stop := s.Hints()
	other, stopOther := s.Hints()
	defer stopOther()
	none := func(after string) {
		t.Helper()
		select {
		case h := <-hints:
			t.Errorf("a hint after %s: %+v", after, h)
		default:
		}
	}
	edit := func(v store.Verb, when store.When) {
		t.Helper()
		r, err := s.Edit(t.Context(), []store.Edit{{Verb: v, Key: key("a"), When: when}})
		if err != nil || r[0].Err != nil {
			t.Fatalf("%v: %v, %v", v, err, r[0].Err)
		}
	}
	none("nothing")
	put(t, s, "a", at(time.Hour))
	put(t, s, "b", at(time.Minute))
	put(t, s, "c", at(time.Second*90))
	want := store.Hint{At: store.At(start.Add(time.Minute))}
	for _, name := range []string{"a", "b", "c"} {
		want.Shards.Add(key(name).Shard())
	}
	if d := cmp.Diff(want, <-hints); d != "" {
		t.Errorf("merged hint (-want +got):\n%s", d)
	}
	put(t, s, "a", at(time.Hour))
	none("a put of what is there")
	edit(store.VerbPause, store.When{})
	none("a pause")
	edit(store.VerbResume, store.When{})
	if h := <-hints; h.At != store.At(start.Add(time.Hour)) {
		t.Errorf("resumed: hint %v", h.At)
	}
	edit(store.VerbMove, at(2*time.Hour))
	if h := <-hints; h.At != store.At(start.Add(2*time.Hour)) {
		t.Errorf("moved: hint %v", h.At)
	}
	put(t, s, "d", store.In(1<<63-1, 1<<63-1))
	put(t, s, "now", at(-time.Second))
	<-hints
	claim(t, s, must(s.Get(t.Context(), []store.Key{key("now")}))[0])
	none("a claim, which moves nothing")
	stop()
	if _, ok := <-hints; ok {
		t.Error("hints go on after stop")
	}
	put(t, s, "e", at(0))
	stop()
	if h := <-other; h.At != store.At(start.Add(-time.Second)) {
		t.Errorf("who never looked is told of %v, want the earliest of all", h.At)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestStore_List_cursors follows and abuses cursors.
func TestStore_List_cursors(t *testing.T) {
	s, _ := open(t)
	var want []string
	for i := range 7 {
		want = append(want, put(t, s, fmt.Sprintf("a%d", i), at(time.Hour)).Name)
	}
	put(t, s, "b", at(time.Hour))
	var got []string
	q := store.Query{Namespace: "ns", Prefix: "a", Limit: 3}
	for pages := 0; ; pages++ {
		p := must(s.List(t.Context(), q))
		for _, task := range p.Tasks {
			got = append(got, task.Name)
		}
		if q.After = p.Cursor; q.After == "" {
			break
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
	for _, bad := range []string{"a", "!", strings.Repeat("A", 1000), "AAAA", "AABhAGI", "bnMAYQB4ADE", "bnMAYQAxAHg"} {
		_, err := s.List(t.Context(), store.Query{After: bad})
		var e *store.Error
		if !errors.As(err, &e) || !errors.Is(err, store.ErrInvalid) || e.Field != "after" {
			t.Errorf("List after %q: %v, want it refused", bad, err)
		}
	}
}

// TestStore_List_bounded holds a page that selects nothing to looking at no more than it may, and the pages together to finding all.
func TestStore_List_bounded(t *testing.T) {
	s, _ := open(t)
	puts := make([]store.Put, 25_000)
	for i := range puts {
		puts[i] = store.Put{Key: key(fmt.Sprintf("%05d", i)), Spec: store.Spec{Kind: "k"}, When: at(time.Hour)}
	}
	puts[24_000].Tags = []string{"rare"}
	must(s.Put(t.Context(), puts))
	q := store.Query{AllNamespaces: true, Tag: "rare"}
	var pages, found int
	for {
		p := must(s.List(t.Context(), q))
		pages, found = pages+1, found+len(p.Tasks)
		if q.After = p.Cursor; q.After == "" {
			break
		}
	}
	if pages != 3 || found != 1 {
		t.Errorf("%d pages with %d tasks, want 3 with 1", pages, found)
	}
}

// TestStore_Trim_clockBack trims a history in which an older entry stands behind a younger one.
func TestStore_Trim_clockBack(t *testing.T) {
	s, clk := open(t)
	end := func(name string) {
		put(t, s, name, at(time.Hour))
		must(s.Cancel(t.Context(), []store.Cancel{{Key: key(name)}}))
	}
	clk.Advance(time.Hour)
	end("young")
	clk.Step(-2 * time.Hour)
	end("old")
	n, err := s.Trim(t.Context(), store.Retention{HistoryFrom: store.At(start)})
	if n != 1 || err != nil {
		t.Errorf("Trim: %d, %v, want 1", n, err)
	}
	if h := must(s.History(t.Context(), store.HistoryQuery{})); len(h) != 1 || h[0].Name != "young" {
		t.Errorf("after Trim there are %d entries", len(h))
	}
	if h := must(s.History(t.Context(), store.HistoryQuery{Key: key("old")})); len(h) != 0 {
		t.Errorf("of a key whose entries were trimmed there are %d", len(h))
	}
	end("young")
	if n := must(s.Trim(t.Context(), store.Retention{MaxHistory: 1})); n != 1 {
		t.Errorf("Trim to one entry: %d, want 1", n)
	}
}

// TestStore_year lets a schedule of every ten minutes and its thousand neighbours run through a year of a bubble's time.
func TestStore_year(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New(memory.Options{})
		now := must(s.Clock(t.Context())).Now
		const every = 600e6
		for i := range 1000 {
			put(t, s, strconv.Itoa(i), store.On(store.Occurrence{For: now + store.Instant(i+1)*31_536e6}))
		}
		must(s.Put(t.Context(), []store.Put{{
			Key: key("beat"), Spec: store.Spec{Kind: "k", Recurring: true}, When: store.On(store.Occurrence{For: now + every}),
		}}))
		ran := 0
		for end := now + 366*86_400e6; now < end; {
			page := must(s.Due(t.Context(), store.DueQuery{Until: now}))
			for _, task := range page.Tasks {
				c := store.Claim{RunID: store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}, Lease: 1}
				if task.Recurring {
					c.Next = store.Occurrence{For: task.Next.For + every, Due: task.Next.For + every}
				}
				r := must(s.Claim(t.Context(), []store.Claim{c}))[0]
				if r.Err != nil || r.At != task.Next.For {
					t.Fatalf("claim of %v, due %v: at %v, %v", task.Key, task.Next.Due, r.At, r.Err)
				}
				must(s.Settle(t.Context(), []store.Settlement{{RunID: r.RunID, Fence: r.Fence, Verb: store.VerbSettle, State: store.Done}}))
				ran++
			}
			next := must(s.Due(t.Context(), store.DueQuery{Until: now})).Next
			time.Sleep(next.Sub(now))
			now = must(s.Clock(t.Context())).Now
		}
		if want := 366*144 - 1 + 1000; ran != want {
			t.Errorf("%d runs in a year, want %d", ran, want)
		}
		if st := must(s.Stats(t.Context())); st.Tasks != 1 || st.Running != 0 || st.History != int64(ran) {
			t.Errorf("after a year: %+v", st)
		}
	})
}

// TestStore_storm has many goroutines put, claim, settle, cancel and read the same few names while the store restarts, and looks at what
// only the race detector and the end can tell.
func TestStore_storm(t *testing.T) {
	s, _ := open(t)
	ctx := t.Context()
	var wg sync.WaitGroup
	var mu sync.Mutex
	fences := map[store.Key]map[int64]bool{}
	for g := range 8 {
		wg.Go(func() {
			hints, stop := s.Hints()
			defer stop()
			for i := range 300 {
				k := key(strconv.Itoa((g + i) % 5))
				_, _ = s.Put(ctx, []store.Put{{Key: k, Spec: store.Spec{Kind: "k", Priority: int32(i)}, When: at(-time.Second)}}) // a restart may refuse any call
				page, _ := s.Due(ctx, store.DueQuery{Until: store.Never, Limit: 2})
				for _, task := range page.Tasks {
					c := store.Claim{RunID: store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}, Lease: 1}
					r, err := s.Claim(ctx, []store.Claim{c})
					if err != nil || r[0].Err != nil {
						continue
					}
					mu.Lock()
					if fences[task.Key] == nil {
						fences[task.Key] = map[int64]bool{}
					}
					if fences[task.Key][r[0].Fence] {
						t.Errorf("fence %d of %v was given twice", r[0].Fence, task.Key)
					}
					fences[task.Key][r[0].Fence] = true
					mu.Unlock()
					for range 2 { // one of them for a restart
						_, _ = s.Settle(ctx, []store.Settlement{{RunID: r[0].RunID, Fence: r[0].Fence, Verb: store.VerbSettle, State: store.Dead}})
					}
				}
				_, _ = s.List(ctx, store.Query{AllNamespaces: true, State: store.Dead, Limit: 3})
				_, _ = s.History(ctx, store.HistoryQuery{Key: k, Newest: true})
				_, _ = s.Trim(ctx, store.Retention{MaxHistory: 100})
				_, _ = s.Cancel(ctx, []store.Cancel{{Key: k}})
				select {
				case <-hints:
				default:
				}
				if i%100 == 99 {
					s.Restart()
				}
			}
		})
	}
	wg.Wait()
	var tasks, running int64
	for _, task := range must(s.List(ctx, store.Query{AllNamespaces: true})).Tasks {
		tasks, running = tasks+1, running+int64(task.Running())
	}
	dead := must(s.List(ctx, store.Query{AllNamespaces: true, State: store.Dead, Limit: 1 << 20}))
	st := must(s.Stats(ctx))
	if st.Tasks != tasks || st.Running != running || st.Dead != int64(len(dead.Tasks)) || len(fences) == 0 {
		t.Errorf("counted %+v; there are %d tasks, %d running, %d dead, and %d names had an attempt", st, tasks, running, len(dead.Tasks), len(fences))
	}
}

// TestStore_DueBytes holds a page of what is due to what its payloads have, as one of a list.
func TestStore_DueBytes(t *testing.T) {
	s, _ := open(t)
	for i := range 9 {
		p := store.Put{Key: key(strconv.Itoa(i)), Spec: store.Spec{Kind: "k", Payload: make([]byte, store.PageBytes/4)}, When: at(0)}
		if _, err := s.Put(t.Context(), []store.Put{p}); err != nil {
			t.Fatal(err)
		}
	}
	q := store.DueQuery{Until: store.Never}
	for _, want := range []int{4, 4, 1} {
		p, err := s.Due(t.Context(), q)
		if err != nil || len(p.Tasks) != want || p.More != (want == 4) {
			t.Fatalf("a page has %d tasks, more: %v, error %v; want %d", len(p.Tasks), p.More, err, want)
		}
		q.After = p.Cursor
	}
}
