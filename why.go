package duly

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/dulyhq/duly/store"
)

// A WhyCode is the reason for which a task does not run now.
type WhyCode string

// The reasons.
const (
	WhyRunning   WhyCode = "running"    // it does: somebody holds the lease
	WhyNotDue    WhyCode = "not_due"    // its time has not come
	WhyRetry     WhyCode = "retry"      // an attempt has failed, and the next one is not due
	WhyNever     WhyCode = "never"      // its schedule has no occurrence left
	WhyPaused    WhyCode = "paused"     //
	WhyNoHandler WhyCode = "no_handler" // nobody handles its kind, as far as is known here
	WhyNotAtWork WhyCode = "not_at_work"
	WhyOverlap   WhyCode = "overlap"   // an earlier run of it is not settled
	WhyKeyLimit  WhyCode = "key_limit" // as many of its key run as may
	WhyKindLimit WhyCode = "kind_limit"
	WhyWorkers   WhyCode = "workers"   // all workers are taken, or the memory for payloads is
	WhySuspect   WhyCode = "suspect"   // its process died with it; those to which that happened run one at a time
	WhyStore     WhyCode = "store"     // the store fails
	WhyElsewhere WhyCode = "elsewhere" // it is another process's, by its shard or its kind, or nobody's yet
	WhyStarting  WhyCode = "starting"
	WhyDone      WhyCode = "done"
	WhyDead      WhyCode = "dead"
	WhyCancelled WhyCode = "cancelled"
	WhyExpired   WhyCode = "expired"
	WhyUnknown   WhyCode = "unknown" // no task of this name, and none that the history knows
)

// A Why tells why a task does not run now.
type Why struct {
	Code  WhyCode
	Text  string    // a sentence
	Until time.Time // when that ends by itself, if it is known
	Task  *Task     // nil if there is none any more
}

// WhyNot tells why a task does not run now. Of what has ended it tells how.
func (s *Scheduler) WhyNot(ctx context.Context, name string) (Why, error) {
	c := s.core
	t, past, err := s.find(ctx, s.key(name), false)
	switch {
	case err != nil:
		return Why{}, err
	case t == nil && len(past) == 0:
		return Why{Code: WhyUnknown, Text: fmt.Sprintf("there is no task %q, and the history does not know the name", name)}, nil
	case t == nil:
		return whyEnded(&past[0]), nil
	}
	if err := c.fresh(ctx); err != nil {
		return Why{}, err
	}
	w := c.why(t)
	w.Task = taskOf(t)
	return w, nil
}

func clock3(i store.Instant) string { return i.Time().Format(time.RFC3339Nano) }

// why tells of a task that is there.
func (c *core) why(t *store.Task) Why {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	var waits *store.Run
	for i := range t.Runs {
		r := &t.Runs[i]
		if r.State == store.Running {
			if p, _ := c.policies.of(t.Policy); !t.Next.None() && t.Next.Due <= now && p.Overlap != Allow {
				return Why{Code: WhyOverlap, Text: "an earlier run, due at " + clock3(r.Due) + ", is not settled; the overlap policy is " + p.Overlap.String()}
			}
			return Why{Code: WhyRunning, Text: fmt.Sprintf("attempt %d runs since %s, the lease is held by %s", r.Attempt, clock3(r.StartedAt), r.Owner)}
		}
		if waits == nil || r.Due < waits.Due {
			waits = r
		}
	}
	due := t.Next.Due
	switch {
	case t.Paused():
		return Why{Code: WhyPaused, Text: "it is paused since " + clock3(t.PausedAt) + ": " + t.PausedWhy}
	case waits != nil && waits.Due > now:
		return Why{
			Code: WhyRetry, Until: waits.Due.Time(),
			Text: fmt.Sprintf("attempt %d ended with %q; the next one is due at %s", waits.Attempt, waits.Reason, clock3(waits.Due)),
		}
	case waits != nil:
		due = waits.Due
	case t.Next.None() || due == store.Never:
		return Why{Code: WhyNever, Text: "its schedule, " + t.Schedule + ", has no occurrence left"}
	case due > now:
		return Why{Code: WhyNotDue, Until: due.Time(), Text: "it is due at " + clock3(due) + ", in " + about(due.Sub(now))}
	}
	return c.whyLateLocked(t, waits, due)
}

// whyLateLocked tells of a task that is due.
func (c *core) whyLateLocked(t *store.Task, waits *store.Run, due store.Instant) Why {
	since := "it is due since " + clock3(due)
	r := c.running
	if r != nil && !r.ownsLocked(t) {
		if r.own.Shards.Has(t.Shard()) {
			return Why{Code: WhyElsewhere, Text: since + ", and its kind, " + t.Kind + ", is handled by another process: that has it"}
		}
		return Why{Code: WhyElsewhere, Text: fmt.Sprintf("%s, and its shard, %d, is not this process's: who runs it is decided elsewhere", since, t.Shard())}
	}
	if c.kinds[t.Kind] == nil {
		return c.whyUnhandledLocked(t, due, since)
	}
	if r == nil {
		return Why{Code: WhyNotAtWork, Text: since + ", and this scheduler does not run"}
	}
	if r.failing != "" {
		return Why{Code: WhyStore, Text: since + ", and the store fails"}
	}
	if c.writing[t.Key] != nil {
		return Why{Code: WhyStarting, Text: since + ", and is about to start"}
	}
	p, _ := c.policies.of(t.Policy)
	defer r.tidyLocked(t.LimitKey)
	suspect := waits != nil && waits.Lost > 0
	switch g := r.gatesOf(t, p, suspect); {
	case suspect && !r.suspects.free():
		return Why{Code: WhySuspect, Text: since + "; its process died with it, and those to which that happened run one at a time"}
	case g[1] != nil && !g[1].free():
		return Why{Code: WhyKeyLimit, Text: fmt.Sprintf("%s, and %d of the key %q run, as many as may", since, g[1].running, t.LimitKey)}
	case g[2] != nil && !g[2].free():
		return Why{Code: WhyKindLimit, Text: fmt.Sprintf("%s, and %d of the kind %s run, as many as may", since, g[2].running, t.Kind)}
	case g[2] != nil && g[2].waiting.len() > 0:
		w := Why{Code: WhyKindLimit, Text: since + ", and the kind " + t.Kind + " has used up its rate"}
		el := c.eng.Elapsed()
		if ok, at := c.kinds[t.Kind].bucket.has(el); !ok && at != math.MaxInt64 {
			w.Until = c.now().Add(at - el).Time()
		}
		return w
	case r.fullLocked(heavy(t)), heavy(t) > 0 && r.bytes.waiting.len() > 0:
		return Why{Code: WhyWorkers, Text: since + ", and the payloads of what runs take as much memory as they may"}
	case r.inUse >= c.opts.Workers:
		if c.opts.Workers == 1 {
			return Why{Code: WhyWorkers, Text: since + ", and the one worker is taken"}
		}
		return Why{Code: WhyWorkers, Text: fmt.Sprintf("%s, and all %d workers are taken", since, c.opts.Workers)}
	}
	return Why{Code: WhyStarting, Text: since + ", and is about to start"}
}

// whyUnhandledLocked tells of a task whose kind nobody handles, as far as is known. Where this scheduler does not run it is known when others
// may find it dead, but not, once that has passed, whether they do.
func (c *core) whyUnhandledLocked(t *store.Task, due store.Instant, since string) Why {
	here, at, now := "here ", hopeless(t, due), c.now()
	if r := c.running; r != nil {
		at = max(at, now.Add(r.graceLocked()))
		if r.own != nil {
			here = "that is known "
		}
	}
	w := Why{Code: WhyNoHandler, Text: since + ", and nobody " + here + "handles the kind " + t.Kind + "; after 14 days it is dead"}
	if at >= now {
		w.Until = at.Time()
	}
	return w
}

// whyEnded tells of a task that is not there any more.
func whyEnded(e *store.Event) Why {
	w := Why{Code: WhyCode(e.To.String()), Text: "it was " + e.To.String() + " at " + clock3(e.At)}
	switch e.To {
	case store.Done:
		w.Text = fmt.Sprintf("it is done: attempt %d ended at %s", e.Attempt, clock3(e.At))
	case store.Dead:
		w.Text = fmt.Sprintf("it is dead since %s, after attempt %d: %s", clock3(e.At), e.Attempt, e.Reason)
	default:
		if e.Reason != "" {
			w.Text += ": " + e.Reason
		}
	}
	return w
}

// about is a length of time as a person wants it: to the second, and below a minute to the millisecond.
func about(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
