package notice

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/queue"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

// A Receiver takes a notice, or returns why it could not. Try counts from 1. It returns soon after ctx has ended.
type Receiver func(ctx context.Context, n *Notice, try int) error

// The defaults of settings.
const (
	DefaultInterval = time.Hour
	DefaultLimit    = 20
)

// The outcomes that are counted.
const (
	Told     = "told"      // messages that the receiver took
	Held     = "held_back" // deaths and the like that only a summary counts
	Failures = "failed"    // tries
)

// Outcomes are all that Options.Count may be told.
var Outcomes = []string{Told, Held, Failures}

const (
	gather     = time.Minute      // how long what is held back is gathered before it is summed up
	patience   = 15 * time.Minute // how long one notice may hold up the others
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	saveAfter  = 30 * time.Second // how long a position is kept in memory alone that has nothing to tell before it
	beat       = 20 * time.Second // how often whoever tells says so to others
	gone       = time.Minute      // how long that holds
	askAgain   = 10 * time.Second // how often others look whether it does
	saving     = 5 * time.Second  // how long the store may take for the last position
	ahead      = 256              // entries that are read before they are looked at
	mostResume = 4096             // tasks of which it is known when they were resumed
)

// Options of [Run].
type Options struct {
	Scheduler *duly.Scheduler
	Notes     store.Noter
	Note      string // the name of the note
	From      *int64 // the entry of the history behind which it begins if nothing was told before; nil is the newest when Run begins
	Self      string // tells apart daemons that share the store; "" is one that has it alone
	Receiver  Receiver
	Daemon    string        // the name of this machine
	Late      time.Duration // an attempt that begins later is told; 0 is none
	Interval  time.Duration // a task is told once in it
	Limit     int           // and so many notices in all
	Hide      func(string) string
	Count     func(outcome string)
	Failing   func(fails bool) // told when the receiver does not take what it is told, and when it does again or is told no more
	Logger    *slog.Logger
}

// Run tells what goes wrong until ctx ends. On a store that has no note yet it begins with what comes.
func Run(ctx context.Context, o Options) {
	if o.Count == nil {
		o.Count = func(string) {}
	}
	if o.Failing == nil {
		o.Failing = func(bool) {}
	}
	t := &teller{o: o, failing: map[string]bool{}, resumed: map[store.Key]time.Time{}}
	for t.begin(ctx) {
		t.session(ctx)
		if t.failing[receiving] {
			t.failing[receiving] = false // whether it still does, another knows
			t.o.Failing(false)
		}
	}
}

// A message is on its way to the receiver.
type message struct {
	*Notice

	ev    *duly.Event // the entry that it tells of; nil: it is a summary, or of what has not begun
	begun time.Time
	tries int
}

func (m *message) summary() bool { return m.What == Summary }

// A teller is one run of Run.
type teller struct {
	o       Options
	state   state
	failing map[string]bool // what was logged to fail
	resumed map[store.Key]time.Time

	slot    *message
	away    bool // the receiver has not taken a notice for too long
	fails   int  // tries in a row
	retry   time.Time
	heldAt  time.Time // since when something is held back
	saveAt  time.Time // zero: what is kept is what there is
	beatAt  time.Time
	lookAt  time.Time
	looking store.Cursor
}

// receiving is what fails if the receiver does.
const receiving = "receiver"

// trouble logs that something fails, or works again, when that changes.
func (t *teller) trouble(ctx context.Context, what string, err error) {
	was := t.failing[what]
	t.failing[what] = err != nil
	if what == receiving && was != (err != nil) {
		t.o.Failing(err != nil)
	}
	switch {
	case err != nil && !was:
		t.o.Logger.WarnContext(ctx, "notices are not told for now, it is tried again", "note", t.o.Note, "fails", what, "error", t.shown(err.Error()))
	case err == nil && was:
		t.o.Logger.InfoContext(ctx, "notices are told again", "note", t.o.Note, "works", what)
	}
}

// begin reads how far the history has been told, and waits until it is this daemon's turn. It is false when ctx has ended.
func (t *teller) begin(ctx context.Context) bool {
	for pause := firstRetry; ctx.Err() == nil; {
		mine, err := t.acquire(ctx)
		if mine {
			t.trouble(ctx, "store", nil)
			return true
		}
		if err == nil {
			pause = askAgain
		} else if ctx.Err() == nil {
			t.trouble(ctx, "store", err)
		}
		_ = wait.Sleep(ctx, pause) // the loop looks at ctx
		pause = min(2*pause, askAgain)
	}
	return false
}

func (t *teller) acquire(ctx context.Context) (mine bool, err error) {
	text, err := t.o.Notes.Note(ctx, t.o.Note)
	if err != nil {
		return false, err
	}
	s, err := readState(text)
	if err != nil {
		t.trouble(ctx, "note", err)
		text = "" // it begins anew, which is logged
	}
	now := time.Now()
	if age := now.Sub(time.Unix(s.Beat, 0)); t.o.Self != "" && s.By != "" && s.By != t.o.Self && age < gone && age > -gone {
		return false, nil
	}
	switch {
	case text != "":
	case t.o.From != nil:
		s.After = *t.o.From
	default:
		if s.After, err = Newest(ctx, t.o.Scheduler); err != nil {
			return false, err
		}
	}
	s.By = t.o.Self
	t.state, t.slot, t.away, t.heldAt, t.saveAt, t.looking = s, nil, false, now, time.Time{}, store.Cursor{}
	t.beatAt, t.lookAt = now.Add(beat), now.Add(t.every())
	return true, t.save(ctx)
}

// Newest returns the Seq of the newest entry of the history, 0 if there is none.
func Newest(ctx context.Context, s *duly.Scheduler) (int64, error) {
	evs, err := s.History(ctx, duly.HistoryQuery{Newest: true, Limit: 1})
	if err != nil || len(evs) == 0 {
		return 0, err
	}
	return evs[0].Seq, nil
}

// save keeps the state. What could not be kept is kept later: until then a crash makes notices be told again.
func (t *teller) save(ctx context.Context) error {
	t.state.Beat = 0
	if t.state.By != "" {
		t.state.Beat = time.Now().Unix()
	}
	err := t.o.Notes.SetNote(ctx, t.o.Note, t.state.text())
	t.saveAt = time.Time{}
	if err != nil {
		t.saveAt = time.Now().Add(lastRetry / 10)
	}
	if ctx.Err() == nil {
		t.trouble(ctx, "store", err)
	}
	return err
}

// moved notes that the state is not what is kept.
func (t *teller) moved() {
	if t.saveAt.IsZero() {
		t.saveAt = time.Now().Add(saveAfter)
	}
}

// session tells until ctx ends, or another daemon does.
func (t *teller) session(ctx context.Context) {
	reading, stop := context.WithCancel(ctx)
	q := queue.New[duly.Event](ahead)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer q.Close()
		t.pump(reading, q, t.state.After)
	}()
	defer func() { stop(); <-ended }()
	for ctx.Err() == nil {
		if !t.stillMine(ctx) {
			return
		}
		next := t.act(ctx)
		if ctx.Err() != nil {
			break
		}
		d := max(time.Until(next), 0)
		if t.slot != nil && !t.slot.summary() {
			_ = wait.Sleep(ctx, d) // the loop looks at ctx
			continue
		}
		if ev, err := q.GetFor(d); err == nil {
			t.take(&ev)
		}
	}
	t.state.By = ""
	last, done := park.Within(context.WithoutCancel(ctx), saving, context.DeadlineExceeded)
	defer done()
	if err := t.save(last); err != nil {
		t.o.Logger.WarnContext(ctx, "how far notices were told could not be kept, some are told again", "note", t.o.Note, "error", err)
	}
}

// stillMine says whether this daemon is to go on, and lets the others know.
func (t *teller) stillMine(ctx context.Context) bool {
	if t.o.Self == "" || time.Now().Before(t.beatAt) {
		return true
	}
	t.beatAt = time.Now().Add(beat)
	text, err := t.o.Notes.Note(ctx, t.o.Note)
	if err != nil {
		return true // whether it is, will be seen
	}
	if s, err := readState(text); err == nil && s.By != "" && s.By != t.o.Self {
		t.o.Logger.InfoContext(ctx, "another daemon tells notices now", "note", t.o.Note, "daemon", s.By)
		return false
	}
	_ = t.save(ctx) // it has logged that
	return true
}

// act does what there is to do, and returns when there is more.
func (t *teller) act(ctx context.Context) (next time.Time) {
	now := time.Now()
	if !t.saveAt.IsZero() && !now.Before(t.saveAt) {
		_ = t.save(ctx) // it has logged that
	}
	if t.slot == nil {
		t.sumUp(ctx, now)
	}
	if t.slot == nil && t.o.Late > 0 && !now.Before(t.lookAt) {
		t.look(ctx, now)
	}
	if t.slot != nil && !now.Before(t.retry) {
		t.send(ctx)
		return time.Now() // there may be another
	}
	next = now.Add(lastRetry)
	for _, at := range [...]time.Time{t.saveAt, t.retryAt(), t.sumAt(), t.waitLook(), t.waitBeat()} {
		if !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

func (t *teller) retryAt() time.Time {
	if t.slot == nil {
		return time.Time{}
	}
	return t.retry
}

func (t *teller) waitLook() time.Time {
	if t.o.Late <= 0 || t.slot != nil {
		return time.Time{}
	}
	return t.lookAt
}

func (t *teller) waitBeat() time.Time {
	if t.o.Self == "" {
		return time.Time{}
	}
	return t.beatAt
}

// sumAt is when what is held back is to be summed up; the zero time is never.
func (t *teller) sumAt() time.Time {
	switch {
	case t.slot != nil || t.state.Held.count() == 0 && t.state.Sealed == nil:
		return time.Time{}
	case t.away || t.state.Sealed != nil:
		return time.Now()
	}
	at := t.heldAt.Add(gather)
	if s := t.state.Summed; s != 0 && s <= time.Now().Unix() { // else the clock was set back
		if after := time.Unix(s, 0).Add(t.o.Interval); after.After(at) {
			at = after
		}
	}
	return at
}

// sumUp makes a summary the next message, if it is time.
func (t *teller) sumUp(ctx context.Context, now time.Time) {
	at := t.sumAt()
	if at.IsZero() || at.After(now) {
		return
	}
	if t.state.Sealed == nil {
		held := t.state.Held
		t.state.Sealed, t.state.Held = &held, tally{}
		_ = t.save(ctx) // it has logged that
	}
	t.slot = &message{Notice: t.summaryOf(t.state.Sealed), begun: now}
}

// send tries to tell what is in the slot.
func (t *teller) send(ctx context.Context) {
	m := t.slot
	m.tries++
	err := t.o.Receiver(ctx, m.Notice, m.tries)
	if ctx.Err() != nil && err != nil {
		return
	}
	t.trouble(ctx, receiving, err)
	if err != nil {
		t.o.Count(Failures)
		d := lastRetry
		if t.fails < 9 {
			d = min(firstRetry<<t.fails, lastRetry)
		}
		t.fails++
		t.retry = time.Now().Add(d/2 + rand.N(d/2))
		if !m.summary() && time.Since(m.begun) >= patience {
			t.giveUp(ctx, m)
		}
		return
	}
	t.o.Count(Told)
	now := time.Now()
	switch {
	case m.summary():
		t.state.Sealed, t.state.Summed = nil, now.Unix()
		if m.tries > 1 {
			t.state.Summed = 0 // what has come meanwhile need not wait
		}
	default:
		t.state.Told = append(t.state.Told, markOf(m.Notice, now))
		if m.ev != nil {
			t.state.After = m.ev.Seq
		}
	}
	t.slot, t.away, t.fails = nil, false, 0
	_ = t.save(ctx) // it has logged that
}

// giveUp counts a notice that the receiver does not take. What has not begun is in no history and is looked for again later, so that what has
// come meanwhile is counted before.
func (t *teller) giveUp(ctx context.Context, m *message) {
	t.slot, t.away = nil, true
	if m.ev != nil {
		t.hold(m.Notice, m.ev.Seq)
	} else {
		t.lookAt = time.Now().Add(lastRetry)
	}
	_ = t.save(ctx) // it has logged that
}

// hold counts what is not told by itself.
func (t *teller) hold(n *Notice, seq int64) {
	if t.state.Held.count() == 0 {
		t.heldAt = time.Now()
	}
	t.state.Held.add(n, seq)
	t.state.After = seq
	t.o.Count(Held)
	t.moved()
}

// take looks at an entry of the history.
func (t *teller) take(ev *duly.Event) {
	what, since := t.about(ev)
	if what == "" {
		t.state.After = ev.Seq
		t.moved()
		return
	}
	now := time.Now()
	n := t.noticeOf(ev, what, since)
	switch v := t.state.judge(n, now, t.o.Interval, t.o.Limit); {
	case v == again:
		t.state.After = ev.Seq
		t.moved()
	case v == tell && t.slot == nil && !t.away:
		t.slot = &message{Notice: n, ev: ev, begun: now}
	default:
		t.hold(n, ev.Seq)
	}
}

// about says what there is to tell of an entry, "" for nothing, and since when its attempt could have begun.
func (t *teller) about(ev *duly.Event) (what string, since time.Time) {
	key := store.Key{Namespace: ev.Namespace, Name: ev.Name}
	if ev.Verb == store.VerbResume.String() {
		if len(t.resumed) >= mostResume {
			clear(t.resumed)
		}
		t.resumed[key] = ev.At
	}
	since = t.since(key, ev.Due)
	switch {
	case ev.To == duly.Dead:
		return Dead, since
	case ev.To == duly.Expired:
		return Expired, since
	case t.o.Late > 0 && ev.From == duly.Active && !ev.StartedAt.IsZero() && !ev.Due.IsZero() && ev.StartedAt.Sub(since) > t.o.Late:
		return Late, since
	}
	return "", since
}

// since is when what is due could begin: what was paused is not late because of that.
func (t *teller) since(key store.Key, due time.Time) time.Time {
	if at, ok := t.resumed[key]; ok && at.After(due) {
		return at
	}
	return due
}

// pump reads entries ahead, until ctx ends.
func (t *teller) pump(ctx context.Context, q *queue.Queue[duly.Event], after int64) {
	for pause, failed := firstRetry, false; ctx.Err() == nil; pause = min(2*pause, lastRetry/10) {
		for ev, err := range t.o.Scheduler.Events(ctx, after) {
			if err != nil {
				if ctx.Err() == nil && !failed {
					failed = true
					t.o.Logger.WarnContext(ctx, "the history can't be read for notices, it is tried again", "note", t.o.Note, "error", err)
				}
				break
			}
			pause, failed = firstRetry, false
			if after = ev.Seq; q.Put(ctx, ev) != nil {
				return
			}
		}
		if errors.Is(wait.Sleep(ctx, pause), context.Canceled) {
			return
		}
	}
}
