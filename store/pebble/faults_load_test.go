package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/storetest"
)

// A storm fails storage calls while it blows, some of them or all.
type storm struct {
	share atomic.Int64 // of a thousand calls, how many fail
	reads atomic.Bool  // those that read as well
	calls atomic.Uint64
	fails atomic.Int64
}

func (s *storm) String() string { return "a storm" }

// MaybeError implements errorfs.Injector.
func (s *storm) MaybeError(o errorfs.Op) error {
	share := s.share.Load()
	if share == 0 || !s.reads.Load() && o.Kind.ReadOrWrite() == errorfs.OpIsRead {
		return nil
	}
	if s.calls.Add(1)*0x9e3779b97f4a7c15>>32%1000 >= uint64(share) {
		return nil
	}
	s.fails.Add(1)
	return syscall.EIO
}

// TestFaultsUnderLoad lets storage fail for a while under many callers, again and again: the store must come back by itself, with all
// that it has acknowledged and nothing that it has refused.
func TestFaultsUnderLoad(t *testing.T) {
	defer pebble.Hurry(time.Millisecond)()
	defer pebble.SmallTables(1 << 20)()
	rounds, most := 4, 60
	switch {
	case long():
		rounds, most = 300, 300
	case raceEnabled:
		rounds = 1
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var total [4]int64
	round := 0
	for ; round < rounds || round < most && (total[1] == 0 || total[2] == 0); round++ { // few rounds have both
		for i, n := range stormy(t, seed+uint64(round)) {
			total[i] += n
		}
	}
	t.Logf("%d rounds: %d ops, %d refused, %d unknown, %d storage calls failed", round, total[0], total[1], total[2], total[3])
	if total[1] == 0 || total[2] == 0 {
		t.Error("no op was refused, or none was left unknown: nothing was tested")
	}
}

func stormy(t *testing.T, seed uint64) [4]int64 {
	t.Helper()
	what := fmt.Sprintf("seed %d", seed)
	defer watch(func() string { return what })()
	rng := rand.New(rand.NewPCG(seed, 1))
	mem, weather := vfs.NewMem(), &storm{}
	s := mustOpen2(t, what, failing(mem, weather))
	var keys []store.Key
	for i := range 32 {
		keys = append(keys, store.Key{Name: fmt.Sprintf("task-%02d", i)})
	}
	c := &crowd{l: newLedger(keys...), forgive: true}
	ctx, stop := context.WithCancel(t.Context())
	var numbers atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		mine, theirs := keys[i*2:i*2+2], rand.New(rand.NewPCG(seed, uint64(i+2)))
		all.Go(func() { c.work(ctx, s, theirs, &numbers, mine) })
	}
	large := &largeCalls{s: s}
	all.Go(func() { large.work(ctx) })
	for range 3 {
		for until := c.ops.Load() + 20 + rng.Int64N(300); c.ops.Load() < until && c.failed() == nil; {
			wait(t.Context())
		}
		weather.reads.Store(rng.IntN(2) == 0)
		weather.share.Store([]int64{20, 300, 1000}[rng.IntN(3)])
		for range rng.IntN(20) {
			wait(t.Context())
		}
		weather.share.Store(0)
	}
	for until := c.ops.Load() + 100; c.ops.Load() < until && c.failed() == nil; { // it works again
		wait(t.Context())
	}
	stop()
	all.Wait()
	if err := errors.Join(c.failed(), large.err); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	c.l.check(t, what, s)
	storetest.Invariants(t, s)
	closeStore(t, what, s)
	s = mustOpen2(t, what, mem)
	c.l.check(t, what+", opened anew", s)
	large.check(t, what, s)
	storetest.Invariants(t, s)
	closeStore(t, what, s)
	audit(t, what, mem)
	if t.Failed() {
		t.Fatal(what)
	}
	return [4]int64{c.ops.Load(), c.refused.Load(), c.unknown.Load(), weather.fails.Load()}
}

// largeCalls are calls whose rows do not fit into one batch. They are written whole, not at all, or their error says that it is
// not known.
type largeCalls struct {
	s     store.Store
	n     int
	told  map[int]error
	rows  map[int]int // that were written: a row is refused alone if its name can't be read
	err   error
	bytes []byte
}

func (l *largeCalls) work(ctx context.Context) {
	l.told, l.rows, l.bytes = map[int]error{}, map[int]int{}, make([]byte, 600<<10)
	for ; ctx.Err() == nil && l.n < 6; l.n++ {
		puts := make([]store.Put, 10)
		for i := range puts {
			puts[i] = (&op{Key: l.key(i), N: int64(l.n + 1)}).put()
			puts[i].Payload = l.bytes
		}
		res, err := l.s.Put(context.WithoutCancel(ctx), puts)
		if err != nil && !typed(err) {
			l.err = err
			return
		}
		l.told[l.n] = err
		for i := range res {
			if res[i].Err == nil {
				l.rows[l.n]++
			}
		}
	}
}

func (l *largeCalls) key(i int) store.Key {
	return store.Key{Namespace: "large", Name: fmt.Sprintf("%d-%d", l.n, i)}
}

func (l *largeCalls) check(t testing.TB, what string, s store.Store) {
	t.Helper()
	for n, err := range l.told {
		l.n = n
		var keys []store.Key
		for i := range 10 {
			keys = append(keys, l.key(i))
		}
		got, gerr := s.Get(t.Context(), keys)
		if gerr != nil {
			t.Fatalf("%s: %v", what, gerr)
		}
		there := 0
		for _, task := range got {
			if task != nil {
				there++
			}
		}
		switch {
		case err == nil && there != l.rows[n]:
			t.Errorf("%s: %d rows of a call are there, and %d were acknowledged", what, there, l.rows[n])
		case err != nil && !errors.Is(err, store.ErrUnknown) && there != 0:
			t.Errorf("%s: %d of 10 rows of a call are there whose error says that nothing was written: %v", what, there, err)
		}
	}
}

// TestFaultsLargeCall: the first rows of a call are on their way when the sync that holds them fails, and the last ones were not handed
// in at all. Nobody may say then that nothing was written.
func TestFaultsLargeCall(t *testing.T) {
	defer pebble.Hurry(time.Millisecond)()
	var fail atomic.Bool
	mem := vfs.NewMem()
	s := mustOpen2(t, "at first", errorfs.Wrap(mem, errorfs.InjectorFunc(func(o errorfs.Op) error {
		if fail.Load() && (o.Kind == errorfs.OpFileSync || o.Kind == errorfs.OpFileSyncData) {
			return syscall.EIO
		}
		return nil
	})))
	puts := make([]store.Put, 10)
	for i := range puts {
		puts[i] = (&op{Key: store.Key{Name: strconv.Itoa(i)}, N: int64(i + 1), Size: 600 << 10}).put()
	}
	hints, stop := s.Hints()
	defer stop()
	fail.Store(true)
	_, err := s.Put(t.Context(), puts)
	if !errors.Is(err, store.ErrUnknown) || !errors.Is(err, store.ErrBroken) {
		t.Errorf("Put: %v, want ErrUnknown and ErrBroken", err)
	}
	if _, err := s.Put(t.Context(), puts[:1]); !errors.Is(err, store.ErrBroken) || errors.Is(err, store.ErrUnknown) {
		t.Errorf("Put after the failure: %v, want ErrBroken alone", err)
	}
	fail.Store(false)
	<-hints // what was unknown may be due
	for {   // it comes back by itself, without being called
		if _, err := s.Put(t.Context(), puts[:1]); err == nil {
			break
		} else if !errors.Is(err, store.ErrBroken) {
			t.Fatalf("Put: %v, want ErrBroken until it works again", err)
		}
		wait(t.Context())
	}
	storetest.Invariants(t, s)
	closeStore(t, "at the end", s)
}

// TestFaultsReusedLog: the size of a log that is used again can't be found out. The database has no way to say so but to panic, with a
// lock given back that is given back again: that ends the process.
func TestFaultsReusedLog(t *testing.T) {
	defer watch(func() string { return "a log that is used again" })()
	defer pebble.Hurry(time.Millisecond)()
	defer pebble.SmallTables(256 << 10)()
	var armed atomic.Bool
	var hit atomic.Int64
	s := mustOpen(t, failing(vfs.NewMem(), errorfs.InjectorFunc(func(o errorfs.Op) error {
		if armed.Load() && o.Kind == errorfs.OpFileStat && o.Path == "" { // so it is called when it is used again
			hit.Add(1)
			return syscall.EIO
		}
		return nil
	})))
	var err error
	for i := int64(1); i <= 2000 && err == nil; i++ {
		armed.Store(i > 200)
		_, _, err = (&op{Kind: "put", Key: faultKeys[0], N: i, Size: 30_000}).do(t.Context(), s)
	}
	if hit.Load() == 0 || err == nil || !typed(err) {
		t.Errorf("%d faults, and the error %v; want one at least, and an error of storage", hit.Load(), err)
	}
	for armed.Store(false); err != nil; wait(t.Context()) { // it comes back
		if _, _, err = (&op{Kind: "put", Key: faultKeys[0], N: 3000}).do(t.Context(), s); err != nil && !typed(err) {
			t.Fatal(err)
		}
	}
	closeStore(t, "at the end", s)
}
