package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// A writer makes up cron expressions. Its switches say which forms it may use, so that it can keep to what another
// implementation knows.
type writer struct {
	*rand.Rand
	seconds, years bool // 6 and 7 fields
	wraps          bool // ranges that go around
	steps          bool // from a value to the field's end: 5/20
	question       bool // ? for *
	lastDay        bool // L in the days of the month
	weekdays       bool // W, LW, L-n in the days of the month
	nth            bool // d#n and dL in the days of the week
	mixedNth       bool // those in lists, too
	distinct       bool // no list names a value twice
}

func fullWriter(r *rand.Rand) writer {
	return writer{r, true, true, true, true, true, true, true, true, true, false}
}

// chance is true once in n.
func (w writer) chance(n int) bool { return w.IntN(n) == 0 }

func (w writer) between(lo, hi int) int { return lo + w.IntN(hi-lo+1) }

// expr makes up an expression.
func (w writer) expr() string {
	var f []string
	seconds := w.seconds && w.chance(4)
	if seconds {
		f = append(f, w.field(0, 59, 59, nil))
	}
	f = append(f, w.field(0, 59, 59, nil), w.field(0, 23, 23, nil), w.dom(), w.month(), w.dow())
	if seconds && w.years && w.chance(3) {
		f = append(f, w.year())
	}
	return strings.Join(f, " ")
}

// field makes up a field of plain items; most are one value or a star, as people write them.
func (w writer) field(lo, hi, maxStep int, name func(int) string) string {
	if name == nil {
		name = strconv.Itoa
	}
	switch w.IntN(10) {
	case 0, 1, 2, 3:
		return name(w.between(lo, hi))
	case 4, 5:
		if w.question && w.chance(6) {
			return "?"
		}
		return "*"
	case 6:
		return fmt.Sprintf("*/%d", w.between(1, maxStep))
	}
	if w.distinct {
		return w.list(lo, hi, name)
	}
	items := make([]string, w.between(1, 4))
	for i := range items {
		items[i] = w.item(lo, hi, maxStep, name)
	}
	return strings.Join(items, ",")
}

// list makes up a list of values and ranges, each after the one before.
func (w writer) list(lo, hi int, name func(int) string) string {
	var items []string
	for v := w.between(lo, hi); v <= hi && len(items) < 4; v += w.between(1, (hi-lo)/2+1) {
		end := v + w.IntN(4)
		switch {
		case end >= hi || w.chance(2):
			items = append(items, name(v))
		case w.chance(3):
			items = append(items, fmt.Sprintf("%s-%s/2", name(v), name(end)))
			v = end
		default:
			items = append(items, name(v)+"-"+name(end))
			v = end
		}
	}
	return strings.Join(items, ",")
}

func (w writer) item(lo, hi, maxStep int, name func(int) string) string {
	a, b := w.between(lo, hi), w.between(lo, hi)
	if b < a && !w.wraps {
		a, b = b, a
	}
	switch w.IntN(8) {
	case 0, 1, 2:
		return name(a)
	case 3, 4:
		return name(a) + "-" + name(b)
	case 5:
		return fmt.Sprintf("%s-%s/%d", name(a), name(b), w.between(1, maxStep))
	case 6:
		if w.steps {
			return fmt.Sprintf("%s/%d", name(a), w.between(1, maxStep))
		}
	}
	return name(b)
}

func (w writer) dom() string {
	if w.chance(2) {
		return "*"
	}
	special := func() string {
		switch w.IntN(6) {
		case 0:
			if w.weekdays {
				return fmt.Sprintf("L-%d", w.IntN(31))
			}
		case 1:
			if w.weekdays {
				return "LW"
			}
		case 2:
			if w.weekdays {
				return fmt.Sprintf("%dW", w.between(1, 31))
			}
		case 3:
			if w.weekdays {
				return fmt.Sprintf("L-%dW", w.IntN(30))
			}
		}
		return "L"
	}
	if !w.lastDay || w.chance(2) {
		return w.field(1, 31, 31, nil)
	}
	if w.weekdays && w.chance(3) {
		return special() + "," + w.item(1, 31, 31, strconv.Itoa)
	}
	return special()
}

var monthNames = strings.Fields("- jan feb mar apr may jun jul aug sep oct nov dec")

func (w writer) month() string {
	if w.chance(2) {
		return "*"
	}
	return w.field(1, 12, 12, func(v int) string {
		if w.chance(3) {
			return strings.ToUpper(monthNames[v])
		}
		return strconv.Itoa(v)
	})
}

func (w writer) dow() string {
	if w.chance(2) {
		return "*"
	}
	name := func(v int) string {
		if w.chance(2) {
			return dayNames[v%7]
		}
		return strconv.Itoa(v)
	}
	special := func() string {
		if w.chance(3) {
			return name(w.IntN(7)) + "L"
		}
		return fmt.Sprintf("%s#%d", name(w.IntN(7)), w.between(1, 5))
	}
	switch {
	case !w.nth || w.chance(2):
		return w.field(0, 6, 7, name)
	case w.mixedNth && w.chance(2):
		other := special
		if w.chance(2) {
			other = func() string { return w.item(0, 6, 7, name) }
		}
		return special() + "," + other()
	}
	return special()
}

func (w writer) year() string {
	a := w.between(1970, 2110)
	switch w.IntN(5) {
	case 0:
		return "*"
	case 1:
		return fmt.Sprintf("%d-%d", a, a+w.IntN(40))
	case 2:
		return fmt.Sprintf("%d-%d/%d", a, a+w.IntN(40), w.between(1, 9))
	case 3:
		return fmt.Sprintf("%d,%d", a, w.between(1970, 2110))
	}
	return strconv.Itoa(a)
}

// instant makes up an instant, half of them close to a change of the clocks.
func (w writer) instant(changes []int64) time.Time {
	if len(changes) > 0 && w.chance(2) {
		return time.Unix(changes[w.IntN(len(changes))]+w.Int64N(3*86400)-2*86400, 0).UTC()
	}
	years := int64(68)
	if w.chance(4) {
		years = 400
	}
	return time.Unix(w.Int64N(years*365*86400), w.Int64N(2)*w.Int64N(1e9)).UTC()
}

// Random expressions with all forms of fields, joined both ways, by random policies in random zones: Next and Prev are what the
// oracle finds by walking, and the canonical text means the same.
//
// contract: I1, I2, I3, I4, I5.
func TestRandomRulesAgainstOracle(t *testing.T) {
	t.Parallel()
	cases := sampled(900)
	if everyZone {
		cases = 60_000
	}
	const seed = 3 // printed below
	w := fullWriter(rand.New(rand.NewPCG(seed, seed)))
	nevers := 0
	changes := map[string][]int64{"UTC": nil}
	for _, zone := range namedZones {
		changes[zone] = transitions(mustZone(t, zone))
	}
	for range cases {
		expr, zone, p, days := w.expr(), namedZones[w.IntN(len(namedZones))], policies[w.IntN(len(policies))], schedule.Days(w.IntN(2))
		if w.chance(3) {
			zone = "UTC"
		}
		s := schedule.Cron(expr).In(zone).DST(p.gap, p.fold).Days(days)
		what := fmt.Sprintf("%s in %s %v days %v", expr, zone, p, days)
		if s.Err() != nil && !s.Never() {
			t.Errorf("%s: %v", what, s.Err())
			continue
		}
		n, err := readNaive(expr, days)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		again, err := schedule.Parse(s.String())
		if err != nil || !again.Equal(s) || again.String() != s.String() {
			t.Errorf("%s prints as %q, which reads as %q: %v", what, s, again, err)
		}
		loc := mustZone(t, zone)
		from := w.instant(changes[zone])
		r := again.Bind("", time.Time{})
		next, found := n.near(from, loc, p.gap, p.fold, true)
		if !found {
			nevers++
		}
		if got := r.Next(from); !got.Equal(next) && (found || got.Sub(from) < horizon*24*time.Hour) {
			t.Errorf("%s: next after %v is %v, the oracle says %v", what, from, got.In(loc), next.In(loc))
		}
		prev, found := n.near(from, loc, p.gap, p.fold, false)
		if got := r.Prev(from); !got.Equal(prev) && (found || from.Sub(got) < horizon*24*time.Hour) {
			t.Errorf("%s: last before %v is %v, the oracle says %v", what, from, got.In(loc), prev.In(loc))
		}
		if s.Never() && (found || !next.IsZero()) {
			t.Errorf("%s: is never, the oracle says %v and %v", what, prev, next)
		}
	}
	t.Logf("%d cases, %d of them without a next one; seed %d", cases, nevers, seed)
}
