package memory

import (
	"context"
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/dulyhq/duly/store"
)

// lookMost is how many tasks a page of List looks at: one that selects little is cut short, so that the store is not held up.
const lookMost = 10_000

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	if err := s.enter(ctx, "get"); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	tasks := make([]*store.Task, len(keys))
	for i, k := range keys {
		if c := s.tasks[k]; c != nil {
			tasks[i] = c.task
		}
	}
	return tasks, nil
}

// Due implements store.Store.
func (s *Store) Due(ctx context.Context, q store.DueQuery) (store.DuePage, error) {
	if err := s.enter(ctx, "due"); err != nil {
		return store.DuePage{}, err
	}
	defer s.mu.Unlock()
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	after := place{q.After.At, &cell{key: q.After.Key}}
	begin := q.After == store.Cursor{}
	if begin {
		after.at = math.MinInt64
	}
	bytes := 0
	p := store.DuePage{Next: store.Never}
	for v := range s.places.from(after) {
		if !q.Has(v.c.shard, v.c.task.Kind) || !begin && v.compare(after) == 0 {
			continue
		}
		if v.at > q.Until {
			p.Next = v.at
			break
		}
		if n := len(p.Tasks); n == limit || bytes >= store.PageBytes {
			last := p.Tasks[n-1]
			p.More, p.Next, p.Cursor = true, 0, store.Cursor{At: last.Position(), Key: last.Key}
			break
		}
		p.Tasks = append(p.Tasks, v.c.task)
		bytes += len(v.c.task.Payload)
	}
	return p, nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := s.enter(ctx, "list"); err != nil {
		return store.Page{}, err
	}
	defer s.mu.Unlock()
	if err := q.Check(); err != nil {
		return store.Page{}, err
	}
	after, err := parseCursor(q.After)
	if err != nil {
		return store.Page{}, err
	}
	l := lister{q: &q, limit: q.Limit, after: after}
	if l.limit <= 0 {
		l.limit = 100
	}
	from := store.RunID{Generation: math.MinInt64}
	if !q.AllNamespaces {
		from.Key = store.Key{Namespace: q.Namespace, Name: q.Prefix}
	}
	if q.After != "" && after.Compare(from) > 0 {
		from = after
	}
	if q.State == store.Dead {
		for id := range s.deadIDs.from(from) {
			if d := s.dead[id]; !l.take(id, d.task, d.task.Runs[0].Due) {
				break
			}
		}
		return l.page, nil
	}
	for c := range s.names.from(&cell{key: from.Key}) {
		if !l.take(store.RunID{Key: c.key}, c.task, c.at) {
			break
		}
	}
	return l.page, nil
}

// A lister fills a page.
type lister struct {
	q      *store.Query
	limit  int
	after  store.RunID
	looked int
	bytes  int // of the payloads on the page
	last   store.RunID
	page   store.Page
}

// take looks at the next task, and returns false if no more are wanted.
func (l *lister) take(id store.RunID, t *store.Task, due store.Instant) bool {
	q := l.q
	switch {
	case !q.AllNamespaces && (t.Namespace != q.Namespace || !strings.HasPrefix(t.Name, q.Prefix)):
		return false // those of a namespace that begin alike stand together
	case q.After != "" && id == l.after:
		return true
	case len(l.page.Tasks) == l.limit || l.looked == lookMost || l.bytes >= store.PageBytes:
		l.page.Cursor = cursor(l.last)
		return false
	}
	l.looked++
	l.last = id
	if selects(q, t, due) {
		l.page.Tasks = append(l.page.Tasks, t)
		l.bytes += len(t.Payload)
	}
	return true
}

func selects(q *store.Query, t *store.Task, due store.Instant) bool {
	return strings.HasPrefix(t.Name, q.Prefix) &&
		(q.Kind == "" || t.Kind == q.Kind) &&
		(q.Tag == "" || slices.Contains(t.Tags, q.Tag)) &&
		(q.State == store.None || q.State == store.Dead || t.State() == q.State) &&
		(!q.Paused || t.Paused()) &&
		(q.DueFrom == 0 || due >= q.DueFrom) &&
		(q.DueUntil == 0 || due <= q.DueUntil)
}

// cursor says where a page ends: the parts of the last id, with a byte between them that is in no name.
func cursor(id store.RunID) string {
	b := append([]byte(id.Namespace), 0)
	b = append(append(b, id.Name...), 0)
	b = append(strconv.AppendInt(b, id.Generation, 10), 0)
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt(b, int64(id.For), 10))
}

func parseCursor(s string) (id store.RunID, err error) {
	if s == "" {
		return id, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	p := strings.Split(string(b), "\x00")
	if err == nil && len(p) == 4 {
		var at int64
		id.Namespace, id.Name = p[0], p[1]
		if id.Generation, err = strconv.ParseInt(p[2], 10, 64); err == nil {
			if at, err = strconv.ParseInt(p[3], 10, 64); err == nil {
				id.For = store.Instant(at)
				return id, nil
			}
		}
	}
	value := strconv.Quote(s[:min(len(s), 40)])
	return id, &store.Error{Op: "list", Field: "after", Value: value, Want: "the cursor of a page", Err: store.ErrInvalid}
}
