package duly

import (
	"context"
	"time"

	"github.com/dulyhq/duly/store"
)

// A tuning says how the store's clocks are told from ours. The wall clock of a store in this process is ours, also when that is set. Any
// other is followed by our boot clock from the last look at it: whatever is done to our wall clock changes nothing, and no due time is
// ever compared with it (contract H1). Such a clock is looked at every tuneEvery, because no two go alike.
type tuning struct {
	seen   bool          // somebody has looked
	far    bool          // the store is not in this process
	ahead  store.Instant // of our wall clock, if it is not far
	zero   store.Instant // the store's clock when eng.Elapsed was 0, if it is far: that, or a little later
	mono   store.Instant // its Clock.Mono then
	at     time.Duration // when what is here was seen, by eng.Elapsed
	looked time.Duration // when it was looked last
	width  time.Duration // by how much zero may have been off when it was seen
}

const (
	tuneEvery = 10 * time.Second
	driftMost = 5000 // two clocks drift apart by less than a 5000th of the time
	offMost   = time.Second
)

// stale says that it is time to look again.
func (t *tuning) stale(now time.Duration) bool { return t.far && now-t.looked >= tuneEvery }

// wide is by how much zero may be off by now.
func (t *tuning) wide(now time.Duration) time.Duration { return t.width + (now-t.at)/driftMost }

// replaces says whether what was seen now is to be used in place of what was seen before: because it is no less exact than that is by
// now, or because both can't be right, so that a clock was set.
func (t *tuning) replaces(was *tuning) bool {
	wide := was.wide(t.at)
	apart := max(t.zero.Sub(was.zero).Abs(), t.mono.Sub(was.mono).Abs())
	return !was.far || t.width <= wide || apart > t.width+wide
}

// now is the store's clock, as far as it is known here. It is rounded down.
func (c *core) now() store.Instant {
	t := c.tuning.Load()
	if t.far {
		return t.zero + store.Instant(c.eng.Elapsed()/time.Microsecond)
	}
	return c.wall() + t.ahead
}

// wall is our wall clock, rounded down.
func (c *core) wall() store.Instant {
	ns := c.clk.Read().Wall
	us := ns / 1000
	if ns%1000 < 0 {
		us--
	}
	return store.Instant(us)
}

// mono is the store's Clock.Mono, as far as it is known here.
func (c *core) mono() store.Instant {
	return c.tuning.Load().mono + store.Instant(c.eng.Elapsed()/time.Microsecond)
}

// offset is how far the store's clock is ahead of our wall clock, and how far that may be off.
func (c *core) offset() (ahead, uncertain time.Duration) {
	t := c.tuning.Load()
	if !t.far {
		return time.Duration(t.ahead) * time.Microsecond, 0
	}
	return c.now().Sub(c.wall()), t.wide(c.eng.Elapsed())
}

// exact is how far apart two readings of one clock may be taken, in microseconds.
const exact = 1000

// A sight is one look at the store's clocks, with our own before and after.
type sight struct {
	clk           store.Clock
	before, after int64         // our wall clock, in microseconds
	elapsed       time.Duration // our boot clock, afterwards
	took          time.Duration // by that: the machine may have slept in the middle
}

// sightsMost is how often the store's clocks are looked at until a look takes no longer than exact.
const sightsMost = 4

// sight looks at the store's clocks, and returns the look that took the least.
func (c *core) sight(ctx context.Context) (best sight, err error) {
	for i := range sightsMost {
		began := c.eng.Elapsed()
		s := sight{before: c.clk.Read().Wall / 1000}
		if s.clk, err = c.store.Clock(ctx); err != nil {
			if i > 0 { // what was seen is better than nothing
				return best, nil
			}
			return best, err
		}
		s.after, s.elapsed = c.clk.Read().Wall/1000, c.eng.Elapsed()
		if s.took = s.elapsed - began; i == 0 || s.took < best.took {
			best = s
		}
		if best.took <= exact*time.Microsecond {
			break
		}
	}
	return best, nil
}

// shows is what a look shows. Of a clock elsewhere it takes the earliest that it can be, so that nothing is due by it that is not due by
// the store; and Clock.Mono is at most so much too early as the look took.
func (s *sight) shows(far bool) *tuning {
	t := &tuning{
		seen: true, far: far, at: s.elapsed, looked: s.elapsed, width: s.took + time.Duration(s.clk.Uncertainty)*time.Microsecond,
		mono: s.clk.Mono - store.Instant(s.elapsed/time.Microsecond),
	}
	if far {
		t.zero = s.clk.Now - store.Instant((s.elapsed+time.Microsecond-1)/time.Microsecond)
		return t
	}
	ahead := int64(s.clk.Now) - s.after
	if ahead < exact && int64(s.clk.Now)-s.before > -exact { // one clock, however long it took, or the machine slept
		ahead = 0
	}
	t.ahead = store.Instant(ahead)
	return t
}

// tune looks at the store's clocks and notes what they show. A clock that was once uncertain is that of a store elsewhere.
func (c *core) tune(ctx context.Context) error {
	s, err := c.sight(ctx)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.tuning.Load()
	t := s.shows(was.far || s.clk.Uncertainty > 0)
	if t.far && !t.replaces(was) {
		kept := *was
		kept.looked = max(kept.looked, t.looked)
		t = &kept
	}
	c.tuning.Store(t)
	if t.far {
		c.mindLocked()
	}
	return nil
}

// mindLocked says, once, that our wall clock is not the store's (contract H4).
func (c *core) mindLocked() {
	ahead, uncertain := c.offset()
	switch off := ahead.Abs() > offMost; {
	case off == c.minded:
		return
	case off:
		c.log.Warn("this machine's wall clock is not the store's: set this machine's, the tasks follow the store's", "store_is_ahead", ahead, "uncertainty", uncertain)
	default:
		c.log.Info("this machine's wall clock is the store's again", "store_is_ahead", ahead)
	}
	c.minded = !c.minded
}

// blurred is by how much now may go back although nobody has set a clock, because the store's is known better than before.
func (c *core) blurred() store.Instant {
	if c.tuning.Load().far {
		return store.Instant(offMost / time.Microsecond)
	}
	return 0
}

// fresh makes sure that the store's clock is known well enough to compare something with it, also while Run does not run.
func (c *core) fresh(ctx context.Context) error {
	if t := c.tuning.Load(); t.seen && !t.stale(c.eng.Elapsed()) {
		return nil
	}
	return c.tune(ctx)
}

// retune has the clock of a store elsewhere looked at again when it is time for that, beside the loop, which a look that takes long must not
// hold up. While nothing is ours it need not be known. The error says that the store is closed.
func (r *run) retune() error {
	c := r.c
	c.mu.Lock()
	defer c.mu.Unlock()
	el, t := c.eng.Elapsed(), c.tuning.Load()
	if !t.far || r.looking || r.draining || el < r.notUntil || r.ownsNoneLocked() || !r.untuned && !t.stale(el) {
		return r.gone
	}
	r.untuned, r.looking = false, true
	r.hooks.Go(r.relook)
	return r.gone
}

func (r *run) relook() {
	c := r.c
	err := c.tune(r.term)
	c.mu.Lock()
	defer c.mu.Unlock()
	r.looking = false
	switch {
	case err == nil:
		r.workedLocked("read the clock")
	case r.term.Err() == nil:
		r.untuned = true
		r.gone = r.failedLocked(err, "read the clock")
	}
	r.poke()
}
