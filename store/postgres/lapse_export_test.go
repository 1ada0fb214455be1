package postgres

import (
	"context"

	"github.com/dulyhq/duly/store"
)

// HintsHere are the hints of this process's own writes: nobody listens to others.
func (s *Store) HintsHere() (hints <-chan store.Hint, stop func()) { return s.hints.Hints() }

// EndLeases ends the leases of all attempts, as it is known of those of a process that is gone. By a clock that stands still they can't be
// told from the attempts of the process that has its name now.
func (s *Store) EndLeases(ctx context.Context) error {
	return s.change(ctx, "end leases", func(q session) error {
		var stmts []stmt
		err := q.do(ctx, stmt{
			sql: s.sql("select ns, name, generation, body, payload from duly.task where running > 0 for update"),
			row: func(scan func(dst ...any) error) error {
				t, err := s.scanTask(scan)
				if err != nil {
					return err
				}
				for i := range t.Runs {
					t.Runs[i].Lease = store.Over // of one that waits it is not kept
				}
				stmts = append(stmts, stmt{
					sql: s.sql("update duly.task set body = $3 where ns = $1 and name = $2"), args: []any{t.Namespace, t.Name, appendTask(nil, t)},
				})
				return nil
			},
		})
		if err != nil || len(stmts) == 0 {
			return err
		}
		return q.do(ctx, stmts...)
	})
}
