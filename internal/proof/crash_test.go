package proof_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/contract"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/wait"
)

// A journal is a logbook in memory, of one life on one file system, from which the power is cut at the n-th call that changes the file
// system. What was noted by then, and what the file system would hold, is kept; the life goes on for a while, and nobody hears of it.
type journal struct {
	inc  verdict.Incarnation
	fs   *vfs.MemFS
	rng  *rand.Rand
	keep int // percent of what is not synced

	calls atomic.Int64
	at    int64
	off   chan struct{} // closed by the cut

	mu      sync.Mutex
	records []verdict.Record
	left    *vfs.MemFS // nil before the cut
}

// Append implements logbook.
func (j *journal) Append(r verdict.Record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.left != nil {
		return nil
	}
	if r.Boot == 0 {
		r.Incarnation = j.inc
	}
	r.Line = len(j.records) + 1
	j.records = append(j.records, r)
	return nil
}

func (j *journal) String() string { return "a power cut" }

// MaybeError implements errorfs.Injector. It is called before the file system is, and fails nothing.
func (j *journal) MaybeError(o errorfs.Op) error {
	if o.Kind.ReadOrWrite() == errorfs.OpIsWrite && j.calls.Add(1) == j.at {
		j.cut()
	}
	return nil
}

// cut cuts the power.
func (j *journal) cut() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.left != nil {
		return
	}
	j.left = j.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: j.keep, RNG: j.rng})
	j.records = append(j.records, verdict.Record{
		Op: verdict.Died, At: time.Now().UnixMicro(), Incarnation: j.inc, Line: len(j.records) + 1,
	})
	close(j.off)
}

// TestPowerCuts cuts the power at random storage calls of a scheduler at work, with all, half or nothing left of what was not synced, and
// goes on with what is left, again and again. It takes place in virtual time.
//
// contract: A1
// contract: C1
// contract: C4
// contract: E1
func TestPowerCuts(t *testing.T) {
	clones := 60
	switch {
	case long():
		clones = 3000
	case contract.UnderRace:
		clones = 18
	}
	const each = 6
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var n tally
	for i := range clones / each {
		synctest.Test(t, func(t *testing.T) { powerCuts(t, seed+uint64(i), each, &n) })
		if t.Failed() {
			t.Fatalf("seed %d", seed+uint64(i))
		}
	}
	t.Logf("%d clones: %+v", clones, n)
}

// powerCuts cuts the power n times, one after the other, and then lets what is left heal.
func powerCuts(t *testing.T, seed uint64, n int, all *tally) {
	rng := rand.New(rand.NewPCG(seed, 1))
	fs := vfs.NewCrashableMem()
	var records []verdict.Record
	for boot := range int64(n) {
		j := &journal{inc: verdict.Incarnation{Node: "life", Boot: boot + 1}, fs: fs, rng: rng, keep: 50 * rng.IntN(3), off: make(chan struct{})}
		j.at, j.records = 1+rng.Int64N(600), records
		if rng.IntN(6) == 0 {
			j.at = 1 + rng.Int64N(40) // while it is opened
		}
		if err := j.live(t.Context(), seed+uint64(boot)); err != nil {
			t.Fatalf("life %d: %v", boot+1, err)
		}
		fs, records = j.left, j.records
	}
	healed := time.Now().UnixMicro()
	j := &journal{inc: verdict.Incarnation{Node: "life", Boot: int64(n) + 1}, fs: fs, records: records}
	if err := j.heal(t, healed, all); err != nil {
		t.Fatalf("at last: %v", err)
	}
}

// open starts a life on the file system.
func (j *journal) open(seed uint64, fault func(error)) (*pebble.Store, *load, error) {
	if err := j.Append(verdict.Record{Op: verdict.Start, At: time.Now().UnixMicro()}); err != nil {
		return nil, nil, err
	}
	st, err := pebble.Open("store", pebble.Options{
		FS: errorfs.Wrap(j.fs, j), MinFree: -1, CacheSize: 1 << 20, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	l, err := newLoad(st, j, seed, fault)
	if err != nil {
		return nil, nil, errors.Join(err, st.Close())
	}
	return st, l, nil
}

// live works until the power is cut, and puts away what goes on all the same.
func (j *journal) live(ctx context.Context, seed uint64) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	st, l, err := j.open(seed, func(err error) { stop(err) }) //nolint:contextcheck // a store outlives the call that opens it
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	var ran error
	all.Go(func() { ran = l.s.Run(context.WithoutCancel(ctx)) })
	all.Go(func() { l.follow(ctx) })
	all.Go(func() { l.produce(ctx, 16) })
	select {
	case <-j.off:
	case <-ctx.Done():
	}
	fault := context.Cause(ctx)
	if fault == nil {
		_ = wait.Sleep(ctx, time.Duration(rand.IntN(20))*time.Millisecond) // what it does now nobody hears of
	}
	stop(nil)
	err = l.s.Close(context.WithoutCancel(ctx))
	all.Wait()
	if errors.Is(ran, duly.ErrClosed) { // the power went before it had begun
		ran = nil
	}
	return errors.Join(fault, err, ran, st.Close())
}

// heal lets what is left run until nothing is due, and judges.
func (j *journal) heal(t *testing.T, healed int64, all *tally) error {
	st, l, err := j.open(0, func(err error) { t.Error(err) })
	if err != nil {
		return err
	}
	ran := make(chan error, 1)
	go func() { ran <- l.s.Run(context.WithoutCancel(t.Context())) }()
	err = l.heal(t.Context(), 30*time.Second)
	if err == nil {
		err = l.recount(t.Context())
	}
	err = errors.Join(err, l.s.Drain(t.Context()), <-ran)
	s, nerr := duly.New(duly.Options{Store: st})
	if nerr == nil {
		judged(t, s, j.records, healed, all)
		nerr = s.Close(t.Context())
	}
	if err = errors.Join(err, nerr, st.Close()); err != nil {
		return fmt.Errorf("heal: %w", err)
	}
	return nil
}
