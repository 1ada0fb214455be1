package proof_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/wait"
)

// heal waits, while nobody produces, until every one-off that is due has run and every recurring task that is there has run again. What
// still waits after limit is a fault.
func (l *load) heal(ctx context.Context, limit time.Duration) error {
	if err := l.resumeAll(ctx); err != nil {
		return err
	}
	from := time.Now()
	for {
		left, err := l.unhealed(ctx, from)
		if err != nil || left == "" {
			return err
		}
		if time.Since(from) > limit {
			return fmt.Errorf("after %v it has not run: %s", limit, left)
		}
		if err := wait.Sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// unhealed tells of one task that has still to run, "" if there is none.
func (l *load) unhealed(ctx context.Context, from time.Time) (string, error) {
	for t, err := range l.s.List(ctx, duly.Query{}) {
		if err != nil {
			return "", err
		}
		switch {
		case t.Kind == "once" && len(t.Runs) == 0 && t.Due.After(from.Add(far/2)):
			continue
		case t.Kind == "again" && !t.Ended:
			l.mu.Lock()
			ran := l.begun[t.Name] >= t.Generation
			l.mu.Unlock()
			if ran {
				continue
			}
		}
		w, err := l.s.WhyNot(ctx, t.Name)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%s: %s (%s); %+v", t.Name, w.Text, w.Code, *t), nil
	}
	return "", nil
}

// A last is what is known last of a name.
type last struct {
	accepted  *verdict.Record // nil if it was cancelled since
	gen       int64
	at, doubt int // places in the log
}

// lost compares what is in a store with what was acknowledged, as far as that is not in doubt: a task that has not begun must be there,
// at its instant, and a recurring one must be there whatever ran.
func lost(records []verdict.Record, there map[string]*duly.Task, dead map[string]*duly.Task) (faults []string) {
	type asking struct {
		verdict.Incarnation
		name string
	}
	names, asked := map[string]*last{}, map[asking]int{}
	begun := map[string]int64{}
	for i := range records {
		r := &records[i]
		n := names[r.Name]
		if n == nil {
			n = &last{}
			names[r.Name] = n
		}
		who := asking{r.Incarnation, r.Name}
		switch r.Op {
		case verdict.Asked:
			asked[who] = i
		case verdict.Put:
			n.accepted, n.gen, n.at = r, r.Generation, i
		case verdict.Moved:
			n.accepted, n.gen, n.at = r, r.Next, i
		case verdict.Cancelled, verdict.TooLate:
			n.accepted, n.at = nil, i
		case verdict.Begin:
			begun[r.Name] = max(begun[r.Name], r.Generation)
		default:
		}
		switch r.Op {
		case verdict.Put, verdict.Moved, verdict.Cancelled, verdict.TooLate, verdict.Answered:
			delete(asked, who)
		default:
		}
	}
	for who, i := range asked {
		names[who.name].doubt = max(names[who.name].doubt, i)
	}
	for name, n := range names {
		if n.accepted == nil || n.doubt > n.at || !n.accepted.Recurring && begun[name] >= n.gen {
			continue
		}
		t := there[name]
		if d := dead[name]; d != nil && single(name) && d.Runs[0].Generation >= n.gen { // it had started, and that was all
			continue
		}
		switch {
		case t == nil || t.Ended:
			faults = append(faults, fmt.Sprintf("%s: it is gone; accepted: %v", name, n.accepted))
		case t.Generation != n.gen:
			faults = append(faults, fmt.Sprintf("%s: it is of generation %d; accepted: %v", name, t.Generation, n.accepted))
		case !t.Recurring && t.Due.UnixMicro() != n.accepted.Due:
			faults = append(faults, fmt.Sprintf("%s: it is due at %v; accepted: %v", name, t.Due, n.accepted))
		}
	}
	slices.Sort(faults)
	return faults
}

// afterEnd finds attempts of a recurring task that were due, and began, after its schedule had been cancelled, which no run that was
// under way excuses.
func afterEnd(records []verdict.Record) (faults []string) {
	type generation struct {
		name string
		gen  int64
	}
	ended := map[generation]*verdict.Record{}
	for i := range records {
		r := &records[i]
		if r.Op == verdict.Cancelled {
			ended[generation{r.Name, r.Generation}] = r
		}
	}
	for i := range records {
		r := &records[i]
		if c := ended[generation{r.Name, r.Generation}]; c != nil && r.Op == verdict.Begin && r.Due > c.At {
			faults = append(faults, fmt.Sprintf("%v\n\tbegan after %v", r, c))
		}
	}
	return faults
}

// A tally counts what a log holds.
type tally struct {
	acknowledged, begun, completed, failed, settled, unanswered, paused, dead int
}

func (n *tally) add(records []verdict.Record) {
	for i := range records {
		switch r := &records[i]; r.Op {
		case verdict.Asked:
			n.unanswered++
		case verdict.Answered:
			n.unanswered--
		case verdict.Paused:
			n.paused++
		case verdict.Put, verdict.Moved, verdict.Cancelled, verdict.TooLate:
			n.acknowledged++
			n.unanswered--
		case verdict.Begin:
			n.begun++
		case verdict.End:
			if r.Completed {
				n.completed++
			} else {
				n.failed++
			}
		case verdict.Settled:
			n.settled++
		default:
		}
	}
}

// mostLost is the loss that makes a run dead whatever else was lost with it, as the comment of duly.MaxLost says. Until then one beside a
// run that had never been lost does not.
const mostLost = 10

// inventory returns what a scheduler's store holds, and the dead runs, whose only reason may be that they were lost, but where there was
// to be one attempt at most; of a name the newest.
func inventory(ctx context.Context, s *duly.Scheduler) (there, dead map[string]*duly.Task, err error) {
	there, dead = map[string]*duly.Task{}, map[string]*duly.Task{}
	for t, err := range s.List(ctx, duly.Query{}) {
		if err != nil {
			return nil, nil, err
		}
		there[t.Name] = t
	}
	for t, err := range s.List(ctx, duly.Query{State: duly.Dead}) {
		if err != nil {
			return nil, nil, err
		}
		if r := &t.Runs[0]; !single(t.Name) && (r.Reason != "lost" || r.Lost < duly.MaxLost || r.Lost > mostLost) {
			return nil, nil, errors.New("dead without having been lost: " + fmt.Sprintf("%+v", *t))
		}
		if d := dead[t.Name]; d == nil || d.Runs[0].Generation < t.Runs[0].Generation {
			dead[t.Name] = t
		}
	}
	return there, dead, nil
}
