package storetest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/dulyhq/duly/store"
)

// A FaultKind is a way in which a call goes wrong.
type FaultKind uint8

// The kinds of faults.
const (
	Fail FaultKind = iota // it returns Fault.Err and has done nothing
	Hang                  // it does nothing until its context ends: a write is then ErrUnknown, a read fails with the context's cause
	Tear                  // it does what it should and returns ErrUnknown all the same; a read has nothing to tear and fails
)

// String returns the kind in lower case.
func (k FaultKind) String() string {
	if k <= Tear {
		return [...]string{"fail", "hang", "tear"}[k]
	}
	return fmt.Sprintf("fault(%d)", uint8(k))
}

// A Fault is one that is to come.
type Fault struct {
	Kind   FaultKind
	Method string // "Put", "Claim", ...; empty is any but Close, which never goes wrong
	N      int    // the n-th call of the method from when the fault is planted, counted from 1; 0 is 1
	Always bool   // and all calls after it
	Err    error  // of Fail; nil is ErrBroken
}

// A Faulty is a store that goes wrong on purpose. It gives hints, keeps notes and divides its shards if the store in it does; other optional
// powers are hidden. All methods are safe for concurrent use.
type Faulty struct {
	inner store.Store
	mute  store.Listeners // who listens to a store that gives no hints

	mu      sync.Mutex
	calls   map[string]int
	hanging int
	changed chan struct{} // closed and replaced when hanging rises
	faults  []*pending
}

type pending struct {
	Fault
	seen int
}

var (
	_ store.Store  = (*Faulty)(nil)
	_ store.Hinter = (*Faulty)(nil)
	_ store.Noter  = (*Faulty)(nil)
	_ store.Owner  = (*Faulty)(nil)
)

// NewFaulty returns s with faults to come.
func NewFaulty(s store.Store, faults ...Fault) *Faulty {
	f := &Faulty{inner: s, calls: map[string]int{}, changed: make(chan struct{})}
	f.Plant(faults...)
	return f
}

// Plant adds faults to those that are to come. Where two hit one call, the one planted first counts.
func (f *Faulty) Plant(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range faults {
		x.N = max(x.N, 1)
		f.faults = append(f.faults, &pending{Fault: x})
	}
}

// Heal takes all faults away. Calls that hang go on hanging.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = nil
}

// Calls returns how many calls of a method there were, or of all if it is empty. Close does not count. With it a test can let the
// n-th call go wrong for each n there is.
func (f *Faulty) Calls(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if method != "" {
		return f.calls[method]
	}
	n := 0
	for _, c := range f.calls {
		n += c
	}
	return n
}

// WaitHanging returns when n calls hang, or with the cause of ctx when that ends first.
func (f *Faulty) WaitHanging(ctx context.Context, n int) error {
	for {
		f.mu.Lock()
		is, changed := f.hanging, f.changed
		f.mu.Unlock()
		if is >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d calls to hang, now %d: %w", n, is, context.Cause(ctx))
		}
	}
}

// next counts a call and returns the fault that hits it, or nil.
func (f *Faulty) next(method string) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[method]++
	var hit *Fault
	for _, p := range f.faults {
		if p.Method != "" && p.Method != method {
			continue
		}
		p.seen++
		if hit == nil && (p.seen == p.N || p.Always && p.seen > p.N) {
			hit = &p.Fault
		}
	}
	return hit
}

func (f *Faulty) hang(ctx context.Context, by int) {
	f.mu.Lock()
	f.hanging += by
	close(f.changed)
	f.changed = make(chan struct{})
	f.mu.Unlock()
	if by > 0 {
		<-ctx.Done()
		f.hang(ctx, -by)
	}
}

// call makes a call, or lets it go wrong.
func call[T any](ctx context.Context, f *Faulty, method string, writes bool, do func() (T, error)) (none T, _ error) {
	fault := f.next(method)
	if fault == nil {
		return do()
	}
	switch {
	case fault.Kind == Hang:
		f.hang(ctx, 1)
		if !writes {
			return none, &store.Error{Op: method, Err: context.Cause(ctx)}
		}
		return none, store.Unknown(method, ctx)
	case fault.Kind == Tear && writes:
		if _, err := do(); err != nil {
			return none, err
		}
		return none, &store.Error{Op: method, Err: fmt.Errorf("%w: %w", store.ErrUnknown, errPlanted)}
	}
	err := fault.Err
	if err == nil {
		err = fmt.Errorf("%w: %w", store.ErrBroken, errPlanted)
	}
	return none, &store.Error{Op: method, Err: err}
}

// errPlanted is in the errors of all faults that bring none of their own.
var errPlanted = errors.New("on purpose")

// Clock implements store.Store.
func (f *Faulty) Clock(ctx context.Context) (store.Clock, error) {
	return call(ctx, f, "Clock", false, func() (store.Clock, error) { return f.inner.Clock(ctx) })
}

// Put implements store.Store.
func (f *Faulty) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	return call(ctx, f, "Put", true, func() ([]store.PutResult, error) { return f.inner.Put(ctx, puts) })
}

// Cancel implements store.Store.
func (f *Faulty) Cancel(ctx context.Context, cancels []store.Cancel) ([]store.CancelResult, error) {
	return call(ctx, f, "Cancel", true, func() ([]store.CancelResult, error) { return f.inner.Cancel(ctx, cancels) })
}

// Edit implements store.Store.
func (f *Faulty) Edit(ctx context.Context, edits []store.Edit) ([]store.EditResult, error) {
	return call(ctx, f, "Edit", true, func() ([]store.EditResult, error) { return f.inner.Edit(ctx, edits) })
}

// Due implements store.Store.
func (f *Faulty) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	return call(ctx, f, "Due", false, func() (store.DuePage, error) { return f.inner.Due(ctx, q) })
}

// Claim implements store.Store.
func (f *Faulty) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	return call(ctx, f, "Claim", true, func() ([]store.ClaimResult, error) { return f.inner.Claim(ctx, claims) })
}

// Renew implements store.Store.
func (f *Faulty) Renew(ctx context.Context, renewals []store.Renewal) ([]store.RenewResult, error) {
	return call(ctx, f, "Renew", true, func() ([]store.RenewResult, error) { return f.inner.Renew(ctx, renewals) })
}

// Settle implements store.Store.
func (f *Faulty) Settle(ctx context.Context, settlements []store.Settlement) ([]store.SettleResult, error) {
	return call(ctx, f, "Settle", true, func() ([]store.SettleResult, error) { return f.inner.Settle(ctx, settlements) })
}

// Get implements store.Store.
func (f *Faulty) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	return call(ctx, f, "Get", false, func() ([]*store.Task, error) { return f.inner.Get(ctx, keys) })
}

// List implements store.Store.
func (f *Faulty) List(ctx context.Context, q store.Query) (store.Page, error) {
	return call(ctx, f, "List", false, func() (store.Page, error) { return f.inner.List(ctx, q) })
}

// History implements store.Store.
func (f *Faulty) History(ctx context.Context, q store.HistoryQuery) ([]store.Event, error) {
	return call(ctx, f, "History", false, func() ([]store.Event, error) { return f.inner.History(ctx, q) })
}

// Trim implements store.Store.
func (f *Faulty) Trim(ctx context.Context, r store.Retention) (int64, error) {
	return call(ctx, f, "Trim", true, func() (int64, error) { return f.inner.Trim(ctx, r) })
}

// Stats implements store.Store.
func (f *Faulty) Stats(ctx context.Context) (store.Stats, error) {
	return call(ctx, f, "Stats", false, func() (store.Stats, error) { return f.inner.Stats(ctx) })
}

// Note implements store.Noter: the notes of the store in it. If that keeps none it is ErrInvalid, as in SetNote.
func (f *Faulty) Note(ctx context.Context, name string) (string, error) {
	n, err := f.noter()
	if err != nil {
		return "", err
	}
	return call(ctx, f, "Note", false, func() (string, error) { return n.Note(ctx, name) })
}

// SetNote implements store.Noter.
func (f *Faulty) SetNote(ctx context.Context, name, text string) error {
	n, err := f.noter()
	if err != nil {
		return err
	}
	_, err = call(ctx, f, "SetNote", true, func() (struct{}, error) { return struct{}{}, n.SetNote(ctx, name, text) })
	return err
}

func (f *Faulty) noter() (store.Noter, error) {
	if n, ok := f.inner.(store.Noter); ok {
		return n, nil
	}
	return nil, &store.Error{Op: "note", Field: "store", Value: fmt.Sprintf("%T", f.inner), Want: "one that keeps notes", Err: store.ErrInvalid}
}

// Close implements store.Store.
func (f *Faulty) Close() error {
	f.mute.Close()
	return f.inner.Close()
}

// Hints implements store.Hinter: those of the store in it. If that gives none, nothing comes before the channel is closed.
func (f *Faulty) Hints() (hints <-chan store.Hint, stop func()) {
	if h, ok := f.inner.(store.Hinter); ok {
		return h.Hints()
	}
	return f.mute.Hints()
}

// Own implements store.Owner, and never goes wrong by itself: whoever owns nothing makes no other call either. Of a store that is not
// divided all shards are the node's.
func (f *Faulty) Own(ctx context.Context, node string, kinds func() []string, owned func(store.Share)) error {
	if o, ok := f.inner.(store.Owner); ok {
		return o.Own(ctx, node, kinds, owned)
	}
	all := store.Share{}
	for i := range all.Shards {
		all.Shards[i] = math.MaxUint64
	}
	owned(all)
	<-ctx.Done()
	return context.Cause(ctx)
}
