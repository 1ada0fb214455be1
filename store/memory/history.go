package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/dulyhq/duly/store"
)

// A history is what became of tasks: entries with rising Seq, all of them and by key.
type history struct {
	all   []*store.Event
	byKey map[store.Key][]*store.Event
}

func (h *history) add(e *store.Event) {
	h.all = append(h.all, e)
	h.byKey[e.Key] = append(h.byKey[e.Key], e)
}

// after returns what comes after a Seq.
func after(all []*store.Event, seq int64) []*store.Event {
	i, found := slices.BinarySearchFunc(all, seq, func(e *store.Event, seq int64) int { return cmp.Compare(e.Seq, seq) })
	if found {
		i++
	}
	return all[i:]
}

// trim keeps what a retention keeps, and returns how many entries it has forgotten. The wall clock may have been set back, so an
// older entry may stand behind a younger one: all are looked at.
func (h *history) trim(r *store.Retention) int64 {
	kept := make([]*store.Event, 0, len(h.all))
	for _, e := range h.all {
		if r.HistoryFrom == 0 || e.At >= r.HistoryFrom {
			kept = append(kept, e)
		}
	}
	if more := int64(len(kept)) - r.MaxHistory; r.MaxHistory > 0 && more > 0 {
		kept = kept[more:]
	}
	gone := int64(len(h.all) - len(kept))
	if gone > 0 {
		h.all, h.byKey = make([]*store.Event, 0, len(kept)), map[store.Key][]*store.Event{}
		for _, e := range kept {
			h.add(e)
		}
	}
	return gone
}

// History implements store.Store.
func (s *Store) History(ctx context.Context, q store.HistoryQuery) ([]store.Event, error) {
	if err := s.enter(ctx, "history"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	all := s.history.all
	if q.Key != (store.Key{}) {
		all = s.history.byKey[q.Key]
	}
	all = after(all, q.After)
	if q.Before > 0 {
		all = all[:len(all)-len(after(all, q.Before-1))]
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	var page []store.Event
	for i := 0; i < len(all) && len(page) < limit; i++ {
		e := all[i]
		if q.Newest {
			e = all[len(all)-1-i]
		}
		if q.Since == 0 || e.At >= q.Since {
			page = append(page, *e)
		}
	}
	return page, nil
}

// Trim implements store.Store. It keeps exactly what it is asked to, and takes as long as looking at all of the history does.
func (s *Store) Trim(ctx context.Context, r store.Retention) (int64, error) {
	if err := s.enter(ctx, "trim"); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	var n int64
	if r.HistoryFrom != 0 || r.MaxHistory > 0 {
		n = s.history.trim(&r)
	}
	if r.DeadFrom == 0 {
		return n, nil
	}
	for id, d := range s.dead {
		if d.at < r.DeadFrom {
			delete(s.dead, id)
			s.deadIDs.remove(id)
			n++
		}
	}
	return n, nil
}

// past is what transitions may ask, while the mutex is held.
type past Store

// Ran implements store.Past. It looks at all there is of the key.
func (p *past) Ran(k store.Key, id store.Identity, _ store.Instant) (bool, error) {
	return slices.ContainsFunc(p.history.byKey[k], func(e *store.Event) bool { return e.To == store.Done && e.Identity == id }), nil
}

// Finished implements store.Past.
func (p *past) Finished(k store.Key) (bool, error) { return len(p.history.byKey[k]) > 0, nil }

// Dead implements store.Past.
func (p *past) Dead(id store.RunID) (*store.Task, error) {
	if d := p.dead[id]; d != nil {
		return d.task, nil
	}
	return nil, nil
}
