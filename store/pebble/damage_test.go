package pebble_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
)

var everyByte = flag.Bool("damage.all", false, "damage every byte of the small stores, not a sample of them")

var damageStart = time.Date(2031, time.March, 14, 15, 9, 26, 0, time.UTC)

// quiet are options of a store in memory on a clock that stands still.
func quiet(fs vfs.FS, clk clock.Clock) pebble.Options {
	return pebble.Options{Clock: clk, FS: fs, MinFree: -1, CacheSize: 1 << 20, Logger: slog.New(slog.DiscardHandler)}
}

func must[T any](t testing.TB) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// furnish puts something of every kind into a store: plain, large, paused, running, retried, dead, ended tasks, and their history.
func furnish(t testing.TB, s *pebble.Store) {
	t.Helper()
	ctx := t.Context()
	now := store.At(damageStart)
	spec := store.Spec{Kind: "remind", Schedule: "once", Policy: []byte("policy"), LimitKey: "shop", Tags: []string{"a", "b"}, Priority: -3}
	for i := range 30 {
		p := store.Put{Key: store.Key{Namespace: []string{"", "shop"}[i%2], Name: fmt.Sprintf("task-%02d", i)}, Spec: spec}
		p.Payload = []byte(strings.Repeat(fmt.Sprintf("<%d>", i), 1+i))
		if i%10 == 9 {
			p.Payload = []byte(strings.Repeat("large", 500+i)) // under a key of its own
		}
		p.When = store.On(store.Occurrence{For: now - store.Instant(i%3)*1000 + store.Instant(i/10)*3_600_000_000})
		for _, r := range must[[]store.PutResult](t)(s.Put(ctx, []store.Put{p})) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
	page := must[store.DuePage](t)(s.Due(ctx, store.DueQuery{Until: now}))
	for i, task := range page.Tasks {
		if task.Next.None() || task.Running() > 0 {
			continue // it is furnished already
		}
		id := store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}
		c := must[[]store.ClaimResult](t)(s.Claim(ctx, []store.Claim{{RunID: id, Lease: time.Minute, Owner: "node"}}))[0]
		if c.Err != nil {
			t.Fatal(c.Err)
		}
		end := store.Settlement{RunID: c.RunID, Fence: c.Fence, Verb: store.VerbSettle, State: store.Done}
		switch i % 4 {
		case 0:
			continue // it runs
		case 1:
			end.State, end.Reason = store.Dead, "too often"
		case 2:
			end.Verb, end.State, end.When = store.VerbRetry, store.None, store.In(time.Minute, 0)
		}
		if r := must[[]store.SettleResult](t)(s.Settle(ctx, []store.Settlement{end}))[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	for _, i := range []int{12, 13, 29} {
		k := store.Key{Namespace: []string{"", "shop"}[i%2], Name: fmt.Sprintf("task-%02d", i)}
		if r := must[[]store.EditResult](t)(s.Edit(ctx, []store.Edit{{Verb: store.VerbPause, Key: k, Reason: "stocktaking"}}))[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
}

// A contents is all that a store shows.
type contents struct {
	Tasks, Due, Dead []*store.Task
	Events           []store.Event
	Stats            store.Stats
}

// read reads all of a store in every way there is. What an error leaves out is nil.
func read(ctx context.Context, s *pebble.Store) (c contents, errs []error) {
	note := func(err error) bool {
		if err != nil {
			errs = append(errs, err)
		}
		return err == nil
	}
	if p, err := s.List(ctx, store.Query{AllNamespaces: true, Limit: 1000}); note(err) {
		c.Tasks = p.Tasks
	}
	if p, err := s.Due(ctx, store.DueQuery{Until: store.Never}); note(err) {
		c.Due = p.Tasks
	}
	if p, err := s.List(ctx, store.Query{AllNamespaces: true, State: store.Dead, Limit: 1000}); note(err) {
		c.Dead = p.Tasks
	}
	if e, err := s.History(ctx, store.HistoryQuery{Limit: 1000}); note(err) {
		c.Events = e
	}
	if st, err := s.Stats(ctx); note(err) {
		c.Stats = st
	}
	for _, tasks := range [][]*store.Task{c.Tasks, c.Due, c.Dead} {
		for i, t := range tasks {
			n := *t // leases end with the process
			n.Runs = slices.Clone(t.Runs)
			for j := range n.Runs {
				n.Runs[j].Lease = 0
			}
			tasks[i] = &n
		}
	}
	return c, errs
}

// files are a directory's, by name.
type files map[string][]byte

func slurp(t testing.TB, fs vfs.FS, dir string) files {
	t.Helper()
	all := files{}
	for _, name := range must[[]string](t)(fs.List(dir)) {
		f := must[vfs.File](t)(fs.Open(fs.PathJoin(dir, name)))
		all[name] = must[[]byte](t)(io.ReadAll(f))
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// lay writes files into a directory of a new file system in memory.
func (f files) lay(t testing.TB, dir string) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, b := range f {
		w := must[vfs.File](t)(fs.Create(fs.PathJoin(dir, name), vfs.WriteCategoryUnspecified))
		if _, err := w.Write(slices.Clone(b)); err != nil { // Write may change what it is given
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

func (f files) names() []string {
	return slices.Sorted(maps.Keys(f))
}

// A damage is done to one file.
type damage struct {
	what string
	do   func(b []byte) []byte // nil takes the file away
}

// damages returns what is done to a file of n bytes: a sample of flips, always with its ends, and truncations.
func damages(rng *rand.Rand, n, flips int) (all []damage) {
	flip := func(i int, mask byte) {
		all = append(all, damage{fmt.Sprintf("byte %d ^ %#02x", i, mask), func(b []byte) []byte { b[i] ^= mask; return b }})
	}
	cut := func(i int) {
		all = append(all, damage{fmt.Sprintf("cut to %d bytes", i), func(b []byte) []byte { return b[:i] }})
	}
	if *everyByte || flips > n {
		flips = n
	}
	for i := range min(n, 4) {
		flip(i, 1<<rng.IntN(8))
		flip(n-1-i, 0xff)
	}
	for i := range flips {
		at := i
		if flips < n {
			at = rng.IntN(n)
		}
		flip(at, byte(1+rng.IntN(255)))
	}
	for i := range min(n, 1+flips/4) {
		if i > 0 {
			i = rng.IntN(n)
		}
		cut(i)
	}
	if n > 1 {
		cut(n - 1)
	}
	return append(all, damage{what: "taken away"})
}

// verdict opens a damaged store and says what became of the damage: "noticed on open", "noticed on read" or "harmless"; what is
// neither is an error.
func verdict(t testing.TB, f files, want contents) (string, error) {
	t.Helper()
	typed := func(err error) error {
		if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFormat) {
			return fmt.Errorf("an error without a type: %w", err)
		}
		return nil
	}
	s, err := pebble.Open("store", quiet(f.lay(t, "store"), clock.NewManual(damageStart)))
	if err != nil {
		return "noticed on open: " + err.Error(), typed(err)
	}
	defer func() { _ = s.Close() }() // damage may be met here, too
	got, errs := read(t.Context(), s)
	if len(errs) > 0 {
		for _, err := range errs {
			if err := typed(err); err != nil {
				return "", err
			}
		}
		// What could be read must be right.
		if got.Tasks == nil {
			got.Tasks = want.Tasks
		}
		if got.Due == nil {
			got.Due = want.Due
		}
		if got.Dead == nil {
			got.Dead = want.Dead
		}
		if got.Events == nil {
			got.Events = want.Events
		}
		if got.Stats == (store.Stats{}) {
			got.Stats = want.Stats
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return "", fmt.Errorf("wrong data (-want +got):\n%.2000s", diff)
	}
	if len(errs) > 0 {
		return "noticed on read: " + errs[0].Error(), nil
	}
	return "harmless", nil
}

// smash damages each file of a store in many ways, and demands that each is noticed or harmless. In the ordinary test it is a third
// of these ways.
func smash(t *testing.T, f files, want contents, flips int) {
	t.Helper()
	every := 3
	switch {
	case *everyByte:
		every = 1
	case raceEnabled:
		every = 6 // what damage does, the tests without the race detector show
	}
	rng := rand.New(rand.NewPCG(3, 14))
	said := map[string]string{}
	for _, name := range f.names() {
		count := map[string]int{}
		for i, d := range damages(rng, len(f[name]), flips) {
			if i%every != 0 && d.do != nil { // the last one has the file taken away
				continue
			}
			broken := maps.Clone(f)
			if delete(broken, name); d.do != nil {
				broken[name] = d.do(slices.Clone(f[name]))
			}
			v, err := verdict(t, broken, want)
			if err != nil {
				t.Errorf("%s: %s: %v", name, d.what, err)
				continue
			}
			kind, text, _ := strings.Cut(v, ": ")
			count[kind]++
			if text != "" {
				said[name+" "+kind] = d.what + ": " + text
			}
		}
		t.Logf("%s, %d bytes: %v", name, len(f[name]), count)
	}
	for _, k := range slices.Sorted(maps.Keys(said)) {
		t.Logf("%s: %s", k, said[k])
	}
}

// A store that was closed is sealed: whatever happens to its files is noticed when it is opened, or when what was damaged is read.
func TestDamage_Closed(t *testing.T) {
	clk := clock.NewManual(damageStart)
	fs := vfs.NewMem()
	s := must[*pebble.Store](t)(pebble.Open("store", quiet(fs, clk)))
	furnish(t, s)
	want, errs := read(t.Context(), s)
	if err := errors.Join(append(errs, s.Close())...); err != nil {
		t.Fatal(err)
	}
	smash(t, slurp(t, fs, "store"), want, 15)
}

// After kill -9 the newest writes are in the log only. What the mark covers can't get lost without a word.
func TestDamage_Killed(t *testing.T) {
	clk := clock.NewManual(damageStart)
	fs := vfs.NewMem()
	s := must[*pebble.Store](t)(pebble.Open("store", quiet(fs, clk)))
	furnish(t, s)
	want, errs := read(t.Context(), s)
	if err := errors.Join(append(errs, s.Mark())...); err != nil {
		t.Fatal(err)
	}
	f := slurp(t, fs, "store") // as it is while the store is open: the process may be killed now
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	smash(t, f, want, 12)
}

// The same for a store with tables and a manifest that has grown: an older manifest is not taken for the newest.
func TestDamage_KilledLater(t *testing.T) {
	clk := clock.NewManual(damageStart)
	fs := vfs.NewMem()
	open := func() *pebble.Store { return must[*pebble.Store](t)(pebble.Open("store", quiet(fs, clk))) }
	for range 2 {
		s := open()
		furnish(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		clk.Advance(time.Minute)
	}
	s := open()
	declare(t, s, "last", "of all")
	want, errs := read(t.Context(), s)
	if err := errors.Join(append(errs, s.Mark())...); err != nil {
		t.Fatal(err)
	}
	f := slurp(t, fs, "store")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	smash(t, f, want, 4)
}

// A log of many blocks: the database itself notices damage in all but the last of them, the mark in that.
func TestDamage_LongLog(t *testing.T) {
	fs := vfs.NewMem()
	s := must[*pebble.Store](t)(pebble.Open("store", quiet(fs, clock.NewManual(damageStart))))
	for i := range 80 {
		declare(t, s, fmt.Sprintf("task-%02d", i), strings.Repeat("x", 1500))
	}
	want, errs := read(t.Context(), s)
	if err := errors.Join(append(errs, s.Mark())...); err != nil {
		t.Fatal(err)
	}
	f := slurp(t, fs, "store")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const name = "000002.log"
	if len(f[name]) < 4<<15 {
		t.Fatalf("%s has %d bytes, want four blocks", name, len(f[name]))
	}
	for _, at := range []int{100, 40_000, 70_000, 100_000, len(f[name]) - 1600, len(f[name]) - 20} {
		broken := files{}
		for n, b := range f {
			broken[n] = slices.Clone(b)
		}
		broken[name][at] ^= 4
		if v, err := verdict(t, broken, want); err != nil || !strings.HasPrefix(v, "noticed on open") {
			t.Errorf("byte %d: %s, %v", at, v, err)
		}
	}
}

func declare(t testing.TB, s *pebble.Store, name, payload string) {
	t.Helper()
	res, err := s.Put(t.Context(), []store.Put{{
		Key: store.Key{Name: name}, Spec: store.Spec{Kind: "remind", Payload: []byte(payload)}, When: store.In(time.Hour, 0),
	}})
	if err == nil {
		err = res[0].Err
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What was written so lately that the mark does not cover it may get lost by damage to the log, as if it had never been written, and
// everything after it too: but what is there is what was there once. This is the limit that docs/format.md tells of.
func TestDamage_AheadOfMark(t *testing.T) {
	fs := vfs.NewMem()
	s := must[*pebble.Store](t)(pebble.Open("store", quiet(fs, clock.NewManual(damageStart))))
	var once []contents
	note := func() {
		c, errs := read(t.Context(), s)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		once = append(once, c)
	}
	note()
	for i := range 10 {
		declare(t, s, fmt.Sprintf("task-%02d", i), strings.Repeat("x", 300*i))
		note()
	}
	f := slurp(t, fs, "store")
	delete(f, "MARK") // in case that the test was slow
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	const name = "000002.log"
	lost := 0
	for _, d := range damages(rand.New(rand.NewPCG(2, 7)), len(f[name]), 8) {
		if d.do == nil {
			continue
		}
		broken := maps.Clone(f)
		broken[name] = d.do(slices.Clone(f[name]))
		s, err := pebble.Open("store", quiet(broken.lay(t, "store"), clock.NewManual(damageStart)))
		if errors.Is(err, store.ErrCorrupt) {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", d.what, err)
		}
		got, errs := read(t.Context(), s)
		if err := errors.Join(append(errs, s.Close())...); err != nil {
			t.Fatalf("%s: %v", d.what, err)
		}
		i := slices.IndexFunc(once, func(c contents) bool { return cmp.Equal(c, got) })
		if i < 0 {
			t.Errorf("%s: a state that never was (-newest +got):\n%.2000s", d.what, cmp.Diff(once[len(once)-1], got))
		} else if i < len(once)-1 {
			lost++
		}
	}
	if lost == 0 {
		t.Error("nothing got lost: the limit is gone, and docs/format.md and mark.go can say so")
	}
}

// The mark follows what is synced by itself.
func TestDamage_MarkFollows(t *testing.T) {
	fs := vfs.NewMem()
	s := must[*pebble.Store](t)(pebble.Open("store", quiet(fs, clock.NewManual(damageStart))))
	declare(t, s, "a", "b")
	for {
		if _, err := fs.Stat("store/MARK"); err == nil {
			break
		}
		runtime.Gosched()
	}
	declare(t, s, "b", "c")
	marked := func() string { return string(slurp(t, fs, "store")["MARK"]) }
	for first := marked(); marked() == first; {
		runtime.Gosched()
	}
	want := "00000000000000000002"
	if got := marked(); !strings.Contains(got, want) {
		t.Errorf("the mark is %q, want batch %s", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Damage to the mark itself costs nothing: one of its two lines is whole.
func TestDamage_Mark(t *testing.T) {
	fs := vfs.NewMem()
	s := must[*pebble.Store](t)(pebble.Open("store", quiet(fs, clock.NewManual(damageStart))))
	for i := range 5 {
		declare(t, s, fmt.Sprint("a", i), "b")
		if err := s.Mark(); err != nil {
			t.Fatal(err)
		}
	}
	f := slurp(t, fs, "store")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f["000002.log"] = f["000002.log"][:0] // all is lost, and either line shall tell
	for i := range f["MARK"] {
		broken := files{}
		for n, b := range f {
			broken[n] = slices.Clone(b)
		}
		broken["MARK"][i] ^= 0x10
		if _, err := pebble.Open("store", quiet(broken.lay(t, "store"), clock.NewManual(damageStart))); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("byte %d: %v, want ErrCorrupt", i, err)
		}
	}
}
