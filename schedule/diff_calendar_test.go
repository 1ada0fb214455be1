//go:build diff

package schedule_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// batch is how many expressions are put to systemd at once. They have the zone and the instant in common.
const batch = 100

// A systemdAnswer is what systemd-analyze calendar says of an expression.
type systemdAnswer struct {
	refused bool
	failed  bool // it gave up, with "Infinite loop in calendar calculation"
	normal  string
	at      []int64 // in seconds since 1970, which is all that it prints
}

// askSystemd puts expressions to it, for the n instants after one.
func askSystemd(t *testing.T, exprs []string, zone string, from int64, n int) []systemdAnswer {
	t.Helper()
	args := []string{"calendar", "--iterations=" + strconv.Itoa(n), "--base-time=@" + strconv.FormatInt(from, 10)}
	cmd := exec.Command("systemd-analyze", append(append(args, "--"), exprs...)...)
	cmd.Env = []string{"TZ=" + zone, "LC_ALL=C", "PATH=" + os.Getenv("PATH"), "SYSTEMD_COLORS=0"}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if _, exited := errors.AsType[*exec.ExitError](err); !exited { // it exits with a status where it refuses one
			t.Fatalf("ask systemd-analyze, of the package systemd: %v", err)
		}
	}
	failures := stderr.String()
	answers := make([]systemdAnswer, len(exprs))
	blocks := slices.DeleteFunc(strings.Split(stdout.String(), "\n\n"), func(b string) bool { return strings.TrimSpace(b) == "" })
	for i, expr := range exprs {
		answers[i].refused = strings.Contains(failures, "Failed to parse calendar specification '"+expr+"'")
		answers[i].failed = strings.Contains(failures, "Failed to determine next elapse for '"+expr+"'")
		if answers[i].refused || answers[i].failed {
			continue
		}
		if len(blocks) == 0 {
			t.Fatalf("no answer to %q in %s from %d: %s", expr, zone, from, failures)
		}
		answers[i] = readSystemd(t, blocks[0])
		blocks = blocks[1:]
	}
	if len(blocks) > 0 {
		t.Fatalf("an answer too much: %s", blocks[0])
	}
	return answers
}

// readSystemd reads a block of lines "name: value". An instant in a zone is followed by a line with the same in UTC.
func readSystemd(t *testing.T, block string) (a systemdAnswer) {
	t.Helper()
	for line := range strings.Lines(block) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case name == "Normalized form":
			a.normal = value
		case strings.HasSuffix(value, " UTC") && (name == "(in UTC)" || name == "Next elapse" || strings.HasPrefix(name, "Iter")):
			at, err := time.Parse("Mon 2006-01-02 15:04:05 UTC", value)
			if err != nil {
				t.Fatal(err)
			}
			a.at = append(a.at, at.Unix())
		}
	}
	return a
}

// A calendarQuestion is one case.
type calendarQuestion struct {
	expr, zone string
	from       int64
}

func (q calendarQuestion) String() string {
	return fmt.Sprintf("%q in %s from @%d = %s", q.expr, q.zone, q.from, time.Unix(q.from, 0).UTC().Format(time.RFC3339))
}

// schedule reads the expression as systemd does, in whose zone it is if it has none of its own.
func (q calendarQuestion) schedule() schedule.Schedule {
	s := schedule.Calendar(q.expr)
	last := q.expr[strings.LastIndexByte(q.expr, ' ')+1:]
	if _, err := time.LoadLocation(last); strings.EqualFold(last, "UTC") || strings.Contains(q.expr, "@") || last != q.expr && last != "" && err == nil && last[0] >= 'A' {
		return s
	}
	return s.In(q.zone)
}

// Fresh random cases, put to ours and to systemd: every disagreement has a reason that is written down. DIFF_CASES says how many,
// DIFF_SEED which.
func TestDiffCalendar(t *testing.T) {
	cases, seed := int(envInt("DIFF_CASES", 100_000)), uint64(envInt("DIFF_SEED", time.Now().UnixNano()))
	version, err := exec.Command("systemd-analyze", "--version").Output()
	if err != nil {
		t.Fatalf("ask systemd-analyze, of the package systemd, for its version: %v", err)
	}
	first, _, _ := strings.Cut(string(version), "\n")
	t.Logf("%s; %d cases; again with DIFF_SEED=%d", first, cases, seed)
	w := calendarWriter{fullWriter(rand.New(rand.NewPCG(seed, 2)))}
	zones := slices.DeleteFunc(append([]string{"UTC"}, namedZones...), func(zone string) bool {
		return zone == "Africa/Monrovia" // is at UTC now, so that systemd does not tell what its times of before are in UTC
	})
	changes := map[string][]int64{}
	for _, zone := range zones {
		changes[zone] = transitions(mustZone(t, zone))
	}
	const n = 3
	counts, unexplained := tally{}, 0
	for done := 0; done < cases; done += batch {
		q := calendarQuestion{zone: zones[w.IntN(len(zones))]}
		q.from = max(w.instant(changes[q.zone]).Unix()%(220*365*86400), 0)
		exprs := make([]string, batch)
		for i := range exprs {
			for exprs[i] = w.question(); strings.ContainsAny(exprs[i], "'\n") || slices.Contains(exprs[:i], exprs[i]) || exprs[i] == ""; {
				exprs[i] = w.question()
			}
		}
		for i, a := range askSystemd(t, exprs, q.zone, q.from, n) {
			q.expr = exprs[i]
			why := q.compare(a, n)
			counts[why]++
			if strings.HasPrefix(why, "unexplained") {
				if unexplained++; unexplained <= 30 {
					s := q.schedule()
					t.Errorf("%s %v: ours %s %v %v, theirs %v %s %v", why, q, s, s.Err(), utcTexts(q.answer(s, n)), a.refused, a.normal, utcTexts(a.at))
				}
			}
		}
	}
	counts.log(t, "systemd")
	text, err := os.ReadFile(filepath.Join("..", "docs", "schedules.md"))
	if err != nil {
		t.Fatal(err)
	}
	for why := range counts {
		if _, rules, ok := strings.Cut(why, ": "); ok && strings.HasPrefix(why, "differs") {
			for rule := range strings.SplitSeq(rules, ", ") {
				if !strings.Contains(string(text), "**"+rule+"**") {
					t.Errorf("docs/schedules.md has no rule **%s**", rule)
				}
			}
		}
	}
}

// lastDaysInLists says whether a list of days from the end of the month has an item beyond what systemd takes at its place: 28 at the
// first, and 3 less at each that follows.
func lastDaysInLists(text string) bool {
	_, days, _ := strings.Cut(text, "~")
	days, _, _ = strings.Cut(days, " ")
	for i, item := range strings.Split(days, ",") {
		first, last, _ := strings.Cut(strings.ReplaceAll(item, "/", ".."), "..")
		last, _, _ = strings.Cut(last, "..")
		for _, n := range []string{first, last} {
			if v, err := strconv.Atoi(n); err == nil && v > 28-3*i {
				return true
			}
		}
	}
	return false
}

func utcTexts(all []int64) (texts []string) {
	for _, at := range all {
		texts = append(texts, time.Unix(at, 0).UTC().Format(time.RFC3339))
	}
	return texts
}

// answer gives the first n seconds in which something happens, as often as it does.
func (q calendarQuestion) answer(s schedule.Schedule, n int) (all []int64) {
	r := s.Bind("", time.Time{})
	for at := r.Next(time.Unix(q.from, 0)); !at.IsZero() && len(all) < n; at = r.Next(at) {
		all = append(all, at.Unix())
	}
	return all
}

// compare gives the reason for which systemd differs, what begins with "agrees", or with "unexplained".
func (q calendarQuestion) compare(a systemdAnswer, n int) string {
	s := q.schedule()
	ok := s.Err() == nil || s.Never()
	switch trimmed := strings.TrimSpace(q.expr) != q.expr; {
	case a.refused && !ok:
		return "agrees: refuses"
	case a.refused && trimmed:
		return "differs: blanks-around"
	case a.refused && lastDaysInLists(s.String()):
		return "differs: lists-from-the-end"
	case a.refused:
		return "unexplained: it refuses"
	case !ok && strings.Contains(q.expr, "@"):
		return "differs: no-numbers-with-signs"
	case !ok:
		return "unexplained: we refuse"
	}
	switch {
	case a.failed && len(q.answer(s, 1)) == 0:
		return "differs: never-is-told"
	case a.failed:
		return "differs: what-exists-is-found"
	}
	why := []string{}
	if form := systemdForm(row{Expr: q.expr}, s); form != a.normal && form != a.normal+" "+q.zone {
		if !strings.Contains(q.expr, ".") || !strings.Contains(a.normal, ":*") {
			return "unexplained: normalised form"
		}
		why = append(why, "normalised-form")
	}
	if slices.Equal(q.answer(s, n), a.at) {
		if len(why) == 0 {
			return "agrees"
		}
		return q.differs(why, true)
	}
	// Each reading of the clock once, those in a gap not at all.
	once, err := schedule.Parse(pinned(s.DST(schedule.GapSkip, schedule.FoldFirst).String()))
	if err != nil {
		return "unexplained: " + err.Error()
	}
	ours := q.answer(once, n)
	switch {
	case slices.Equal(ours, a.at):
		return q.differs(append(why, q.policy(s, a.at)), true)
	case slices.Equal(q.answer(once.DST(schedule.GapSkip, schedule.FoldSecond), n), a.at):
		return q.differs(append(why, "fold-first"), true)
	case len(a.at) < len(ours) && slices.Equal(ours[:len(a.at)], a.at) && time.Unix(ours[len(a.at)], 0).UTC().Year() >= 2199:
		return q.differs(append(why, "what-exists-is-found"), true)
	}
	return q.differs(q.beside(why, s, ours, a.at))
}

// beside names what systemd does beside a change of the clocks that no rule of its own explains: it is early, or in the second pass of
// a fold, or it loses something that is an occurrence whatever the policies are. The oracle says so.
func (q calendarQuestion) beside(why []string, s schedule.Schedule, ours, theirs []int64) ([]string, bool) {
	text, _, _ := strings.Cut(strings.TrimPrefix(s.String(), "calendar "), " in ")
	n := readNaiveCalendar(text)
	loc, err := time.LoadLocation(s.Zone())
	if err != nil {
		return why, false
	}
	is := func(at int64, gap schedule.Gap, fold schedule.Fold) bool {
		return len(n.occurrences(walk(loc, at-30*3600, at+30*3600), at, at, gap, fold)) > 0
	}
	near := int64(30 * 3600)
	if n.fromEnd { // it counts wrong in all of a month that lacks a day
		near = 32 * 24 * 3600
	}
	explained := false
	for _, at := range theirs {
		changes := len(walk(loc, at-near, at+near)) > 1
		switch {
		case !is(at, schedule.GapSkip, schedule.FoldBoth) && changes:
			why, explained = append(why, "gap-never-before"), true
		case !is(at, schedule.GapSkip, schedule.FoldBoth):
			return why, false
		case n.pinned && !is(at, schedule.GapSkip, schedule.FoldFirst), !n.pinned && isSecondPass(time.Unix(at, 0).UTC().Format(time.RFC3339), s.Zone()):
			why, explained = append(why, "fold-first"), true
		}
	}
	for i, at := range ours {
		if i < len(theirs) && theirs[i] == at {
			continue
		}
		if !slices.Contains(theirs, at) && is(at, schedule.GapSkip, schedule.FoldFirst) && (i >= len(theirs) || at < theirs[i]) {
			why, explained = append(why, "what-exists-is-found"), true
		}
		break
	}
	slices.Sort(why)
	return slices.Compact(why), explained
}

// differs is the class of a disagreement.
func (q calendarQuestion) differs(why []string, explained bool) string {
	if !explained {
		return "unexplained: instants " + strings.Join(why, ", ")
	}
	return "differs: " + strings.Join(why, ", ")
}

// pinned is the text of a calendar with its hours named, which means the same where no clocks are changed.
func pinned(text string) string {
	hour, rest, _ := strings.Cut(text, ":")
	if before, ok := strings.CutSuffix(hour, " *"); ok {
		hour = before + " 00/1"
	}
	return hour + ":" + rest
}

// policy names the rule by which systemd takes each reading once.
func (q calendarQuestion) policy(s schedule.Schedule, theirs []int64) string {
	if slices.Equal(q.answer(s.DST(schedule.GapSkip, schedule.FoldFirst), len(theirs)), theirs) {
		return "gap-after"
	}
	return "fold-open-hours"
}
