package schedule_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// fuzzRules are seeds that broke other schedulers, or that leave long stretches without an occurrence.
var fuzzRules = []string{
	"0 0 30 12 *", "0 0 29 2 mon", "30 2 29 2 *", "0 0 31 4,6,9,11 *", "22-2 22-2 25-5 nov-feb fri-tue", "59 59 23 31 12 * 9999",
	"* * * * * * 1970", "0 0 L-30 * *", "0 0 29W 2 *", "0 0 LW 2 wed#5", "h h h h h", //nolint:dupword // an expression
	"h(0-29)/10 h(0-5) * * *", "0 2 * 3 sunL",
	"0-59/59 */23 */31 */12 */7", "@weekly", "@every 1h", "TZ=Asia/Tokyo 0 9 * * *", "1 2 3 4 5 6 2000-9999/1999", "* * * * * *",
	"30 2 25-31 3 sun", "0 0 1 1 * ", "0 24 * * *", "*/0 * * * *", "\u0665 * * * *",
}

// Whatever is accepted, in whatever zone, at whatever instant: Next is later and Prev goes back to it, Count counts, and no call
// takes long.
//
// contract: I6.
func FuzzRule(f *testing.F) {
	for i, expr := range fuzzRules {
		f.Add(expr, uint8(i), int64(i)*50_000_000-200_000_000, uint32(i)*7919, uint8(i*5))
	}
	w := fullWriter(rand.New(rand.NewPCG(1, 1)))
	for range 100 {
		f.Add(w.expr(), uint8(w.Uint32()), w.Int64N(1<<33)-1<<31, w.Uint32(), uint8(w.Uint32()))
	}
	f.Fuzz(func(t *testing.T, expr string, zone uint8, second int64, nano uint32, how uint8) {
		s := schedule.Cron(expr)
		if s.Kind() == schedule.KindCron && s.Err() == nil {
			p := policies[int(how)%len(policies)]
			s = s.DST(p.gap, p.fold).Days(schedule.Days(how / 128))
			if zone%4 != 0 {
				s = s.In(namedZones[int(zone)%len(namedZones)])
			}
		}
		if s.Err() != nil {
			if got := s.Bind("x", time.Time{}).Next(time.Time{}); !got.IsZero() {
				t.Fatalf("%v: invalid, and has an occurrence at %v", s.Err(), got)
			}
			return
		}
		from := time.Unix(second%(9000*365*86400), int64(nano%1e9)).UTC()
		r := s.Bind("x", time.Unix(-60_000_000_000, 0)) // every is on a grid from there
		checkInverse(t, s, r, from)
	})
}

// hangs is what no count takes on any machine, also where each step of the code is counted. What counts do take the benchmarks show.
const hangs = 2 * time.Second

// checkInverse holds a rule to what must be true at any instant.
func checkInverse(t *testing.T, s schedule.Schedule, r schedule.Rule, from time.Time) {
	t.Helper()
	quick := func(what string, limit time.Duration, ask func()) {
		t.Helper()
		for range 5 { // the least counts: others use the machine, too
			start := time.Now()
			ask()
			if time.Since(start) < limit {
				return
			}
		}
		t.Errorf("%v: %s from %v takes longer than %v", s, what, from, limit)
	}
	var next, prev time.Time
	quick("Next", tooLong, func() { next = r.Next(from) })
	quick("Prev", tooLong, func() { prev = r.Prev(from) })
	if !prev.IsZero() {
		if !prev.Before(from) {
			t.Errorf("%v: Prev(%v) = %v", s, from, prev)
		}
		if got := r.Next(prev); !got.Equal(next) && !got.Equal(from) {
			t.Errorf("%v: Next(Prev(%v)) = %v, want %v", s, from, got, next)
		}
	}
	if next.IsZero() {
		if got := r.Count(from, from.AddDate(1000, 0, 0)); got != 0 {
			t.Errorf("%v: never after %v, and Count is %d", s, from, got)
		}
		return
	}
	if !next.After(from) {
		t.Errorf("%v: Next(%v) = %v", s, from, next)
	}
	if got := r.Next(next.Add(-1)); !got.Equal(next) {
		t.Errorf("%v: Next just before %v = %v", s, next, got)
	}
	if got := r.Prev(next.Add(1)); !got.Equal(next) {
		t.Errorf("%v: Prev just after %v = %v", s, next, got)
	}
	steps, at := int64(0), from
	for range 20 {
		n := r.Next(at)
		if n.IsZero() {
			break
		}
		if p := r.Prev(n); p.After(at) || steps > 0 && !p.Equal(at) {
			t.Errorf("%v: Prev(%v) = %v, want %v", s, n, p, at)
		}
		steps, at = steps+1, n
	}
	var count int64
	quick("Count", hangs, func() { count = r.Count(from, at) })
	if count != steps {
		t.Errorf("%v: Count(%v, %v) = %d, want %d", s, from, at, count, steps)
	}
	if !strings.Contains(s.String(), ".") { // fractions of a second are counted one by one, up to a bound
		quick("a long Count", hangs, func() { r.Count(from, from.AddDate(50, 0, 0)) })
	}
}
