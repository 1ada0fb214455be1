package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/schedule/when"
	"github.com/dulyhq/duly/target"
)

// A declared is a Spec that was understood.
type declared struct {
	name    string
	kind    string
	payload []byte
	when    schedule.Schedule
	options []duly.PutOption
}

// understand checks a Spec, of which the fields given were written. What only the scheduler can tell, it tells when the task is put.
func (h *Handler) understand(s *Spec, given []string) (*declared, error) {
	d := &declared{name: s.Name}
	var err error
	if d.kind, d.payload, err = h.what(s); err != nil {
		return nil, err
	}
	if d.when, err = s.when(given, h.now()); err != nil {
		return nil, err
	}
	if h.o.Defaults != nil {
		d.options = append(d.options, h.o.Defaults(d.kind)...)
	}
	more, err := s.options(given)
	if err != nil {
		return nil, err
	}
	d.options = append(d.options, more...)
	return d, nil
}

// what returns the kind and the payload that a Spec asks for.
func (h *Handler) what(s *Spec) (kind string, payload []byte, err error) {
	const want = "exactly one of command, http, and kind with its payload"
	switch {
	case s.Command == nil && s.HTTP == nil && s.Kind == "" && s.Payload == nil:
		return "", nil, wrong("command", "not given", want)
	case s.Command != nil && s.HTTP != nil:
		return "", nil, wrong("http", "given beside command", want)
	case (s.Command != nil || s.HTTP != nil) && s.Kind != "":
		return "", nil, wrong("kind", quote(s.Kind), want)
	case (s.Command != nil || s.HTTP != nil) && s.Payload != nil:
		return "", nil, wrong("payload", "given beside command or http", want)
	case s.Command != nil:
		payload, err = h.command(s.Command)
		return target.KindCommand, payload, err
	case s.HTTP != nil:
		payload, err = h.callback(s.HTTP)
		return target.KindHTTP, payload, err
	case s.Kind == "":
		return "", nil, wrong("kind", "not given", "the kind that the payload is for")
	case s.Kind == target.KindCommand, s.Kind == target.KindHTTP:
		return "", nil, wrong("kind", quote(s.Kind), "the field "+s.Kind+" in place of kind and payload")
	}
	payload, err = compact(s.Payload)
	return s.Kind, payload, err
}

// compact is a payload as it is kept: without blanks, so that the same is the same; null if there is none.
func compact(raw json.RawMessage) ([]byte, error) {
	if raw == nil {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, wrong("payload", shown(raw), "JSON")
	}
	if deep(b.Bytes()) {
		return nil, wrong("payload", "nested deeper", "arrays and objects in each other at most "+strconv.Itoa(maxDepth)+" deep")
	}
	return b.Bytes(), nil
}

// maxDepth is how deep what is in a payload may be. Readers of JSON have a limit, which a payload must not bring an answer to that it is
// only a part of: nobody could list the tasks around it any more.
const maxDepth = 1000

// deep says whether valid JSON is nested deeper than maxDepth.
func deep(b []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[', c == '{':
			if depth++; depth > maxDepth {
				return true
			}
		case c == ']', c == '}':
			depth--
		}
	}
	return false
}

// command returns the payload of a command, if it may be put.
func (h *Handler) command(c *target.Command) ([]byte, error) {
	if !h.o.Commands {
		return nil, &mistake{
			class: ErrKindOff, field: "command", value: "given", want: "another kind of task, or a server that runs commands (duly serve --allow-commands)",
		}
	}
	if err := within("command", c.Check()); err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

// callback returns the payload of a callback, if it may be put.
func (h *Handler) callback(c *target.Callback) ([]byte, error) {
	if !h.o.Callbacks {
		return nil, &mistake{class: ErrKindOff, field: "http", value: "given", want: "another kind of task, or a server that makes callbacks"}
	}
	err := within("http", c.Check())
	if err == nil && h.o.CheckCallback != nil {
		err = within("http", h.o.CheckCallback(c))
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(c)
}

// when returns the schedule that a Spec asks for.
func (s *Spec) when(given []string, now time.Time) (schedule.Schedule, error) {
	var by []string
	for _, name := range [...]string{"schedule", "in", "at", "every", "cron", "calendar"} {
		if slices.Contains(given, name) {
			by = append(by, name)
		}
	}
	const want = "exactly one of schedule, in, at, every, cron and calendar"
	switch len(by) {
	case 0:
		return schedule.Schedule{}, wrong("schedule", "not given", want)
	case 1:
	default:
		return schedule.Schedule{}, wrong(by[1], "given beside "+by[0], want)
	}
	var sc schedule.Schedule
	var err error
	zone := s.Zone
	switch by[0] {
	case "schedule":
		sc, zone, err = read(s.Schedule, zone, now)
	case "in", "at":
		text := string(s.said.in)
		if by[0] == "at" {
			text = string(s.said.at)
		}
		if by[0] == "at" && zone == "" && len(text) > len("2026-12-24") && text[len("2026-12-24")] == 'T' {
			sc, err = schedule.Parse("at " + text) // a program's, which is to say its offset
		} else {
			sc, zone, err = read(by[0]+" "+text, zone, now)
		}
		if err == nil {
			err = plain(by[0], text, sc)
		}
		if err == nil && by[0] == "at" && s.Zone == "" {
			err = placed(text, sc, now)
		}
		err = behind(by[0], err)
	case "every":
		sc = schedule.Every(time.Duration(s.Every))
	case "cron":
		sc = schedule.Cron(s.Cron)
	case "calendar":
		sc = schedule.Calendar(s.Calendar)
	}
	if err == nil && zone != "" {
		switch by[0] {
		case "schedule", "cron", "calendar":
			sc = sc.In(zone)
		case "at":
			if _, err := place(zone); err != nil { // the instant has said its own
				return sc, err
			}
		default:
			return sc, wrong("zone", quote(s.Zone), "it beside schedule, at, cron or calendar only")
		}
	}
	if err == nil {
		err = sc.Err()
	}
	if err != nil {
		return sc, scheduled(by[0], err)
	}
	return sc, notNegative(by[0], sc)
}

// plain refuses what is more than a length or an instant.
func plain(field, text string, sc schedule.Schedule) error {
	_, after := sc.PlainAfter()
	if _, at := sc.PlainAt(); field == "in" && !after || field == "at" && !at {
		return &schedule.Error{Field: field, Value: text, Want: "it alone; the field schedule takes all that a schedule has"}
	}
	if date, _, _ := strings.Cut(strings.TrimSpace(text), "["); field == "at" && len(date) == len("2026-12-24") && date[4] == '-' {
		return &schedule.Error{Field: field, Value: text, Want: "a time of day as well, such as " + date + "T00:00:00Z"}
	}
	return nil
}

// placed refuses an instant in digits that does not say where: what a program sends would be some hours off. Words are read in UTC.
func placed(text string, sc schedule.Schedule, now time.Time) error {
	if strings.IndexAny(strings.TrimSpace(text), "0123456789") != 0 {
		return nil
	}
	here, _ := sc.PlainAt()
	other, err := when.Schedule("at "+text, now, time.FixedZone("", 3600))
	if err != nil {
		return nil //nolint:nilerr // only its own form was read, which has an offset
	}
	if there, _ := other.PlainAt(); there.Equal(here) {
		return nil
	}
	return &schedule.Error{Field: "at", Value: text, Want: "its zone as well, in it or in the field zone: " + here.Format(time.RFC3339)}
}

// behind moves the place of a mistake from behind a word and a blank to the text itself.
func behind(word string, err error) error {
	e, ok := errors.AsType[*schedule.Error](err)
	if !ok || e.Pos == 0 {
		return err
	}
	moved := *e
	moved.Pos = max(e.Pos-len(word)-1, 1)
	return &moved
}

// read reads the text form of a schedule, in which an instant may be as people write it, as seen from now: at tomorrow 17:00. Such an
// instant is read in the zone, which is then used up.
func read(text, zone string, now time.Time) (schedule.Schedule, string, error) {
	s, err := schedule.Parse(text)
	if err == nil || !strings.HasPrefix(strings.TrimSpace(text), "at ") {
		return s, zone, err
	}
	loc := time.UTC
	if zone != "" {
		if err := schedule.Cron("@daily").In(zone).Err(); err != nil {
			return s, zone, err
		}
		if loc, err = place(zone); err != nil {
			return s, zone, err
		}
	}
	at, wrong := when.Schedule(text, now, loc)
	if e, ok := errors.AsType[*when.Error](wrong); ok {
		if len(e.Readings) == 0 && strings.IndexAny(e.Text+"0", "0123456789") == 0 {
			return s, zone, err // which tells the place
		}
		return s, zone, &schedule.Error{Field: "at", Value: e.Text, Want: e.Want()}
	}
	return at, "", wrong
}

// scheduled names the field in which a schedule is wrong.
func scheduled(field string, err error) error {
	e, ok := errors.AsType[*schedule.Error](err)
	if !ok {
		return wrong(field, err.Error(), "a schedule")
	}
	if e.Field == "in" && field != "in" { // the clause of the zone
		field = "zone"
	}
	value := quote(e.Value)
	if e.Pos > 0 {
		value += " at byte " + strconv.Itoa(e.Pos)
	}
	if e.Field != field && e.Field != "schedule" && e.Field != "" && field != "zone" {
		value = e.Field + " " + value
	}
	return wrong(field, value, e.Want)
}

// notNegative refuses a delay of less than 0: who sends one over a network has worked it out wrong. A library's caller is told nothing.
func notNegative(field string, s schedule.Schedule) error {
	if s.Kind() != schedule.KindAfter {
		return nil
	}
	if strings.HasPrefix(s.String(), "in -") {
		return wrong(field, quote(s.String()), "a delay of 0 or more")
	}
	return nil
}

// conflicts are the words for what becomes of a name that is taken.
var conflicts = map[string]duly.Conflict{
	"replace": duly.Replace, "keep": duly.Keep, "fail": duly.Fail, "keep-time": duly.KeepTime, "earliest": duly.Earliest,
}

const conflictWant = "replace, keep, fail, keep-time, earliest or debounce"

// options returns what a Spec says beside what and when.
func (s *Spec) options(given []string) (all []duly.PutOption, err error) {
	add := func(o duly.PutOption) { all = append(all, o) }
	has := func(name string) bool { return slices.Contains(given, name) }
	c, ok := conflicts[s.Conflict]
	switch {
	case s.Conflict == "debounce":
		c = duly.Debounce(time.Duration(s.DebounceMax))
	case has("debounce_max"):
		return nil, wrong("debounce_max", s.DebounceMax.String(), "it beside conflict debounce only")
	case has("conflict") && !ok:
		return nil, wrong("conflict", quote(s.Conflict), conflictWant)
	}
	if has("conflict") {
		add(duly.OnConflict(c))
	}
	if s.AnyKind {
		add(duly.AnyKind())
	}
	switch {
	case has("key"):
		limit := 1
		if has("key_limit") {
			limit = s.KeyLimit
		}
		add(duly.Key(s.Key, limit))
	case has("key_limit"):
		return nil, wrong("key_limit", strconv.Itoa(s.KeyLimit), "it beside a key only")
	}
	if has("tags") {
		add(duly.Tags(s.Tags...))
	}
	if has("priority") {
		add(duly.Priority(s.Priority))
	}
	more, err := s.Policy.options(given)
	return append(all, more...), err
}

// options returns how a task is to be run.
func (p *Policy) options(given []string) (all []duly.PutOption, err error) {
	add := func(o duly.PutOption) { all = append(all, o) }
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(given, n) })
	}
	if has("attempts", "backoff", "max_backoff", "max_elapsed") {
		add(duly.Retry(duly.RetryPolicy{
			Attempts: p.Attempts, Backoff: time.Duration(p.Backoff), MaxBackoff: time.Duration(p.MaxBackoff), MaxElapsed: time.Duration(p.MaxElapsed),
		}))
	}
	if has("overlap") {
		var o duly.OverlapPolicy
		if o.UnmarshalText([]byte(p.Overlap)) != nil {
			return nil, wrong("overlap", quote(p.Overlap), "skip, buffer, cancel, allow, or buffer-many:n with n from 1 to 10000")
		}
		add(duly.Overlap(o))
	}
	if has("catch_up") {
		var c duly.CatchUpPolicy
		if c.UnmarshalText([]byte(p.CatchUp)) != nil {
			return nil, wrong("catch_up", quote(p.CatchUp), "latest, earliest, none, or all:n with n from 1 to 10000")
		}
		add(duly.CatchUp(c))
	}
	for _, d := range [...]struct {
		name   string
		value  Duration
		option func(time.Duration) duly.PutOption
	}{
		{"window", p.Window, duly.Window},
		{"grace", p.Grace, duly.Grace},
		{"start_within", p.StartWithin, duly.StartWithin},
		{"timeout", p.Timeout, duly.Timeout},
	} {
		if has(d.name) {
			add(d.option(time.Duration(d.value)))
		}
	}
	if p.AtMostOnce {
		add(duly.AtMostOnce())
	}
	if p.StopOnError {
		add(duly.OnError(duly.Stop))
	}
	if p.ResumeMissed {
		add(duly.ResumeMissed())
	}
	return all, nil
}

// within names the field of a request that an error of what is in it belongs to.
func within(field string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*target.Error](err); ok {
		value := e.Value
		if value == "" && strings.ContainsAny(e.Field, ".?") {
			value = "not shown"
		} else if value == "" {
			value = "empty"
		}
		return wrong(join(field, strings.TrimPrefix(e.Field, field+".")), value, e.Want)
	}
	if m, ok := errors.AsType[*mistake](err); ok {
		return m
	}
	return &mistake{class: duly.ErrInvalid, field: field, value: "refused (" + err.Error() + ")"}
}
