package memory

import (
	"context"
	"strings"

	"github.com/dulyhq/duly/store"
)

// Clock implements store.Store. It is exact.
func (s *Store) Clock(ctx context.Context) (store.Clock, error) {
	if err := s.enter(ctx, "clock"); err != nil {
		return store.Clock{}, err
	}
	defer s.mu.Unlock()
	return s.nowLocked(), nil
}

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, puts []store.Put) ([]store.PutResult, error) {
	return write(ctx, s, "put", puts, func(p *store.Put) store.Key { return p.Key }, (*store.Put).Apply)
}

// Cancel implements store.Store.
func (s *Store) Cancel(ctx context.Context, cancels []store.Cancel) ([]store.CancelResult, error) {
	return write(ctx, s, "cancel", cancels, func(x *store.Cancel) store.Key { return x.Key }, (*store.Cancel).Apply)
}

// Edit implements store.Store.
func (s *Store) Edit(ctx context.Context, edits []store.Edit) ([]store.EditResult, error) {
	return write(ctx, s, "edit", edits, func(x *store.Edit) store.Key { return x.Key }, (*store.Edit).Apply)
}

// Claim implements store.Store.
func (s *Store) Claim(ctx context.Context, claims []store.Claim) ([]store.ClaimResult, error) {
	return write(ctx, s, "claim", claims, func(x *store.Claim) store.Key { return x.Key }, (*store.Claim).Apply)
}

// Renew implements store.Store.
func (s *Store) Renew(ctx context.Context, renewals []store.Renewal) ([]store.RenewResult, error) {
	return write(ctx, s, "renew", renewals, func(x *store.Renewal) store.Key { return x.Key }, (*store.Renewal).Apply)
}

// Settle implements store.Store.
func (s *Store) Settle(ctx context.Context, settlements []store.Settlement) ([]store.SettleResult, error) {
	return write(ctx, s, "settle", settlements, func(x *store.Settlement) store.Key { return x.Key }, (*store.Settlement).Apply)
}

// Stats implements store.Store.
func (s *Store) Stats(ctx context.Context) (store.Stats, error) {
	if err := s.enter(ctx, "stats"); err != nil {
		return store.Stats{}, err
	}
	defer s.mu.Unlock()
	return store.Stats{
		Tasks: int64(len(s.tasks)), Paused: s.paused, Running: s.running, Dead: int64(len(s.dead)), History: int64(len(s.history.all)),
	}, nil
}

// Note implements store.Noter.
func (s *Store) Note(ctx context.Context, name string) (string, error) {
	if err := store.CheckNote(name, ""); err != nil {
		return "", err
	}
	if err := s.enter(ctx, "note"); err != nil {
		return "", err
	}
	defer s.mu.Unlock()
	return s.notes[name], nil
}

// SetNote implements store.Noter.
func (s *Store) SetNote(ctx context.Context, name, text string) error {
	if err := store.CheckNote(name, text); err != nil {
		return err
	}
	if err := s.enter(ctx, "note"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if text == "" {
		delete(s.notes, name)
		return nil
	}
	s.notes[strings.Clone(name)] = strings.Clone(text)
	return nil
}

// Hints implements store.Hinter. A hint is there for every write after this call that gave a task a position it did not have.
func (s *Store) Hints() (hints <-chan store.Hint, stop func()) {
	s.mu.Lock()
	l := s.hints
	s.mu.Unlock()
	return l.Hints()
}
