package api

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
)

const (
	defaultPreview  = 10
	defaultSimulate = 24 * time.Hour
	defaultFires    = 1000
	maxFires        = 10_000
	maxExcluded     = 100 // occurrences that are left out, in a row, that a preview tells of
)

var previewParams = []param{
	{"from", "only what is due after it; now", instant},
	{"until", "only what is due by then", instant},
	{"n", "how many at most, 1 to 1000; 10", number},
}

var forecastRoutes = []route{
	{
		method: http.MethodGet, path: "/v1/tasks/{name}/preview", need: Read, what: "Tell when a task is due, from its next occurrence on.",
		params: previewParams, answer: &Preview{}, serve: (*call).previewTask,
	},
	{
		method: http.MethodGet, path: "/v1/preview", need: Read, what: "Tell when a schedule would fire. Nothing is put.",
		params: append([]param{
			{"schedule", "its text form, as every 15m; required", text},
			{"zone", "the IANA zone that cron, calendar and rrule are read in, and that instants are shown in", text},
			{"name", "the task's name, from which H and jitter follow", text},
		}, previewParams...),
		answer: &Preview{}, serve: (*call).preview,
	},
	{
		method: http.MethodGet, path: "/v1/simulate", need: Read,
		what: "Tell what will start in a time, over all namespaces, if nothing is changed meanwhile and every run succeeds at once.",
		params: []param{
			{"from", "the beginning; now", instant},
			{"until", "the end, which is not in it; a day after from", instant},
			{"limit", "how many at most, 1 to 10000; 1000", number},
		},
		answer: &Simulation{}, serve: (*call).simulate,
	},
}

// A look is which occurrences a preview tells.
type look struct {
	from, until time.Time // until may be zero
	n           int
	zone        *time.Location
	left        int  // starts that the schedule has left; -1 is no limit
	once        bool // a delay: what is due at from itself counts, too
}

// look reads the parameters of a preview.
func (c *call) look() (l look, err error) {
	if l.n, err = c.number("n", defaultPreview, maxLimit); err != nil {
		return l, err
	}
	l.from, l.until, l.left = c.instant("from"), c.instant("until"), -1
	if !c.has("from") {
		l.from = c.now()
	}
	if c.has("until") && l.until.Before(l.from) {
		return l, wrong("until", quote(c.q.Get("until")), "an instant that is not before from, "+l.from.Format(time.RFC3339Nano))
	}
	return l, nil
}

// preview answers GET /v1/preview.
func (c *call) preview() error {
	l, err := c.look()
	if err != nil {
		return err
	}
	if !c.has("schedule") {
		return wrong("schedule", "not given", "the text form of one, as every 15m")
	}
	s, zone, err := read(c.q.Get("schedule"), c.q.Get("zone"), l.from)
	if err == nil && zone != "" && s.Zone() != "" {
		s = s.In(zone)
	}
	if err == nil && !s.Never() {
		err = s.Err()
	}
	if err != nil {
		return scheduled("schedule", err)
	}
	if err := notNegative("schedule", s); err != nil {
		return err
	}
	l.once = s.Kind() == schedule.KindAfter
	if zone = c.q.Get("zone"); zone == "" {
		zone = s.Zone()
	}
	if l.zone, err = place(zone); err != nil {
		return err
	}
	if n := s.Limit(); n > 0 {
		l.left = n
	}
	k := store.Key{Namespace: c.d.Namespace(), Name: c.q.Get("name")}
	p := begin(s, l.zone)
	l.collect(p, s.Bind(k.String(), l.from), l.from)
	return c.json(http.StatusOK, p)
}

// place returns the zone that times are shown in.
func place(zone string) (*time.Location, error) {
	if zone == "" || zone == "UTC" {
		return time.UTC, nil
	}
	loc, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return nil, wrong("zone", quote(zone), "the name of an IANA zone, such as Europe/Berlin")
	}
	return loc, nil
}

func begin(s schedule.Schedule, zone *time.Location) *Preview {
	p := &Preview{Schedule: s.String(), Words: s.Words(), Zone: zone.String(), Warnings: append([]string{}, s.Warnings()...), Occurrences: []Occurrence{}}
	if k := s.Kind(); k == schedule.KindPace || k == schedule.KindPaceFromStart {
		p.Warnings = append(p.Warnings, "a pace depends on the runs: these are the instants if each run starts when due and takes no time")
	}
	return p
}

// collect adds the occurrences that are looked for, from one on.
func (l *look) collect(p *Preview, r schedule.Rule, start time.Time) {
	found, excluded := 0, 0
	p.Never = true
	for !start.IsZero() {
		var skip time.Time
		for o := range r.Preview(start) {
			out := o.Marks.Has(schedule.MarkExcluded)
			switch {
			case !o.Due.After(l.from) && !l.once:
				continue
			case out && excluded == maxExcluded:
				skip = o.At
			case !out:
				p.Never = false
			}
			if !skip.IsZero() {
				break
			}
			if found == l.n || found == l.left || !l.until.IsZero() && o.Due.After(l.until) {
				p.Never = p.Never && r.Next(o.At).IsZero()
				return
			}
			l.add(p, o)
			if excluded++; !out {
				found, excluded = found+1, 0
			}
		}
		if skip.IsZero() {
			return
		}
		excluded, start = 0, r.Next(skip)
	}
}

func (l *look) add(p *Preview, o schedule.Occurrence) {
	marks := o.Marks.Strings()
	if marks == nil {
		marks = []string{}
	}
	due := store.At(o.At).Add(o.Due.Sub(o.At)).Time() // as the store will keep it, to the microsecond
	p.Occurrences = append(p.Occurrences, Occurrence{At: shownIn(due, l.zone), UTC: due, Marks: marks})
}

// shownIn is an instant in a zone. RFC 3339 has offsets of whole minutes only, and local mean times had seconds: they are cut off the
// offset and the time of day alike, so that the instant is the same.
func shownIn(t time.Time, zone *time.Location) time.Time {
	t = t.In(zone)
	if _, offset := t.Zone(); offset%60 != 0 {
		t = t.In(time.FixedZone("", offset/60*60))
	}
	if y := t.Year(); y < 0 || y > 9999 { // which RFC 3339 can't write
		return t.UTC()
	}
	return t
}

// previewTask answers GET /v1/tasks/{name}/preview.
func (c *call) previewTask() error {
	l, err := c.look()
	if err != nil {
		return err
	}
	t, err := c.d.Get(c.r.Context(), c.name)
	if err != nil {
		return err
	}
	s, err := schedule.Parse(t.Schedule)
	if err != nil {
		return &mistake{class: ErrInternal, why: "the schedule that is kept: " + err.Error()}
	}
	if l.zone, err = place(s.Zone()); err != nil {
		return err
	}
	p := begin(s, l.zone)
	l.task(p, t, s)
	return c.json(http.StatusOK, p)
}

// task adds the occurrences of a task that are looked for: the next one, which may have been moved, and what the rule says comes after.
func (l *look) task(p *Preview, t *duly.Task, s schedule.Schedule) {
	p.Never = true
	if t.ScheduledFor.IsZero() || t.Ended {
		return
	}
	if n := s.Limit(); n > 0 {
		l.left = max(n-int(t.Starts), 0)
		s = s.Times(math.MaxInt32) // which are counted here: the rule would count from its first occurrence, whatever became of it
	}
	r := s.Bind(store.Key{Namespace: t.Namespace, Name: t.Name}.String(), t.AcceptedAt)
	next := schedule.Occurrence{At: t.ScheduledFor, Due: t.Due}
	for o := range r.Preview(t.ScheduledFor) {
		if o.At.Equal(t.ScheduledFor) {
			next.Marks = o.Marks
		}
		break
	}
	p.Never = false
	if l.left == 0 || !l.until.IsZero() && next.Due.After(l.until) {
		return
	}
	if next.Due.After(l.from) {
		l.add(p, next)
		l.n--
	}
	if l.left > 0 {
		l.left--
	}
	if !s.Recurring() || l.n == 0 || l.left == 0 {
		return
	}
	l.rest(p, t, s, r)
}

// rest adds what comes after a task's next occurrence.
func (l *look) rest(p *Preview, t *duly.Task, s schedule.Schedule, r schedule.Rule) {
	if k := s.Kind(); k != schedule.KindPace && k != schedule.KindPaceFromStart {
		if l.left > 0 && l.from.After(t.ScheduledFor) {
			l.left = max(l.left-int(min(r.Count(t.ScheduledFor, l.from.Add(-r.Offset())), math.MaxInt32)), 0)
		}
		start := maxTime(t.ScheduledFor.Add(1), l.from.Add(-r.Offset()))
		l.from = maxTime(l.from, t.Due)
		l.collect(p, r, start)
		return
	}
	for at := l.skip(r, r.Next(t.ScheduledFor)); !at.IsZero() && l.n > 0 && l.left != 0; at = r.Next(at) {
		due := at.Add(r.Offset())
		if !l.until.IsZero() && due.After(l.until) {
			return
		}
		if due.After(l.from) {
			l.add(p, schedule.Occurrence{At: at, Due: due})
			l.n--
		}
		l.left--
	}
}

// skip returns where a pace is just before what is looked for, which can be far away, or nearly there.
func (l *look) skip(r schedule.Rule, at time.Time) time.Time {
	for !at.IsZero() {
		period := r.Next(at).Sub(at)
		if period <= 0 { // it is the last
			break
		}
		far := l.from.Sub(at.Add(r.Offset())) // up to 292 years at a time
		n := int64(far / period)
		if n <= 1 {
			break
		}
		at = r.Next(at.Add(far - far%period - period))
		if l.left > 0 {
			l.left = max(l.left-int(min(n, math.MaxInt32)), 0)
		}
	}
	return at
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// simulate answers GET /v1/simulate.
func (c *call) simulate() error {
	limit, err := c.number("limit", defaultFires, maxFires)
	if err != nil {
		return err
	}
	from, until := c.instant("from"), c.instant("until")
	if !c.has("from") {
		from = c.now()
	}
	if !c.has("until") {
		until = from.Add(defaultSimulate)
	}
	if until.Before(from) {
		return wrong("until", quote(c.q.Get("until")), "an instant that is not before from, "+from.Format(time.RFC3339Nano))
	}
	v := Simulation{Fires: []Fire{}}
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	for f, err := range c.d.Simulate(ctx, from, until) {
		if err != nil {
			return err
		}
		if len(v.Fires) == limit {
			v.Truncated = true
			break
		}
		v.Fires = append(v.Fires, Fire{Namespace: f.Namespace, Name: f.Name, Kind: f.Kind, ScheduledFor: f.ScheduledFor, DueAt: f.Due})
	}
	return c.json(http.StatusOK, &v)
}
