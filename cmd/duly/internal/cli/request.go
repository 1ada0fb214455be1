package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/schedule/when"
)

// A request is one question: when does this fire? The zero values of all but n stand for what the expression says itself, or
// for the defaults.
type request struct {
	expr, kind, zone string
	from, until      string
	inclusive        bool // an occurrence at from counts, too
	n                int
	gap, fold, days  string
	name             string
}

// maxExcluded is how many occurrences that are left out an answer shows in a row.
const maxExcluded = 100

// answer answers. An error is a *refusal: what is wrong with the request.
func (r *request) answer(now func() time.Time) (*answer, error) {
	s, said, err := readNow(r.expr, r.kind, r.zone, r.seen(now()))
	if err != nil {
		return nil, err
	}
	if !said {
		if s, err = r.apply(s); err != nil {
			return nil, err
		}
	}
	a := &answer{Expression: r.expr, Kind: s.Kind().String(), Occurrences: []occurrence{}}
	if a.Zone, a.loc, err = r.showIn(s); err != nil {
		return nil, err
	}
	if r.from == "" {
		a.from = now().Truncate(time.Second)
	} else if a.from, err = instant("from", r.from, a.Zone, now()); err != nil {
		return nil, err
	}
	var until time.Time
	if r.until != "" {
		if until, err = instant("until", r.until, a.Zone, now()); err != nil {
			return nil, err
		}
		if until.Before(a.from) {
			return nil, &refusal{field: flag("until"), value: r.until, want: "an instant that is not before " + a.local(a.from), pos: -1}
		}
	}
	a.Canonical, a.Words = s.String(), s.Words()
	r.collect(a, s, until)
	a.Warnings = append(append([]string{}, s.Warnings()...), r.warnings(a, s)...)
	return a, nil
}

// forms are the first words of a schedule's text.
var forms = []string{"cron", "calendar", "rrule", "every", "in", "at", "pace", "pace-from-start"}

// clauses are the words that follow the fields of an expression.
var clauses = []string{"in", "gap", "fold", "days", "except", "from", "until", "times", "jitter", "align"}

// isForm says whether the word begins a schedule's text, in whichever case: the parser says which is right.
func isForm(word string) bool { return word == "on" || slices.Contains(forms, strings.ToLower(word)) }

// read reads an expression that says its kind, or one of the kind given. Positions of mistakes are those in expr.
func read(expr, kind string) (schedule.Schedule, error) {
	word, _, _ := strings.Cut(strings.TrimLeft(expr, " \t"), " ")
	word, _, _ = strings.Cut(word, "\t")
	union := strings.HasPrefix(word, "(")
	prefix := ""
	switch {
	case union && kind != "" && kind != "union", !union && isForm(word) && kind != "" && kind != strings.ToLower(word):
		said := strings.ToLower(word)
		if union {
			said = "union"
		}
		return schedule.Schedule{}, &refusal{
			field: flag("kind"), value: kind, want: said + ", as the expression says, or nothing", text: expr,
			pos: strings.Index(expr, word),
		}
	case union, isForm(word):
	case kind == "union":
		return schedule.Schedule{}, &refusal{
			field: flag("kind"), value: kind, want: `members in parentheses, such as (every 5m) or (cron 0 9 * * *)`, text: expr,
			pos: strings.Index(expr, word),
		}
	case kind != "":
		prefix = kind + " "
	case recurs(expr):
		prefix = "rrule "
	case cronLike(expr):
		prefix = "cron "
	}
	s, err := schedule.Parse(prefix + expr)
	if err != nil {
		return s, refuseText(expr, len(prefix), err)
	}
	return s, nil
}

// recurs says whether a text without a kind is a recurrence of iCalendar: a rule, or lines.
func recurs(expr string) bool {
	upper := strings.ToUpper(strings.TrimLeft(expr, " \t\r\n"))
	return slices.ContainsFunc([]string{"FREQ=", "RRULE", "DTSTART", "RDATE", "EXRULE", "EXDATE"}, func(start string) bool {
		return strings.HasPrefix(upper, start)
	}) && strings.ContainsAny(upper, "=:")
}

// readNow is read, and reads instants as people write them: at tomorrow 17:00, as seen from an instant and, if it names none, in the zone.
// Said tells that it was one, whose zone has had its say.
func readNow(expr, kind, zone string, now time.Time) (s schedule.Schedule, said bool, err error) {
	s, err = read(expr, kind)
	word, rest, _ := strings.Cut(strings.TrimSpace(expr), " ")
	if kind == "at" && word != "at" {
		rest = strings.TrimSpace(expr)
	}
	if err == nil || word != "at" && kind != "at" {
		return s, false, err
	}
	loc := time.UTC
	if zone != "" {
		var wrong error
		if loc, wrong = loadZone(zone); wrong != nil {
			return s, false, refuseFlag("zone", zone, wrong)
		}
	}
	at, wrong := when.Schedule("at "+rest, now, loc)
	e, unclear := errors.AsType[*when.Error](wrong)
	switch {
	case wrong == nil:
		return at, true, nil
	case unclear && (len(e.Readings) > 0 || rest != "" && (rest[0] < '0' || rest[0] > '9')):
		return s, false, &refusal{field: "at", value: e.Text, want: e.Want(), pos: -1}
	}
	return s, false, err
}

// seen returns the instant that others are told from: that of --from, if there is one, or now.
func (r *request) seen(now time.Time) time.Time {
	if r.from == "" {
		return now
	}
	if t, err := instant("from", r.from, cmp.Or(r.zone, "UTC"), now); err == nil {
		return t
	}
	return now // what is wrong with --from is told when it is needed
}

// cronLike says whether a text without a kind is meant to be a cron expression: a macro, a zone's prefix, or several words
// that begin as a field does.
func cronLike(expr string) bool {
	words := strings.Fields(expr)
	if len(words) == 0 {
		return false
	}
	if i := slices.IndexFunc(words, func(w string) bool { return slices.Contains(clauses, w) }); i > 0 {
		words = words[:i]
	}
	first := words[0]
	switch {
	case first[0] == '@', strings.HasPrefix(first, "TZ="), strings.HasPrefix(first, "CRON_TZ="):
		return true
	case 5 <= len(words) && len(words) <= 7:
		return true
	case len(words) == 1:
		return strings.ContainsAny(first, "*?")
	}
	if _, err := schedule.Parse("at " + first); err == nil {
		return false // a date and a time of day
	}
	return strings.ContainsRune("*?0123456789", rune(first[0])) || slices.ContainsFunc(words, func(w string) bool { return w[0] == '*' })
}

// apply adds what the request says beside the expression.
func (r *request) apply(s schedule.Schedule) (schedule.Schedule, error) {
	if r.zone != "" && s.Zone() != "" {
		s = s.In(r.zone)
		if err := mistake(s); err != nil {
			return s, refuseFlag("zone", r.zone, err)
		}
	}
	if r.gap != "" || r.fold != "" {
		gap, fold := policies(s)
		if r.gap != "" {
			gap = schedule.Gap(1 + slices.Index(gapWords, r.gap))
		}
		if r.fold != "" {
			fold = schedule.Fold(1 + slices.Index(foldWords, r.fold))
		}
		s = s.DST(gap, fold)
		if err := mistake(s); err != nil {
			if r.gap != "" {
				return s, refuseFlag("dst-gap", r.gap, err)
			}
			return s, refuseFlag("dst-fold", r.fold, err)
		}
	}
	if r.days != "" {
		s = s.Days(schedule.Days(slices.Index(daysWords, r.days)))
		if err := mistake(s); err != nil {
			return s, refuseFlag("days", r.days, err)
		}
	}
	return s, nil
}

// mistake is what is wrong with a schedule. That it never fires is an answer and no mistake.
func mistake(s schedule.Schedule) error {
	if s.Never() {
		return nil
	}
	return s.Err()
}

// policies returns what the schedule says of gaps and folds itself, which its text has if it is not the default.
func policies(s schedule.Schedule) (gap schedule.Gap, fold schedule.Fold) {
	words := strings.Fields(s.String())
	for i, w := range words[:max(len(words)-1, 0)] {
		switch w {
		case "except":
			return gap, fold
		case "gap":
			gap = schedule.Gap(1 + slices.Index(gapWords, words[i+1]))
		case "fold":
			fold = schedule.Fold(1 + slices.Index(foldWords, words[i+1]))
		}
	}
	return gap, fold
}

// showIn returns the zone of the answer: the one asked for, the schedule's own, or the only one that its text names.
func (r *request) showIn(s schedule.Schedule) (string, *time.Location, error) {
	name := s.Zone()
	if r.zone != "" {
		name = r.zone
	}
	if name == "" {
		name = zoneNamed(r.expr)
	}
	if name == "" {
		name = "UTC"
	}
	loc, err := loadZone(name)
	if err != nil {
		return "", nil, refuseFlag("zone", name, err)
	}
	return name, loc, nil
}

// zoneNamed returns the zone that the text names in brackets or behind "in", if it names one only.
func zoneNamed(text string) string {
	found := ""
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' || r == '(' || r == ')' })
	for i, w := range words {
		name := ""
		if _, in, ok := strings.Cut(w, "["); ok {
			name, _, _ = strings.Cut(in, "]")
		} else if i > 0 && words[i-1] == "in" {
			name = w
		}
		if name == "" {
			continue
		}
		if found != "" && found != name {
			return ""
		}
		found = name
	}
	if _, err := loadZone(found); err != nil {
		return "" // such as in 5m, or [+01:00]
	}
	return found
}

// instant reads an instant as the text form of a schedule does, or as people write it, as seen from now; what has neither offset nor zone is
// in the given one.
func instant(name, text, zone string, now time.Time) (time.Time, error) {
	t, err := plainInstant(name, text, zone)
	loc, noZone := loadZone(zone)
	if err == nil || noZone != nil {
		return t, err
	}
	at, wrong := when.ReadAny(text, now, loc)
	e, unclear := errors.AsType[*when.Error](wrong)
	switch {
	case wrong == nil:
		return at.UTC(), nil
	case unclear && (len(e.Readings) > 0 || text != "" && (text[0] < '0' || text[0] > '9')):
		return t, &refusal{field: flag(name), value: text, want: e.Want(), pos: -1}
	}
	return t, err
}

// plainInstant reads an instant that is the same whenever it is read.
func plainInstant(name, text, zone string) (time.Time, error) {
	full := text
	if len(full) > len("2006-01-02 ") && full[len("2006-01-02")] == ' ' {
		full = strings.Replace(full, " ", "T", 1)
	}
	if date, clock, _ := strings.Cut(full, "T"); !strings.ContainsAny(clock, "Z+-[") && !strings.Contains(date, "[") {
		full += "[" + zone + "]"
	}
	const prefix = "at "
	s, err := schedule.Parse(prefix + full)
	if err != nil {
		no := refuseText(text, len(prefix), err)
		no.field, no.value = flag(name), text
		if full == "" {
			no.want = "an instant such as 2026-12-24T17:00:00Z"
		}
		return time.Time{}, no
	}
	t, ok := s.PlainAt()
	if !ok || strings.ContainsAny(full, " \t") {
		return t, &refusal{field: flag(name), value: text, want: "an instant alone", pos: -1}
	}
	return t, nil
}

// collect fills in the occurrences. What counts from the acceptance of the schedule counts from a.from.
func (r *request) collect(a *answer, s schedule.Schedule, until time.Time) {
	c := collector{a: a, n: r.n, limit: s.Limit(), until: until}
	rule := s.Bind(r.name, a.from)
	at, ok := schedule.Occurrence{}, false
	if r.inclusive {
		at, ok = atFrom(s, r.name, a.from)
	}
	if ok && !c.add(at) {
		return
	}
	once := s.Kind() == schedule.KindAfter // "in 0" is due at once, so at from itself
	for start := a.from; ; {
		hidden := time.Time{}
		for o := range rule.Preview(start) {
			if !o.At.After(a.from) && !once && (ok || !r.inclusive) {
				continue
			}
			if o.Marks.Has(schedule.MarkExcluded) && c.excluded == maxExcluded {
				hidden = o.At
				break
			}
			if !c.add(o) {
				a.Never = c.found == 0 && c.left(rule, o)
				return
			}
		}
		if !hidden.IsZero() {
			a.hidden, c.excluded = true, 0
			start = rule.Next(hidden)
		}
		if hidden.IsZero() || start.IsZero() {
			a.ended = true
			a.Never = c.found == 0
			return
		}
	}
}

// atFrom returns the occurrence at from itself. A rule begins after it is bound, so it is bound a little earlier, unless
// that would move it.
func atFrom(s schedule.Schedule, name string, from time.Time) (schedule.Occurrence, bool) {
	if s.Relative() {
		return schedule.Occurrence{}, false
	}
	before := from.Add(-1)
	for o := range s.Bind(name, before).Preview(before) {
		if o.At.Equal(from) {
			return o, true
		}
		if o.At.After(from) {
			break
		}
	}
	return schedule.Occurrence{}, false
}

// collector takes occurrences until there are enough.
type collector struct {
	a        *answer
	n        int       // how many are wanted
	limit    int       // how many there can be; 0: no limit
	until    time.Time // zero: none
	found    int       // without those that are left out
	excluded int       // those in a row that are left out
}

// add takes an occurrence and says whether to go on.
func (c *collector) add(o schedule.Occurrence) bool {
	if !c.until.IsZero() && o.Due.After(c.until) {
		return false
	}
	c.a.add(o)
	if o.Marks.Has(schedule.MarkExcluded) {
		c.excluded++
		return true
	}
	c.found, c.excluded = c.found+1, 0
	c.a.ended = c.found == c.limit
	return c.found < c.n && c.found != c.limit
}

// left says whether nothing that runs is left from o on, which was not taken.
func (c *collector) left(rule schedule.Rule, o schedule.Occurrence) bool {
	return o.Marks.Has(schedule.MarkExcluded) && rule.Next(o.At).IsZero()
}

// warnings are what a reader should know that the schedule itself can't.
func (r *request) warnings(a *answer, s schedule.Schedule) (list []string) {
	switch s.Kind() {
	case schedule.KindPace, schedule.KindPaceFromStart:
		list = append(list, "a pace depends on the runs: these are the instants if each run starts when due and takes no time")
	case schedule.KindAt:
		if len(a.Occurrences) == 0 && a.Never {
			list = append(list, "the instant is not after "+a.local(a.from)+"; a task that is put then runs at once")
		}
	case schedule.KindUnion:
		if r.zone != "" {
			list = append(list, "the zone "+r.zone+" is only shown in; each member of a union says itself in which zone it is read")
		}
	default:
	}
	if (r.gap != "" || r.fold != "") && !pinsHour(s) {
		list = append(list, "what happens where the clocks are changed is only asked of a rule that names its hours: one whose "+
			"hour field begins with *, or with FREQ=HOURLY or less and no BYHOUR, goes by every minute that the clocks really show")
	}
	if r.name == "" && needsName(s) {
		list = append(list, "H and jitter follow from the task's name, and none is given: a task with a name has other instants")
	}
	if a.hidden {
		list = append(list, fmt.Sprintf("of more than %d occurrences in a row that are left out the first %d are shown", maxExcluded, maxExcluded))
	}
	return list
}

// pinsHour says whether the hours of an expression are named.
func pinsHour(s schedule.Schedule) bool {
	switch text := s.String(); s.Kind() {
	case schedule.KindCalendar:
		hour, _, _ := strings.Cut(text, ":")
		return !strings.HasSuffix(hour, "*")
	case schedule.KindRRule:
		return strings.Contains(text, "BYHOUR=") || !strings.Contains(text, "FREQ=HOURLY") &&
			!strings.Contains(text, "FREQ=MINUTELY") && !strings.Contains(text, "FREQ=SECONDLY")
	default:
	}
	fields := strings.Fields(s.String())[1:]
	if i := slices.IndexFunc(fields, func(w string) bool { return slices.Contains(clauses, w) }); i >= 0 {
		fields = fields[:i]
	}
	hour := 1
	if len(fields) > 5 {
		hour = 2
	}
	return hour < len(fields) && fields[hour][0] != '*'
}

// needsName says whether the schedule has H or jitter.
func needsName(s schedule.Schedule) bool {
	for word := range strings.FieldsSeq(s.String()) {
		if word == "jitter" {
			return true
		}
		for item := range strings.SplitSeq(strings.TrimLeft(word, "("), ",") {
			if rest, ok := strings.CutPrefix(item, "h"); ok && (rest == "" || rest[0] == '/' || rest[0] == '(') {
				return true
			}
		}
	}
	return false
}
