package transfer

import (
	"context"
	"io"
	"strconv"

	"github.com/dulyhq/duly/store"
)

// page is how many tasks are read, or put, at a time.
const page = 500

// A Choice says which tasks are moved: those for which all that is said holds.
type Choice struct {
	Namespace *string // nil: all
	Prefix    string
	Kind      string
	Tag       string
}

func (c *Choice) query() store.Query {
	q := store.Query{AllNamespaces: c.Namespace == nil, Prefix: c.Prefix, Kind: c.Kind, Tag: c.Tag, Limit: page}
	if c.Namespace != nil {
		q.Namespace = *c.Namespace
	}
	return q
}

// Out writes the tasks of a store as lines, in the order of their names, and tells left of what stays behind: what runs, and dead runs. It
// returns how many lines it has written. It changes nothing.
func Out(ctx context.Context, from store.Store, c Choice, w io.Writer, left func(Left) error) (n int, err error) {
	err = each(ctx, from, c.query(), func(t *store.Task) error {
		l, behind := lineOf(t)
		for _, b := range behind {
			if err := left(b); err != nil {
				return err
			}
		}
		if l == nil {
			return nil
		}
		text, err := encode(l)
		if err != nil {
			return err
		}
		n++
		_, err = w.Write(text)
		return err
	})
	if err != nil {
		return n, err
	}
	q := c.query()
	q.State = store.Dead
	return n, each(ctx, from, q, func(t *store.Task) error {
		r := &t.Runs[0]
		return left(Left{t.Key, "a run is dead, that of " + textOf(r.For) + " after " + strconv.Itoa(int(r.Attempt)) + " attempts"})
	})
}

// each calls f for what a query selects.
func each(ctx context.Context, from store.Store, q store.Query, f func(t *store.Task) error) error {
	for {
		p, err := from.List(ctx, q)
		if err != nil {
			return err
		}
		for _, t := range p.Tasks {
			if err := f(t); err != nil {
				return err
			}
		}
		if q.After = p.Cursor; q.After == "" {
			return nil
		}
	}
}
