package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/storetest"
)

// A crowd works on a store at once. Each has names of its own, so that what it is told is all that can be known of them.
type crowd struct {
	mu  sync.Mutex // held while a moment is looked at: nothing is noted meanwhile
	l   ledger
	err error
	ops atomic.Int64

	// tell, if it is not nil, hears of each op before it is handed in, and of its answer before that is noted.
	tell func(begin *op, k store.Key, t *store.Task, row error)

	forgive bool // errors of storage are no failure
	refused atomic.Int64
	unknown atomic.Int64
}

// work hands ops in, one at a time, for the names, until ctx ends or a call fails.
func (c *crowd) work(ctx context.Context, s store.Store, rng *rand.Rand, numbers *atomic.Int64, keys []store.Key) {
	for ctx.Err() == nil {
		k := keys[rng.IntN(len(keys))]
		c.mu.Lock()
		o := c.l[k].choose(rng, k, numbers.Add(1))
		c.l[k].pending = o
		if c.tell != nil {
			c.tell(o, k, nil, nil)
		}
		c.mu.Unlock()
		t, row, err := o.do(context.WithoutCancel(ctx), s)
		if c.forgive && (err != nil && typed(err) || row != nil && typed(row)) {
			c.forgiven(context.WithoutCancel(ctx), s, k, err)
			wait(ctx)
			continue
		}
		c.mu.Lock()
		if err == nil && c.tell != nil {
			c.tell(nil, k, t, row)
		}
		if err == nil {
			var n *record
			if n, err = c.l[k].answer(o, t, row); err == nil {
				c.l[k] = n
			}
		}
		if err != nil && c.err == nil {
			c.err = err
		}
		bad := c.err != nil
		c.mu.Unlock()
		if bad {
			return
		}
		c.ops.Add(1)
	}
}

// forgiven waits until the store works again, and finds out what has become of an op.
func (c *crowd) forgiven(ctx context.Context, s store.Store, k store.Key, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !errors.Is(err, store.ErrUnknown) {
		c.refused.Add(1)
		c.l[k] = c.l[k].unasked()
		return
	}
	c.unknown.Add(1)
	for c.err == nil {
		c.mu.Unlock()
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		seen, err := look(limited, s, []store.Key{k})
		cancel()
		c.mu.Lock()
		switch {
		case err != nil && !typed(err):
			c.err = err
		case err == nil:
			n, why := c.l[k].settle(seen[k])
			if why != "" {
				c.err = fmt.Errorf("%s %s", k, why)
				return
			}
			c.l[k] = n
			return
		}
	}
}

// TestPowerCuts cuts the power at random moments of a random workload.
func TestPowerCuts(t *testing.T) {
	defer pebble.SmallTables(1 << 20)()
	clones := crashes(75, 500, 10_000)
	if raceEnabled {
		clones /= 3
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	const each = 25
	var ops int64
	for life := range clones / each {
		ops += powerCuts(t, seed+uint64(life), each)
	}
	t.Logf("%d clones, %d operations", clones, ops)
}

// powerCuts lets a crowd work on one store and cuts the power n times; the store itself goes on, and the clones are looked at.
func powerCuts(t *testing.T, seed uint64, n int) int64 {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, fs)
	var keys []store.Key
	for i := range 32 {
		keys = append(keys, store.Key{Namespace: "n", Name: fmt.Sprintf("task-%02d", i)})
	}
	c := &crowd{l: newLedger(keys...)}
	var numbers atomic.Int64
	for cut := range n {
		what := fmt.Sprintf("seed %d, cut %d", seed, cut)
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		from := c.ops.Load()
		for i := range 8 {
			mine, theirs := keys[i*4:i*4+4], rand.New(rand.NewPCG(seed, uint64(cut*8+i+2)))
			all.Go(func() { c.work(ctx, s, theirs, &numbers, mine) })
		}
		for want := from + rng.Int64N(150); c.ops.Load() < want && c.failed() == nil; {
			wait(t.Context())
		}
		known, after := c.cut(fs, rng)
		closing := rng.IntN(5) == 0
		if closing { // and also while it is closed
			stop()
			all.Wait()
			known, after = c.closing(t, fs, s, rng)
			s = mustOpen(t, fs)
		}
		stop()
		all.Wait()
		if err := c.failed(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		lookAt(t, what, after, known, rng)
	}
	c.l.check(t, fmt.Sprintf("seed %d, at the end", seed), s)
	if err := s.Close(); err != nil {
		t.Fatalf("seed %d: Close: %v", seed, err)
	}
	audit(t, fmt.Sprintf("seed %d, closed", seed), fs)
	return c.ops.Load()
}

func (c *crowd) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// cut takes what would be left if the power went now, and what is known at this moment.
func (c *crowd) cut(fs *vfs.MemFS, rng *rand.Rand) (ledger, *vfs.MemFS) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.l.clone()
	switch rng.IntN(4) {
	case 0:
		return known, fs.CrashClone(vfs.CrashCloneCfg{})
	case 1:
		return known, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
	case 2:
		return known, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
	}
	return known, torn(fs, rng)
}

// closing cuts the power at some moment while the store is closed, or right after.
func (c *crowd) closing(t testing.TB, fs *vfs.MemFS, s *pebble.Store, rng *rand.Rand) (ledger, *vfs.MemFS) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- s.Close() }()
	for range rng.IntN(6) {
		wait(t.Context())
	}
	known, after := c.cut(fs, rng)
	if err := <-done; err != nil {
		t.Fatalf("Close: %v", err)
	}
	if rng.IntN(2) == 0 {
		return c.cut(fs, rng)
	}
	return known, after
}

// torn leaves what is synced, and of what was written to the newest log since then the first bytes, the last ones garbled. That is what
// a disk may do: it knows nothing of records, and what nobody has synced may hold anything.
func torn(fs *vfs.MemFS, rng *rand.Rand) *vfs.MemFS {
	synced := fs.CrashClone(vfs.CrashCloneCfg{})
	name := newestLog(synced)
	if name == "" {
		return synced
	}
	sure, later := bytesOf(synced, name), bytesOf(fs, name)
	if len(later) <= len(sure) {
		return synced // nobody was writing: what is at rest stays as it is
	}
	tail := slices.Clone(later[len(sure):])
	switch tail = tail[:1+rng.IntN(len(tail))]; rng.IntN(4) {
	case 0: // space that was allocated ahead
		tail = append(tail, make([]byte, rng.IntN(5000))...)
	case 1:
		for i := range tail[rng.IntN(len(tail)):] {
			tail[len(tail)-1-i] = byte(rng.IntN(256))
		}
	case 2:
		tail[rng.IntN(len(tail))] ^= 1 << rng.IntN(8)
	}
	f, err := synced.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(append(sure, tail...))
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		panic(err) // memory does not fail
	}
	return synced
}

func newestLog(fs vfs.FS) (name string) {
	names, err := fs.List("store")
	if err != nil {
		return ""
	}
	slices.Sort(names)
	for _, n := range names {
		if strings.HasSuffix(n, ".log") {
			name = "store/" + n
		}
	}
	return name
}

func bytesOf(fs vfs.FS, name string) []byte {
	f, err := fs.Open(name)
	if err != nil {
		return nil
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		panic(err) // memory does not fail
	}
	return b
}

// lookAt opens what a power cut has left.
func lookAt(t testing.TB, what string, fs *vfs.MemFS, known ledger, rng *rand.Rand) {
	t.Helper()
	s := mustOpen2(t, what, fs)
	if rng.IntN(4) == 0 { // and again, as soon as it is open
		next := fs.CrashClone(vfs.CrashCloneCfg{})
		before := known.clone()
		before.check(t, what+", opened", s)
		closeStore(t, what, s)
		fs, s = next, mustOpen2(t, what+", cut again", next)
		for _, r := range before { // what was there may have been shown
			r.pending = nil
		}
		known = before
	}
	known.check(t, what, s)
	storetest.Invariants(t, s)
	closeStore(t, what, s)
	audit(t, what, fs)
	if t.Failed() {
		t.Fatal(what)
	}
}

func closeStore(t testing.TB, what string, s *pebble.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("%s: Close: %v", what, err)
	}
}

func mustOpen(t testing.TB, fs vfs.FS) *pebble.Store {
	t.Helper()
	return mustOpen2(t, "at first", fs)
}

func mustOpen2(t testing.TB, what string, fs vfs.FS) *pebble.Store {
	t.Helper()
	s, err := pebble.Open("store", (&home{fs: nil}).optionsOn(fs))
	if err != nil {
		t.Fatalf("%s: Open: %v", what, err)
	}
	return s
}

// optionsOn is what the tests of crashes and faults open stores with.
func (h *home) optionsOn(fs vfs.FS) pebble.Options {
	o := h.options()
	o.FS = fs
	return o
}

// wait gives way for a moment.
func wait(ctx context.Context) {
	select {
	case <-time.After(200 * time.Microsecond): // real time: the store works on other goroutines
	case <-ctx.Done():
	}
}

// audit looks at the keys of a closed store, below its methods: each name has one place and each place a name, and nothing is left of a
// task that is gone.
func audit(t testing.TB, what string, fs vfs.FS) {
	t.Helper()
	auditAt(t, what, fs, "store")
}

func auditAt(t testing.TB, what string, fs vfs.FS, dir string) {
	t.Helper()
	db, err := pdb.Open(dir, &pdb.Options{FS: fs, ReadOnly: true, Logger: hush{}})
	if err != nil {
		t.Fatalf("%s: open the database: %v", what, err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("%s: close the database: %v", what, err)
		}
	}()
	it, err := db.NewIter(nil)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[byte]map[string]string{'t': {}, 'd': {}, 'r': {}, 'p': {}}
	for ok := it.First(); ok; ok = it.Next() {
		k := string(it.Key())
		switch k[0] {
		case 'd':
			if was, twice := kinds['d'][k[9:]]; twice {
				t.Errorf("%s: %q is at %x and at %x", what, k[9:], was, k[1:9])
			}
			kinds['d'][k[9:]] = k[1:9]
		case 't':
			kinds['t'][k[1:]] = string(it.Value()[:8])
		case 'r', 'p':
			kinds[k[0]][k[1:]] = ""
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	for name, pos := range kinds['t'] {
		if kinds['d'][name] != pos {
			t.Errorf("%s: %q should be at %x and is at %x", what, name, pos, kinds['d'][name])
		}
	}
	for _, kind := range []byte{'d', 'r', 'p'} {
		for name := range kinds[kind] {
			if _, ok := kinds['t'][name]; !ok {
				t.Errorf("%s: key %c of %q is left over", what, kind, name)
			}
		}
	}
}

type hush struct{}

func (hush) Infof(string, ...any)  {}
func (hush) Errorf(string, ...any) {}
func (hush) Fatalf(f string, a ...any) {
	panic(fmt.Sprintf(f, a...))
}
