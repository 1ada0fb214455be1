package transfer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/target"
)

// Version is that of the form.
const Version = 1

// MostLine is how many bytes a line may have.
const MostLine = 4 << 20

// Line is a task as it is moved. Instants are of RFC 3339 in UTC, or "never".
type Line struct {
	Version      int             `json:"version"` // 1
	Namespace    string          `json:"namespace,omitempty"`
	Name         string          `json:"name"`
	Kind         string          `json:"kind"`
	Schedule     string          `json:"schedule"` // its text form, with as many times as are left
	AcceptedAt   string          `json:"accepted_at"`
	ScheduledFor string          `json:"scheduled_for,omitempty"` // of what is next; absent where only retries are left
	DueAt        string          `json:"due_at,omitempty"`
	Moved        bool            `json:"moved,omitempty"`   // what is next is where somebody wanted it, not where the schedule has it
	Through      string          `json:"through,omitempty"` // of what recurs: nothing up to then comes again
	Paused       bool            `json:"paused,omitempty"`  // nothing of it starts
	PausedWhy    string          `json:"paused_why,omitempty"`
	Retries      []Retry         `json:"retries,omitempty"` // runs of what recurs that wait, beside what is next
	Key          string          `json:"key,omitempty"`
	Tags         []string        `json:"tags,omitempty"`
	Priority     int32           `json:"priority,omitempty"`
	Policy       json.RawMessage `json:"policy,omitempty"`
	Payload      json.RawMessage `json:"payload,omitempty"` // where it is JSON
	Base64       []byte          `json:"base64,omitempty"`  // where it is not
}

// Retry is a run that waits for its next attempt.
type Retry struct {
	ScheduledFor string `json:"scheduled_for"`
	DueAt        string `json:"due_at"`
}

// A Left is what of a task could not be moved.
type Left struct {
	Key store.Key
	Why string
}

const never = "never"

func textOf(i store.Instant) string {
	if i == store.Never {
		return never
	}
	if i == 0 {
		return ""
	}
	return i.Time().Format(time.RFC3339Nano)
}

func instantOf(field, text string) (store.Instant, error) {
	if text == never {
		return store.Never, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, wrong(field, text, "an instant such as 2026-12-24T17:00:00Z, or never")
	}
	return store.At(t), nil
}

func wrong(field, value, want string) error {
	const most = 60
	if len(value) > most {
		value = value[:most] + "..."
	}
	return fmt.Errorf("%s is %s, want %s", field, strconv.Quote(value), want)
}

// lineOf returns a task as a line, nil where nothing of it can be moved, and what of it stays behind.
func lineOf(t *store.Task) (l *Line, left []Left) {
	leave := func(why string) { left = append(left, Left{t.Key, why}) }
	waiting, running := waits(t)
	if running > 0 {
		leave(fmt.Sprintf("%d attempts run", running))
	}
	if t.Ended {
		return nil, left
	}
	s, err := schedule.Parse(t.Schedule)
	if err != nil {
		leave("its schedule is none of this version's: " + err.Error())
		return nil, left
	}
	// What comes after a one-off, or after a run that the next one is counted from, is in the run.
	follows := !t.Recurring || s.Kind() == schedule.KindPace
	next, through, again := t.Next, t.Last, false
	if next.None() && follows && running == 0 {
		next, waiting, again = takeNext(waiting)
		through = min(through, next.For-1)
	}
	switch {
	case next.None() && (len(waiting) == 0 || follows && running > 0):
		leave("what comes after the attempt that runs is not known yet")
		return nil, left
	case next.None() || !t.Recurring:
		through = 0
	}
	text := t.Schedule
	if !next.None() {
		text = leftOf(s, t, again)
	}
	l = &Line{
		Version: Version, Namespace: t.Namespace, Name: t.Name, Kind: t.Kind, Schedule: text, AcceptedAt: textOf(t.AcceptedAt),
		ScheduledFor: textOf(next.For), DueAt: textOf(next.Due), Moved: t.Moved && !again, Through: textOf(through), Paused: t.Paused(), PausedWhy: t.PausedWhy,
		Key: t.LimitKey, Tags: t.Tags, Priority: t.Priority, Policy: t.Policy, Payload: t.Payload,
	}
	for _, r := range waiting {
		l.Retries = append(l.Retries, Retry{textOf(r.For), textOf(max(r.Due, r.For))})
	}
	if len(t.Payload) > 0 && !exact(t.Payload) {
		l.Payload, l.Base64 = nil, t.Payload
	}
	if len(t.Policy) > 0 && !exact(t.Policy) {
		leave("its policy is none of this version's")
		return nil, left
	}
	return l, left
}

// waits returns the runs of a task that wait for their next attempt, and how many attempts run.
func waits(t *store.Task) (waiting []store.Run, running int) {
	for i := range t.Runs {
		switch t.Runs[i].State {
		case store.Running:
			running++
		case store.Pending:
			waiting = append(waiting, t.Runs[i])
		default: // a dead run, which is not among those of a task
		}
	}
	return waiting, running
}

// takeNext takes out the first run that waits and is not beside the schedule. It begins anew, at its instant.
func takeNext(waiting []store.Run) (next store.Occurrence, rest []store.Run, ok bool) {
	i := slices.IndexFunc(waiting, func(r store.Run) bool { return !r.Extra })
	if i < 0 {
		return next, waiting, false
	}
	r := waiting[i]
	return store.Occurrence{For: r.For, Due: max(r.Due, r.For)}, slices.Delete(slices.Clone(waiting), i, i+1), true
}

// leftOf returns the text of a schedule with as many starts as are left. again says that one of those that were started begins anew.
func leftOf(s schedule.Schedule, t *store.Task, again bool) string {
	n := s.Limit()
	if n == 0 || t.Starts == 0 {
		return t.Schedule
	}
	rest := int64(n) - t.Starts
	if again {
		rest++
	}
	return s.Times(int(max(rest, 1))).String() // as there is a next one, it may start
}

// exact says whether bytes come back as they are when they are written as a part of a line.
func exact(b []byte) bool {
	if !json.Valid(b) || !utf8.Valid(b) {
		return false
	}
	line, err := encode(&Line{Payload: b})
	if err != nil {
		return false
	}
	var back Line
	return json.Unmarshal(line, &back) == nil && bytes.Equal(back.Payload, b)
}

func encode(l *Line) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(l)
	return b.Bytes(), err
}

// parse reads a line, and returns what it asks for.
func parse(text []byte) (*record, error) {
	var l Line
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return nil, fmt.Errorf("want an object as duly export prints: %w", err)
	}
	if err := once(text, reflect.TypeFor[Line]()); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one object on a line")
	}
	return l.record()
}

// once refuses an object in which a field is there twice, or in other letters than the type's: encoding/json takes the last one. It looks at
// the outermost fields.
func once(text []byte, of reflect.Type) error {
	known := map[string]bool{}
	for f := range of.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		known[name] = true
	}
	seen := map[string]bool{}
	dec := json.NewDecoder(bytes.NewReader(text))
	if _, err := dec.Token(); err != nil { // the brace
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		switch name, ok := key.(string); {
		case !ok:
			return errors.New("want an object")
		case !known[name]:
			return fmt.Errorf("unknown field %q", name)
		case seen[name]:
			return fmt.Errorf("the field %q is there twice", name)
		default:
			seen[name] = true
		}
	}
	return nil
}

// A record is what a line asks for.
type record struct {
	key     store.Key
	put     store.Put // with its instant, or with parked
	next    store.Occurrence
	ends    bool // nothing is next
	through store.Instant
	moved   bool
	paused  bool
	why     string
	retries []store.Occurrence
	parked  bool // what is next is set when everything else is
}

// record checks a line.
func (l *Line) record() (*record, error) {
	if l.Version != Version {
		return nil, wrong("version", strconv.Itoa(l.Version), "1, which is what this program knows")
	}
	s, err := schedule.Parse(l.Schedule)
	if err != nil {
		return nil, err
	}
	r := &record{key: store.Key{Namespace: l.Namespace, Name: l.Name}, moved: l.Moved, paused: l.Paused, why: l.PausedWhy}
	if r.ends = l.ScheduledFor == "" && l.DueAt == "" && len(l.Retries) > 0; !r.ends {
		if r.next, err = occurrenceOf(l.ScheduledFor, l.DueAt); err != nil {
			return nil, err
		}
	}
	accepted, err := instantOf("accepted_at", l.AcceptedAt)
	if err != nil {
		return nil, err
	}
	if l.Through != "" {
		if r.through, err = instantOf("through", l.Through); err != nil {
			return nil, err
		}
	}
	for i := range l.Retries {
		o, err := occurrenceOf(l.Retries[i].ScheduledFor, l.Retries[i].DueAt)
		if err != nil {
			return nil, fmt.Errorf("retries: %w", err)
		}
		r.retries = append(r.retries, o)
	}
	r.put = store.Put{
		Key: r.key, When: store.On(store.Occurrence{For: parked, Due: parked}), AcceptedAt: accepted,
		Spec: store.Spec{
			Kind: l.Kind, Schedule: s.String(), Policy: l.Policy, Payload: l.Payload, LimitKey: l.Key, Tags: l.Tags, Priority: l.Priority, Recurring: s.Recurring(),
		},
	}
	if len(l.Base64) > 0 {
		r.put.Payload = l.Base64
	}
	return r, r.check(l)
}

func occurrenceOf(nominal, due string) (o store.Occurrence, err error) {
	if o.For, err = instantOf("scheduled_for", nominal); err != nil {
		return o, err
	}
	if o.Due, err = instantOf("due_at", due); err != nil {
		return o, err
	}
	if o.Due < o.For {
		return o, wrong("due_at", due, "no earlier than scheduled_for, which is "+nominal)
	}
	return o, nil
}

// check refuses what contradicts itself.
func (r *record) check(l *Line) error {
	recurring := r.put.Recurring
	switch {
	case !recurring && (l.Moved || l.Through != "" || len(l.Retries) > 0):
		return errors.New("moved, through and retries are of a task that recurs, and the schedule " + strconv.Quote(l.Schedule) + " does not")
	case len(l.Payload) > 0 && len(l.Base64) > 0:
		return errors.New("payload and base64 are two payloads, want one of them")
	case r.put.AcceptedAt == store.Never:
		return wrong("accepted_at", l.AcceptedAt, "an instant")
	case r.ends && (l.Moved || l.Through != ""):
		return errors.New("moved and through are of what is next, which is not there")
	case r.through != 0 && !l.Moved && r.next.For <= r.through:
		return wrong("scheduled_for", l.ScheduledFor, "an instant after through, which is "+l.Through)
	case !l.Paused && l.PausedWhy != "":
		return errors.New("paused_why is there, and paused is not")
	case len(r.retries) >= store.MaxRuns:
		return wrong("retries", strconv.Itoa(len(r.retries)), "fewer than "+strconv.Itoa(store.MaxRuns))
	}
	if len(l.Policy) > 0 {
		var policy map[string]json.RawMessage
		if err := json.Unmarshal(l.Policy, &policy); err != nil {
			return wrong("policy", string(l.Policy), "an object")
		}
		if err := duly.CheckPolicy(l.Policy); err != nil {
			return fmt.Errorf("policy: %w", err)
		}
	}
	if err := r.payload(); err != nil {
		return err
	}
	if r.parked = r.moved || r.paused || r.through != 0 || len(r.retries) > 0; !r.parked {
		r.put.When = store.On(r.next)
	}
	return r.put.Check()
}

// payload looks into what this program runs itself.
func (r *record) payload() error {
	var err error
	switch r.put.Kind {
	case target.KindCommand:
		var c target.Command
		if err = strict(r.put.Payload, &c); err == nil {
			err = c.Check()
		}
	case target.KindHTTP:
		var c target.Callback
		if err = strict(r.put.Payload, &c); err == nil {
			err = c.Check()
		}
	}
	if err != nil {
		return fmt.Errorf("payload of the kind %s: %w", r.put.Kind, err)
	}
	return nil
}

// strict reads a payload of which every field is known.
func strict(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	return once(b, reflect.TypeOf(into).Elem())
}
