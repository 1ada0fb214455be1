package postgres

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/dulyhq/duly/store"
)

const getTasks = `select k.n, t.generation, t.body, t.payload from unnest($1::text[], $2::text[]) with ordinality k(ns, name, n)
cross join lateral (select generation, body, payload from duly.task t where t.ns = k.ns and t.name = k.name offset 0) t`

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, keys []store.Key) ([]*store.Task, error) {
	tasks := make([]*store.Task, len(keys))
	ns, names := make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		ns[i], names[i] = plainText(k.Namespace), plainText(k.Name)
	}
	err := s.view(ctx, "get", func(q session) error {
		return q.do(ctx, stmt{
			sql:  s.sql(getTasks),
			args: []any{ns, names},
			row: func(scan func(dst ...any) error) error {
				var n, generation int64
				var body, payload []byte
				if err := scan(&n, &generation, &body, &payload); err != nil {
					return err
				}
				t, err := s.decode(keys[n-1], body, payload)
				if err == nil {
					t.Generation = generation
					tasks[n-1] = t
				}
				return err
			},
		})
	})
	return tasks, err
}

// plainText returns a text that the server takes: one that it does not take is no name, and nothing is found under it.
func plainText(s string) string {
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return "."
	}
	return s
}

// duePage bounds a page in bytes: it has the task with whose payload those on it reach store.PageBytes, and none behind it. there is how
// many there would be without that.
const (
	dueTasks = `select ns, name, generation, body, payload, due, 0::bigint n` + dueBehind + `limit $5::bigint`

	dueBehind = ` from duly.task
where (due, ns, name) > ($1::bigint, $2::text, $3::text) and due <= $4::bigint and shard >= 0 order by due, ns, name `

	duePage = `select ns, name, generation, body, payload, due, n, there from (select p.*, count(*) over () there,
coalesce(sum(octet_length(payload)) over (order by due, ns, name rows between unbounded preceding and 1 preceding), 0) before from (`
	duePageEnd = `) p) p where before < $6::bigint order by due, ns, name`
)

// dueAmong are those of some shards or kinds. They are looked for among so many tasks as a page of List looks at, of which the last is there
// in any case: without its body, if it is not meant.
const (
	dueAmong = `select ns, name, generation, case when meant then body end body, case when meant then payload end payload, due, n from (
select ns, name, generation, body, payload, due, row_number() over (order by due, ns, name) n, true`
	dueAmongEnd = ` meant from (select ns, name, generation, body, payload, due, shard, kind` + dueBehind + `limit $7::bigint) p) p
where meant or n = $7::bigint order by due, ns, name limit $5::bigint`
)

// dueOf returns the statement that reads a page, with its arguments.
func dueOf(q *store.DueQuery, limit int) (sql string, args []any) {
	after := q.After
	if after == (store.Cursor{}) {
		after.At = store.Over
	}
	args = []any{int64(after.At), plainText(after.Namespace), plainText(after.Name), int64(q.Until), int64(limit) + 1, int64(store.PageBytes)}
	where, in := within(q.Shards, q.Kinds, len(args)+2)
	if where == "" {
		return duePage + dueTasks + duePageEnd, args
	}
	return duePage + dueAmong + where + dueAmongEnd + duePageEnd, append(append(args, int64(lookMost)), in...)
}

// nextDue is where the first task behind an instant stands, nextAmong that of some shards or kinds. It is looked for among so many tasks as a page
// of List looks at, and is no earlier than the last of those if none of them is meant.
const (
	nextDue = `select due from duly.task where due > $1::bigint and shard >= 0 order by due, ns, name limit 1`

	nextAmong = `select coalesce((select due from (select due, shard, kind from duly.task where due > $1::bigint and shard >= 0 order by due, ns, name limit $2::bigint) p
where true`
	nextAmongEnd = ` order by due limit 1),
(select due from duly.task where due > $1::bigint and shard >= 0 order by due, ns, name offset $2::bigint - 1 limit 1), $3::bigint)`
)

// Due implements store.Store. A page costs what is on it and up to 10,000 tasks behind it; where only some of the shards or kinds are asked for,
// also what the others have between, of which it passes over 10,000 at most: there may be none on it although there is more.
func (s *Store) Due(ctx context.Context, q store.DueQuery) (p store.DuePage, err error) {
	limit := pageOf(q.Limit, 1000)
	p.Next = store.Never
	next := stmt{sql: s.sql(nextDue), args: []any{int64(q.Until)}, row: func(scan func(dst ...any) error) error { return scan(&p.Next) }}
	if some, in := within(q.Shards, q.Kinds, 4); some != "" {
		next.sql, next.args = s.sql(nextAmong+some+nextAmongEnd), append([]any{int64(q.Until), int64(lookMost), int64(store.Never)}, in...)
	}
	rows, there := 0, 0
	var end *store.Cursor // of what was looked at, if there may be more
	take := func(scan func(dst ...any) error) error {
		var at store.Cursor
		var generation, n int64
		var body, payload []byte
		if err := scan(&at.Namespace, &at.Name, &generation, &body, &payload, &at.At, &n, &there); err != nil {
			return err
		}
		rows++
		if n == lookMost {
			end = &at
		}
		if body == nil {
			return nil
		}
		t, err := s.decode(at.Key, body, payload)
		if err == nil {
			t.Generation = generation
			p.Tasks = append(p.Tasks, t)
		}
		return err
	}
	sql, args := dueOf(&q, limit)
	err = s.view(ctx, "due", func(x session) error { return x.do(ctx, stmt{sql: s.sql(sql), args: args, row: take}, next) })
	switch {
	case err != nil:
		return store.DuePage{}, err
	case there > rows || len(p.Tasks) > limit:
		p.Tasks = p.Tasks[:min(len(p.Tasks), limit)]
		last := p.Tasks[len(p.Tasks)-1]
		end = &store.Cursor{At: last.Position(), Key: last.Key}
	case end == nil:
		return p, nil
	}
	p.More, p.Next, p.Cursor = true, 0, *end
	return p, nil
}

// mostPage is how many tasks a page has at most: what is behind it is on the next one.
const mostPage = 1_000_000

// pageOf returns how many tasks a page has, where none says the usual number.
func pageOf(limit, usual int) int {
	if limit <= 0 {
		return usual
	}
	return min(limit, mostPage)
}

// within returns what rows of some shards, and of others for some kinds, have in common, as SQL whose parameters begin at a number, and
// their values. Each row that is passed over is looked up: kinds are keys, and the value is where the bits of their shards begin, which most
// have in common with others.
func within(shards *store.Shards, kinds map[string]store.Shards, from int) (where string, args []any) {
	some := "true"
	if list := shardsOf(shards); list != nil {
		some, args = fmt.Sprintf("shard = any($%d::int2[])", from), append(args, list)
		where = " and " + some
	}
	if len(kinds) == 0 {
		return where, args
	}
	var bits []byte
	parts, places := map[store.Shards]int{}, make(map[string]int, len(kinds))
	for kind, of := range kinds {
		part, known := parts[of]
		if !known {
			part = len(bits) * 8
			parts[of] = part
			for _, w := range of {
				bits = binary.LittleEndian.AppendUint64(bits, w)
			}
		}
		places[plainText(kind)] = part
	}
	keys, _ := json.Marshal(places) // of texts and numbers
	n := from + len(args)
	return fmt.Sprintf(" and coalesce(get_bit($%d::bytea, ($%d::jsonb ->> kind)::int + shard) = 1, %s)", n, n+1, some), append(args, bits, string(keys))
}

// shardsOf returns a set as the server takes it, nil for all.
func shardsOf(set *store.Shards) []int16 {
	if set == nil || *set == (store.Shards{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}) {
		return nil
	}
	all := []int16{}
	for i := range 256 {
		if set.Has(uint8(i)) {
			all = append(all, int16(i))
		}
	}
	return all
}
