package postgres

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/dulyhq/duly/store"
)

// lookMost is how many tasks a page of List looks at: one that selects little is cut short, so that the server is not held up.
const lookMost = 10_000

// List implements store.Store.
func (s *Store) List(ctx context.Context, q store.Query) (store.Page, error) {
	if err := s.enter(ctx, "list"); err != nil {
		return store.Page{}, err
	}
	s.leave()
	if err := q.Check(); err != nil {
		return store.Page{}, err
	}
	l := lister{s: s, q: &q, limit: pageOf(q.Limit, 100)}
	for l.prefix = q.Prefix; !utf8.ValidString(l.prefix); l.prefix = l.prefix[:len(l.prefix)-1] {
	}
	if q.After != "" {
		after, err := parseCursor(q.After)
		if err != nil {
			return store.Page{}, err
		}
		l.after = &after
	}
	for _, text := range [...]string{q.Namespace, l.prefix, q.Kind, q.Tag} {
		if plainText(text) != text {
			return store.Page{}, nil // nothing is named like that
		}
	}
	if err := s.survey(ctx, "list", func(x session) error { return l.read(ctx, x) }); err != nil {
		return store.Page{}, err
	}
	return l.page, nil
}

// A lister reads a page.
type lister struct {
	s      *Store
	q      *store.Query
	limit  int
	prefix string // of the query's, what is whole characters
	after  *store.RunID
	last   store.RunID // of the page
	page   store.Page
	there  int64 // rows, of which the page need not have all
}

// A clause collects the conditions of a statement with its arguments.
type clause struct {
	conds []string
	args  []any
}

func (c *clause) arg(v any) string {
	c.args = append(c.args, v)
	return "$" + strconv.Itoa(len(c.args))
}

func (c *clause) and(cond string) { c.conds = append(c.conds, cond) }

// String returns the where clause.
func (c *clause) String() string {
	if len(c.conds) == 0 {
		return ""
	}
	return " where " + strings.Join(c.conds, " and ")
}

func (l *lister) dead() bool { return l.q.State == store.Dead }

// from is the table, in the order of keys.
func (l *lister) from() (table, order string) {
	if l.dead() {
		return "duly.dead", "ns, name, generation, scheduled_for"
	}
	return "duly.task", "ns, name"
}

// place is where an id stands in that order.
func (l *lister) place(c *clause, id *store.RunID) string {
	at := c.arg(id.Namespace) + "::text, " + c.arg(id.Name) + "::text"
	if l.dead() {
		at += ", " + c.arg(id.Generation) + "::bigint, " + c.arg(int64(id.For)) + "::bigint"
	}
	return "(" + at + ")"
}

// span are the conditions that an index answers.
func (l *lister) span(c *clause) {
	_, order := l.from()
	if l.after != nil {
		c.and("(" + order + ") > " + l.place(c, l.after))
	}
	if !l.q.AllNamespaces {
		c.and("ns = " + c.arg(l.q.Namespace))
		l.prefixed(c)
	}
}

func (l *lister) prefixed(c *clause) {
	p := l.prefix
	if p == "" {
		return
	}
	c.and("name >= " + c.arg(p))
	if end := behindPrefix(p); end != "" {
		c.and("name < " + c.arg(end))
	}
}

// others are the conditions that have to be looked for, and says whether there are any.
func (l *lister) others(c *clause) bool {
	q, n := l.q, len(c.conds)
	if q.AllNamespaces {
		l.prefixed(c)
	}
	if len(q.Prefix) > len(l.prefix) { // it ends within a character
		c.and("substring(convert_to(name, 'UTF8') from 1 for " + c.arg(int32(len(q.Prefix))) + "::int) = " + c.arg([]byte(q.Prefix)))
	}
	if q.Kind != "" {
		c.and("kind = " + c.arg(q.Kind))
	}
	if q.Tag != "" {
		c.and("tags @> array[" + c.arg(q.Tag) + "::text]")
	}
	switch q.State {
	case store.Pending:
		c.and("running = 0")
	case store.Running:
		c.and("running > 0")
	default:
	}
	switch {
	case !q.Paused:
	case l.dead():
		c.and("false")
	default:
		c.and("paused")
	}
	if q.DueFrom != 0 {
		c.and("due >= " + c.arg(int64(q.DueFrom)))
	}
	if q.DueUntil != 0 {
		c.and("due <= " + c.arg(int64(q.DueUntil)))
	}
	return len(c.conds) > n
}

// behindPrefix returns the first text after all that begin with a prefix, "" if there is none.
func behindPrefix(p string) string {
	for p != "" {
		r, n := utf8.DecodeLastRuneInString(p)
		p = p[:len(p)-n]
		switch r {
		case utf8.MaxRune:
			continue
		case 0xD7FF:
			return p + "\uE000" // what lies between is no character
		}
		return p + string(r+1)
	}
	return ""
}

func (l *lister) read(ctx context.Context, x session) error {
	table, order := l.from()
	var end *store.RunID // it may select little: then it looks no further than here
	if l.others(new(clause)) {
		var c clause
		l.span(&c)
		err := x.do(ctx, stmt{
			sql:  l.s.sql("select " + order + " from " + table + c.String() + " order by " + order + " offset " + c.arg(int64(lookMost-1)) + "::bigint limit 1"),
			args: c.args,
			row: func(scan func(dst ...any) error) error {
				end = new(store.RunID)
				return scan(l.columns(end)...)
			},
		})
		if err != nil {
			return err
		}
	}
	var c clause
	l.span(&c)
	l.others(&c)
	if end != nil {
		c.and("(" + order + ") <= " + l.place(&c, end))
	}
	cols := order + l.generation() + ", body, payload"
	rows := "select " + cols + " from " + table + c.String() + " order by " + order + " limit " + c.arg(int64(l.limit)+1) + "::bigint"
	rows = "select " + cols + ", count(*) over () as there, coalesce(sum(octet_length(payload)) over (order by " + order +
		" rows between unbounded preceding and 1 preceding), 0) as before from (" + rows + ") p"
	err := x.do(ctx, stmt{
		sql: l.s.sql("select " + cols + ", there from (" + rows + ") p where before < " + c.arg(int64(store.PageBytes)) + "::bigint order by " + order), args: c.args, row: l.take,
	})
	switch {
	case err != nil:
		return err
	case l.there > int64(len(l.page.Tasks)):
		l.page.Cursor = cursor(l.last)
	case end != nil:
		l.page.Cursor = cursor(*end)
	}
	return nil
}

// columns are where the order's columns of a row go.
func (l *lister) columns(id *store.RunID) []any {
	if l.dead() {
		return []any{&id.Namespace, &id.Name, &id.Generation, (*int64)(&id.For)}
	}
	return []any{&id.Namespace, &id.Name}
}

func (l *lister) generation() string {
	if l.dead() {
		return ""
	}
	return ", generation"
}

// take takes a task onto the page.
func (l *lister) take(scan func(dst ...any) error) error {
	if len(l.page.Tasks) == l.limit {
		return nil
	}
	var id store.RunID
	var generation int64
	var body, payload []byte
	to := l.columns(&id)
	if !l.dead() {
		to = append(to, &generation)
	}
	if err := scan(append(to, &body, &payload, &l.there)...); err != nil {
		return err
	}
	t, err := l.s.decode(id.Key, body, payload)
	if err != nil {
		return err
	}
	if !l.dead() {
		t.Generation = generation
	}
	l.page.Tasks, l.last = append(l.page.Tasks, t), id
	return nil
}

// cursor says where a page ends: the parts of the last id, with a byte between them that is in no name.
func cursor(id store.RunID) string {
	b := append([]byte(id.Namespace), 0)
	b = append(append(b, id.Name...), 0)
	b = append(strconv.AppendInt(b, id.Generation, 10), 0)
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt(b, int64(id.For), 10))
}

func parseCursor(s string) (id store.RunID, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if p := strings.Split(string(b), "\x00"); err == nil && len(p) == 4 && utf8.Valid(b) {
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
