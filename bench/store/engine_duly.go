package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
)

// duly is our embedded store, with the options that it has when nobody sets any.
type duly struct {
	s      *pebble.Store
	cursor store.Cursor
}

func openDuly(dir string, o openOptions) (engine, error) {
	opts := pebble.Options{Logger: slog.New(slog.DiscardHandler)}
	if o.slowSync > 0 {
		opts.FS = slowedBy(o.slowSync)
	}
	s, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, err
	}
	return &duly{s: s}, nil
}

func (d *duly) put(items []item) error {
	puts := make([]store.Put, len(items))
	for i, x := range items {
		puts[i] = store.Put{
			Key:  store.Key{Name: x.name},
			Spec: store.Spec{Kind: itemKind, Schedule: itemSchedule, Payload: x.payload},
			When: store.On(store.Occurrence{For: store.Instant(x.due)}),
		}
	}
	res, err := d.s.Put(context.Background(), puts)
	if err != nil {
		return err
	}
	for _, r := range res {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

func (d *duly) due(until int64, limit int) ([]ref, error) {
	page, err := d.s.Due(context.Background(), store.DueQuery{After: d.cursor, Until: store.Instant(until), Limit: limit})
	if err != nil {
		return nil, err
	}
	refs := make([]ref, len(page.Tasks))
	for i, t := range page.Tasks {
		refs[i] = ref{name: t.Name, gen: t.Generation, at: int64(t.Next.For), payload: t.Payload}
		d.cursor = store.Cursor{At: t.Position(), Key: t.Key}
	}
	if len(refs) == 0 {
		d.cursor = store.Cursor{}
	}
	return refs, nil
}

func (r *ref) id() store.RunID {
	return store.RunID{Key: store.Key{Name: r.name}, Generation: r.gen, For: store.Instant(r.at)}
}

func (d *duly) claim(refs []ref) error {
	claims := make([]store.Claim, len(refs))
	for i := range refs {
		claims[i] = store.Claim{RunID: refs[i].id(), Lease: itemLease, Owner: itemOwner}
	}
	res, err := d.s.Claim(context.Background(), claims)
	if err != nil {
		return err
	}
	for i := range res {
		if res[i].Err != nil {
			return fmt.Errorf("claim %s: %w", refs[i].name, res[i].Err)
		}
		refs[i].fence = res[i].Fence
	}
	return nil
}

func (d *duly) settle(refs []ref) error {
	ends := make([]store.Settlement, len(refs))
	for i := range refs {
		ends[i] = store.Settlement{RunID: refs[i].id(), Fence: refs[i].fence, Verb: store.VerbSettle, State: store.Done}
	}
	res, err := d.s.Settle(context.Background(), ends)
	if err != nil {
		return err
	}
	for i := range res {
		if res[i].Err != nil {
			return fmt.Errorf("settle %s: %w", refs[i].name, res[i].Err)
		}
	}
	return nil
}

func (d *duly) pending() (int, error) {
	st, err := d.s.Stats(context.Background())
	return int(st.Tasks), err
}

func (d *duly) close() error { return d.s.Close() }
