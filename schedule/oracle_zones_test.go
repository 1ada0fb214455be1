package schedule_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that the named zones are there on every machine

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/schedule"
)

// namedZones are zones whose clocks do what breaks schedulers: half-hour shifts, gaps and folds at midnight, a lost day,
// negative daylight saving, pauses in Ramadan, offsets with seconds, two hours at once.
var namedZones = []string{
	"Australia/Lord_Howe", "America/Santiago", "Africa/Cairo", "Asia/Beirut", "Pacific/Apia", "Europe/Dublin",
	"Africa/Casablanca", "Africa/El_Aaiun", "Pacific/Kwajalein", "Europe/Berlin", "America/New_York", "Antarctica/Troll",
	"America/Sao_Paulo", "America/St_Johns", "Africa/Monrovia", "America/Scoresbysund", "Antarctica/McMurdo",
}

// zoneRules are forty rules: at the hours where clocks are changed, on the hours beside them, on days that move, with seconds.
var zoneRules = []string{
	"0 0 * * *", "30 0 * * *", "0 1 * * *", "30 1 * * *", "45 1 * * *", "0 2 * * *", "15 2 * * *", "30 2 * * *",
	"59 2 * * *", "0 3 * * *", "0 4 * * *", "30 12 * * *", "59 23 * * *", "30 23 * * *", // daily: see fixedTimes
	"0 12 * * sun", "30 2 * * sat,sun", "0 2 L * *", "15 0 1 * *", "30 2 * * sunL", "0 9 * * mon-fri", "0 0 * * sun#1",
	"0 0 30 12 *", "0 0-3 * * *", "*/15 1-2 * * *", "* 2 * * *", "0 22-2 * * *", "0 0,12 * * *", "7 23-1 * * *",
	"* * * * *", "*/30 * * * *", "0 * * * *", "30 */2 * * *", "15 */3 * * *", "5/20 * * * *", "*/10 *,1 * * *",
	"0 0 2 * * *", "*/20 30 1-3 * * *", "30 59 * * * *", "15,45 0 0 * * *", "0 30 2 * 3-11 sun 1980-2030",
}

// fixedTimes is how many of zoneRules, from the first, name one time of every day.
const fixedTimes = 14

// policies are all ways to deal with gaps and folds, the default first.
var policies = func() (all []policy) {
	for gap := schedule.GapAfter; gap <= schedule.GapShift; gap++ {
		for fold := schedule.FoldFirst; fold <= schedule.FoldBoth; fold++ {
			all = append(all, policy{gap, fold})
		}
	}
	return all
}()

type policy struct {
	gap  schedule.Gap
	fold schedule.Fold
}

func (p policy) String() string { return "gap " + p.gap.String() + " fold " + p.fold.String() }

// systemZones lists the zones of the system's time zone database.
func systemZones() (names []string) {
	for _, root := range []string{os.Getenv("ZONEINFO"), "/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"} {
		if info, err := os.Stat(root); root == "" || err != nil || !info.IsDir() {
			continue
		}
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			name, rel := filepath.Rel(root, path)
			switch {
			case err != nil || rel != nil:
			case d.IsDir() && (name == "posix" || name == "right"): // the same again, and with leap seconds
				return fs.SkipDir
			case !d.IsDir() && name[0] >= 'A' && name[0] <= 'Z' && !strings.Contains(name, "."):
				if _, err := time.LoadLocation(name); err == nil && name != "UTC" {
					names = append(names, filepath.ToSlash(name))
				}
			}
			return nil //nolint:nilerr // what cannot be read is no zone
		})
		if len(names) > 0 {
			return names
		}
	}
	return nil
}

// testedZones are all zones, or the named ones and a sample of the others. Of zones that are the same from 1970 to 2037 one is
// enough.
func testedZones(t *testing.T) []string {
	t.Helper()
	zones := slices.Clone(namedZones)
	others := systemZones()
	alike := map[string]bool{}
	for _, zone := range zones {
		alike[history(t, zone)] = true
	}
	if len(others) == 0 {
		t.Logf("SKIPPED: all zones but %d, since there is no folder of zone data here", len(zones))
	}
	each := 40
	if everyZone {
		each = 1
	}
	for i := 0; i < len(others); i += each {
		if h := history(t, others[i]); !alike[h] {
			alike[h] = true
			zones = append(zones, others[i])
		}
	}
	t.Logf("%d zones of %d names looked at, of %d", len(zones), len(namedZones)+(len(others)+each-1)/each, len(others))
	return zones
}

// history tells all changes of a zone's offset from 1970 to 2037.
func history(t *testing.T, zone string) string {
	t.Helper()
	var b strings.Builder
	loc := mustZone(t, zone)
	for _, at := range append([]int64{0}, transitions(loc)...) {
		fmt.Fprintln(&b, time.Unix(at, 0).In(loc).Format("2006-01-02T15:04:05Z07:00:00"))
	}
	return b.String()
}

// transitions finds the instants from 1970 to 2037 at which a zone's offset changes, by looking every three hours.
func transitions(loc *time.Location) (all []int64) {
	end := time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	const step = 3 * 3600
	read := func(t int64) int {
		_, offset := time.Unix(t, 0).In(loc).Zone()
		return offset
	}
	for t, was := int64(0), read(0); t < end; t += step {
		now := read(t + step)
		if now == was {
			continue
		}
		lo, hi := t, t+step
		for hi-lo > 1 {
			if mid := (lo + hi) / 2; read(mid) == was {
				lo = mid
			} else {
				hi = mid
			}
		}
		all, was = append(all, hi), now
	}
	return all
}

// farAway gives instants beyond the tables of the zone data, where rules go on: some changes, and the turns of some years.
func farAway(loc *time.Location) (all []int64) {
	for _, year := range []int{2040, 2048, 2099, 2100, 2400, 9996} {
		all = append(all, time.Date(year, 12, 31, 0, 0, 1, 0, loc).Unix(), time.Date(year+1, 1, 1, 0, 0, 0, 0, loc).Unix())
		start := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		for t := start; t < start+366*86400; t += 86400 {
			_, before := time.Unix(t, 0).In(loc).Zone()
			if _, after := time.Unix(t+86400, 0).In(loc).Zone(); before != after {
				all = append(all, t+43200)
			}
		}
	}
	return all
}

// A zoneTest is the rules bound in one zone.
type zoneTest struct {
	zone  string
	loc   *time.Location
	rules map[policy][]schedule.Rule
	naive []*naive
}

func newZoneTest(t *testing.T, zone string) *zoneTest {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatalf("load %s: %v", zone, err)
	}
	z := &zoneTest{zone: zone, loc: loc, rules: map[policy][]schedule.Rule{}}
	for _, p := range policies {
		for _, expr := range zoneRules {
			s := schedule.Cron(expr).In(zone).DST(p.gap, p.fold)
			if err := s.Err(); err != nil {
				t.Fatalf("%s: %v", expr, err)
			}
			z.rules[p] = append(z.rules[p], s.Bind("", time.Time{}))
		}
	}
	for _, expr := range zoneRules {
		n, err := readNaive(expr, schedule.DaysOr)
		if err != nil {
			t.Fatal(err)
		}
		z.naive = append(z.naive, n)
	}
	return z
}

// Every zone and every transition: Next is later, never before the wall time that was asked for, Prev goes back, Count counts.
//
// contract: I2, I3, I4, I6.
func TestZones(t *testing.T) {
	t.Parallel()
	for _, zone := range testedZones(t) {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			z := newZoneTest(t, zone)
			for i, at := range append(transitions(z.loc), farAway(z.loc)...) {
				spans := walk(z.loc, at-5*86400, at+5*86400)
				for k := range zoneRules {
					if !everyZone && (i+k)%3 != 0 {
						continue
					}
					z.properties(t, k, policies[0], at, spans)
					z.properties(t, k, policies[1+(i+k)%(len(policies)-1)], at, spans)
					if k < fixedTimes {
						z.oncePerDay(t, k, at, spans)
					}
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

// properties holds one rule to what must be true at any instant, asked around a transition.
func (z *zoneTest) properties(t *testing.T, k int, p policy, at int64, spans []span) {
	t.Helper()
	r := z.rules[p][k]
	for _, d := range []int64{-90_000, -3601, -1800, -1, 0, 1, 1799, 3600, 7201, 100_000} {
		from := time.Unix(at+d, 0).UTC()
		next := r.Next(from)
		fail := func(what string, got any) {
			t.Errorf("%s in %s %v from %s: next %s; %s %v", zoneRules[k], z.zone, p, from, next.In(z.loc), what, got)
		}
		if next.IsZero() {
			if k != len(zoneRules)-1 {
				fail("want one, got", "never")
			}
			continue
		}
		if !next.After(from) {
			fail("not later than", from)
		}
		if n := next.Unix(); n < spans[len(spans)-1].end-2*86400 && !z.naive[k].explains(n, spans, p) {
			fail("not a reading that the fields ask for, nor moved from one in a gap, by", p)
		}
		if got := r.Next(next.Add(-1)); !got.Equal(next) {
			fail("Next of an instant before it is", got)
		}
		if got := r.Prev(next.Add(1)); !got.Equal(next) {
			fail("Prev of an instant after it is", got)
		}
		prev := r.Prev(next)
		if prev.After(from) {
			fail("Prev of it lies between", prev)
		}
		if !prev.IsZero() {
			if got := r.Next(prev); !got.Equal(next) {
				fail("Next of its Prev is", got)
			}
		}
		if got := r.Count(from, next); got != 1 {
			fail("Count up to it is", got)
		}
		if got := r.Count(from, next.Add(-1)); got != 0 {
			fail("Count up to an instant before it is", got)
		}
	}
}

// explains says whether an occurrence is a reading that matches, or comes from one in a gap by the policy.
func (n *naive) explains(at int64, spans []span, p policy) bool {
	for i, s := range spans {
		if at < s.start || at >= s.end {
			continue
		}
		if n.matches(at + s.offset) {
			return true
		}
		if i == 0 || !n.pinned {
			return false
		}
		before := spans[i-1]
		switch p.gap {
		case schedule.GapShift:
			return at+before.offset < s.start+s.offset && n.matches(at+before.offset)
		case schedule.GapSkip:
			return false
		case schedule.GapAfter:
			moved := false
			n.readings(before.end+before.offset, s.start+s.offset, func(int64) { moved = true })
			return at == s.start && moved
		}
	}
	return false
}

// oncePerDay holds a rule with one time of day to the default policy, said in another way: it comes once for every day of the
// calendar, at the first instant at which the wall clock reads that time or a later one. Where
// that is one instant for two days, since a whole day was lost, it comes once.
func (z *zoneTest) oncePerDay(t *testing.T, k int, at int64, spans []span) {
	t.Helper()
	var want []int64
	n := z.naive[k]
	lo, hi := spans[0].start+2*86400, spans[len(spans)-1].end-2*86400
	n.readings(spans[0].start+86400, spans[len(spans)-1].end-86400, func(c int64) {
		for _, s := range spans {
			if s.end+s.offset > c {
				if o := max(s.start, c-s.offset); o > lo && o <= hi {
					want = append(want, o)
				}
				return
			}
		}
	})
	got := chain(z.rules[policies[0]][k], lo, hi)
	if diff := cmp.Diff(texts(slices.Compact(want), z.loc), texts(got, z.loc)); diff != "" {
		t.Errorf("%s in %s around %s, -want +got:\n%s", zoneRules[k], z.zone, time.Unix(at, 0).In(z.loc), diff)
	}
}

// chain follows Next from lo up to and with hi.
func chain(r schedule.Rule, lo, hi int64) (all []int64) {
	for at := r.Next(time.Unix(lo, 0)); !at.IsZero() && at.Unix() <= hi; at = r.Next(at) {
		all = append(all, at.Unix())
	}
	return all
}

// chainBack follows Prev from hi, included, down to lo, excluded, and gives the instants in order.
func chainBack(r schedule.Rule, lo, hi int64) (all []int64) {
	for at := r.Prev(time.Unix(hi, 1)); !at.IsZero() && at.Unix() > lo; at = r.Prev(at) {
		all = append(all, at.Unix())
	}
	slices.Reverse(all)
	return all
}

func texts(seconds []int64, loc *time.Location) (all []string) {
	for _, s := range seconds {
		all = append(all, time.Unix(s, 0).In(loc).Format("2006-01-02 Mon 15:04:05 -07:00:00"))
	}
	return all
}

// The oracle gives the same occurrences, forwards, backwards and in number, around a sample of the transitions (all of them
// with the build tag slow) and by every policy.
//
// contract: I2, I3, I4.
func TestZonesAgainstOracle(t *testing.T) {
	t.Parallel()
	each := 11
	if everyZone {
		each = 1
	}
	for _, zone := range testedZones(t) {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			z := newZoneTest(t, zone)
			for i, at := range append(transitions(z.loc), farAway(z.loc)...) {
				if i%each == len(zone)%each {
					z.againstOracle(t, i, at)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
}

func (z *zoneTest) againstOracle(t *testing.T, i int, at int64) {
	t.Helper()
	lo, hi := at-36*3600, at+36*3600
	spans := walk(z.loc, lo-30*3600, hi+30*3600)
	for k, n := range z.naive {
		tried := []policy{policies[0], policies[1+(i+k)%(len(policies)-1)]}
		if everyZone && n.pinned {
			tried = policies
		}
		for _, p := range tried {
			want := n.occurrences(spans, lo+1, hi, p.gap, p.fold)
			r := z.rules[p][k]
			got := chain(r, lo, hi)
			if !slices.Equal(want, got) {
				t.Errorf("%s in %s %v around %s, -want +got:\n%s", zoneRules[k], z.zone, p, time.Unix(at, 0).In(z.loc),
					cmp.Diff(texts(want, z.loc), texts(got, z.loc)))
				continue
			}
			if back := chainBack(r, lo, hi); !slices.Equal(want, back) {
				t.Errorf("%s in %s %v backwards around %s, -want +got:\n%s", zoneRules[k], z.zone, p,
					time.Unix(at, 0).In(z.loc), cmp.Diff(texts(want, z.loc), texts(back, z.loc)))
			}
			if c := r.Count(time.Unix(lo, 0), time.Unix(hi, 0)); c != int64(len(want)) {
				t.Errorf("%s in %s %v around %s: count %d, want %d", zoneRules[k], z.zone, p, time.Unix(at, 0).In(z.loc), c, len(want))
			}
		}
	}
}
