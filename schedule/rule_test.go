package schedule

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// accepted is the instant at which the tables' schedules are accepted.
const accepted = "2026-12-24T12:00:00Z"

// contract: A3, A4, A6, G1.
func TestFirst(t *testing.T) {
	tests := []struct{ text, want string }{
		{"in 5m", "2026-12-24T12:05Z"},
		{"in 0", accepted},
		{"in -1ns", accepted},
		{"in -2562047h47m16.854775808s", accepted},
		{"in 2562047h47m16.854775807s", "2319-04-05T11:47:16.854775807Z"},
		{"at 2000-01-01", "2000-01-01"},
		{"at 9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"},
		{"every 1h", "2026-12-24T13:00Z"},
		{"every 1h from 2030-01-01", "2030-01-01"},
		{"every 1h from 2020-01-01T00:20Z", "2020-01-01T00:20Z"},
		{"every 1h align 2000-01-01T00:20Z", "2026-12-24T12:20Z"},
		{"every 1h align 2000-01-01", "2026-12-24T13:00Z"}, // strictly after
		{"every 1h align 9999-12-31T23:20Z", "2026-12-24T12:20Z"},
		{"every 1h align 0001-01-01T00:20Z", "2026-12-24T12:20Z"},
		{"every 1h align 2000-01-01T00:20Z from 2030-01-01", "2030-01-01T00:20Z"},
		{"every 1h align 2040-01-01T00:20Z from 2030-01-01T00:20Z", "2030-01-01T00:20Z"}, // not before
		{"every 1h until 2026-12-24T13:00Z", "2026-12-24T13:00Z"},
		{"every 1h until 2026-12-24T12:59:59.999999999Z", "never"},
		{"every 1h until 2000-01-01", "never"},
		{"every 2562047h47m16.854775807s", "2319-04-05T11:47:16.854775807Z"},
		{"pace 10s", "2026-12-24T12:00:10Z"},
		{"pace 10s from 2020-01-01", "2020-01-01"},
		{"pace 10s until 2026-12-24T12:00:09Z", "never"},
		{"pace-from-start 10s", "2026-12-24T12:00:10Z"},
		{"pace-from-start 10s from 2030-01-01", "2030-01-01"},
	}
	for _, tt := range tests {
		s, err := Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		if got, want := s.Bind("x", ts(t, accepted)).First(), ts(t, tt.want); got != want {
			t.Errorf("%s: First() = %v, want %v", tt.text, got, want)
		}
	}
}

// contract: A4, G1.
func TestNextPrev(t *testing.T) {
	const last = "9999-12-31T23:59:59.999999999Z"
	tests := []struct{ text, at, next, prev string }{
		{"in 5m", accepted, "2026-12-24T12:05Z", "never"},
		{"in 5m", "2026-12-24T12:05Z", "never", "never"},
		{"in 5m", last, "never", "2026-12-24T12:05Z"},
		{"at 2027-01-01", "2026-12-31T23:59:59.999999999Z", "2027-01-01", "never"},
		{"at 2027-01-01", "2027-01-01", "never", "never"},
		{"at 2027-01-01", "2027-01-01T00:00:00.000000001Z", "never", "2027-01-01"},
		{"every 1h", accepted, "2026-12-24T13:00Z", "never"},
		{"every 1h", "2000-01-01", "2026-12-24T13:00Z", "never"},
		{"every 1h", "0001-01-01", "2026-12-24T13:00Z", "never"},
		{"every 1h", "2026-12-24T13:00Z", "2026-12-24T14:00Z", "never"},
		{"every 1h", "2026-12-24T13:00:00.000000001Z", "2026-12-24T14:00Z", "2026-12-24T13:00Z"},
		{"every 1h", "2026-12-24T14:00Z", "2026-12-24T15:00Z", "2026-12-24T13:00Z"},
		{"every 1h", "9999-12-31T22:30Z", "9999-12-31T23:00Z", "9999-12-31T22:00Z"},
		{"every 1h", "9999-12-31T23:00Z", "never", "9999-12-31T22:00Z"},
		{"every 1h", last, "never", "9999-12-31T23:00Z"},
		{"every 1ns from 0001-01-01T00:00:00.000000001Z", "9999-12-31T23:59:59.999999998Z", last, "9999-12-31T23:59:59.999999997Z"},
		{"every 2562047h47m16.854775807s from 0001-01-01T00:00:00.000000001Z", "0001-01-01T00:00:00.000000001Z", "0293-04-11T23:47:16.854775808Z", "never"},
		{"every 1h until 2026-12-24T14:30Z", "2026-12-24T13:00Z", "2026-12-24T14:00Z", "never"},
		{"every 1h until 2026-12-24T14:30Z", "2026-12-24T14:00Z", "never", "2026-12-24T13:00Z"},
		{"every 1h until 2026-12-24T14:30Z", "2026-12-24T14:20Z", "never", "2026-12-24T14:00Z"},
		{"every 1h until 2026-12-24T14:30Z", "2100-01-01", "never", "2026-12-24T14:00Z"},
		{"every 1h until 2026-12-24T14:00Z", "2100-01-01", "never", "2026-12-24T14:00Z"}, // until itself is an occurrence
		{"every 1h until 2026-12-24T14:00Z", "2026-12-24T14:00Z", "never", "2026-12-24T13:00Z"},
		{"every 1h until 2026-12-24T12:30Z", "2000-01-01", "never", "never"},
		{"every 1h until 2026-12-24T12:30Z", "2100-01-01", "never", "never"},
		{"pace 10s", "2026-12-24T12:07:03.5Z", "2026-12-24T12:07:13.5Z", "2026-12-24T12:00:10Z"},
		{"pace 10s", "2026-12-24T12:00:10Z", "2026-12-24T12:00:20Z", "never"},
		{"pace 10s until 2026-12-24T12:01Z", "2026-12-24T12:00:50Z", "2026-12-24T12:01Z", "2026-12-24T12:00:10Z"},
		{"pace 10s until 2026-12-24T12:01Z", "2026-12-24T12:00:50.000000001Z", "never", "2026-12-24T12:00:10Z"},
		{"pace 10s", "2026-12-24T11:00Z", "2026-12-24T11:00:10Z", "never"}, // the clock was put back: the pace goes on
		{"pace 10s from 2027-01-01", accepted, "2027-01-01", "never"},      // run by hand before its time
		{"pace-from-start 10s from 2027-01-01", "2027-01-01", "2027-01-01T00:00:10Z", "never"},
		{"pace 2562047h47m16.854775807s", "9800-01-01", "never", "2319-04-05T11:47:16.854775807Z"},
	}
	for _, tt := range tests {
		s, err := Parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		r := s.Bind("x", ts(t, accepted))
		at := ts(t, tt.at).In(time.FixedZone("X", -3600))
		if got, want := r.Next(at), ts(t, tt.next); got != want {
			t.Errorf("%s: Next(%s) = %v, want %v", tt.text, tt.at, got, want)
		}
		if got, want := r.Prev(at), ts(t, tt.prev); got != want {
			t.Errorf("%s: Prev(%s) = %v, want %v", tt.text, tt.at, got, want)
		}
	}
}

// contract: A4. Instants that no schedule can name are fair arguments all the same.
func TestOutOfRange(t *testing.T) {
	farPast, farFuture := time.Unix(-1<<60, 0), time.Unix(1<<60, 0)
	farthest := time.Unix(math.MaxInt64+zeroSecond, 999_999_999) // where time.Time.Add wraps
	args := []time.Time{farPast, tooSoon, {}, year1, noon, theEnd, tooLate, farFuture, farthest}
	for _, s := range []Schedule{
		After(longest), After(shortest), After(0), Every(1), Every(longest), Pace(longest), PaceFromStart(1),
		Every(longest).AlignTo(theEnd), Every(1).AlignTo(year1), Every(longest).From(theEnd), Pace(1).From(year1),
	} {
		for _, bound := range args {
			r := s.Bind("x", bound)
			for _, at := range args {
				if n := r.Next(at); !n.IsZero() && (!n.After(at) || n.After(theEnd)) {
					t.Errorf("(%v accepted %v).Next(%v) = %v", s, bound, at, n)
				}
				if p := r.Prev(at); !p.IsZero() && (!p.Before(at) || p.Before(year1) || p.After(theEnd)) {
					t.Errorf("(%v accepted %v).Prev(%v) = %v", s, bound, at, p)
				}
				if n := r.Count(at, farFuture); n < 0 {
					t.Errorf("(%v accepted %v).Count(%v, ...) = %v", s, bound, at, n)
				}
			}
			if f := r.First(); !f.IsZero() && !inRange(f) {
				t.Errorf("(%v accepted %v).First() = %v", s, bound, f)
			}
		}
	}
	if got := After(1).Bind("x", theEnd).First(); !got.IsZero() {
		t.Errorf("after the last instant First() = %v, want never", got)
	}
}

// contract: G3, O(1) in the number missed.
func TestCount(t *testing.T) {
	hourly := Every(time.Hour).Bind("x", noon)
	tests := []struct {
		name        string
		r           Rule
		after, upTo time.Time
		want        int64
	}{
		{"empty interval", hourly, noon.Add(time.Hour), noon.Add(time.Hour), 0},
		{"reversed", hourly, theEnd, noon, 0},
		{"open below, closed above", hourly, noon.Add(time.Hour), noon.Add(3 * time.Hour), 2},
		{"before the first", hourly, year1, noon.Add(time.Hour), 1},
		{"before the first, none", hourly, year1, noon.Add(time.Hour - 1), 0},
		{"until", Every(time.Hour).Until(noon.Add(150*time.Minute)).Bind("x", noon), year1, theEnd, 2},
		{"more than 2^63", Every(1).From(year1).Bind("x", noon), year1, theEnd, math.MaxInt64},
		{"more than 2^64", Every(1).From(year1).Bind("x", noon), time.Time{}, theEnd, math.MaxInt64},
		{"just 2^63-1", Every(1).From(year1).Until(year1.Add(longest)).Bind("x", noon), year1, theEnd, math.MaxInt64},
		{"just 2^63-2", Every(1).From(year1).Until(year1.Add(longest-1)).Bind("x", noon), year1, theEnd, math.MaxInt64 - 1},
		{"quotient of 65 bits", Every(17).From(year1).Bind("x", noon), time.Time{}, theEnd, math.MaxInt64},
		{"all longest periods", Every(longest).From(year1).Bind("x", noon), time.Time{}, theEnd, 35},
		{"one-off within", At(noon).Bind("x", noon), noon.Add(-1), noon, 1},
		{"one-off before", At(noon).Bind("x", noon), noon, theEnd, 0},
		{"pace within", Pace(time.Hour).Bind("x", noon), noon, noon.Add(time.Hour), 1},
		{"pace too far", Pace(time.Hour).Bind("x", noon), noon, noon.Add(time.Hour - 1), 0},
		{"zero rule", Rule{}, year1, theEnd, 0},
		{"beyond the end", hourly, noon, time.Unix(1<<60, 0), hourly.Count(noon, theEnd)},
	}
	for _, tt := range tests {
		if got := tt.r.Count(tt.after, tt.upTo); got != tt.want {
			t.Errorf("%s: Count(%v, %v) = %d, want %d", tt.name, tt.after, tt.upTo, got, tt.want)
		}
	}
}

// The model: instants are whole nanoseconds since the zero time, without limit of size.

func toBig(t time.Time) *big.Int {
	n := new(big.Int).Mul(big.NewInt(t.Unix()-zeroSecond), big.NewInt(1e9))
	return n.Add(n, big.NewInt(int64(t.Nanosecond())))
}

func fromBig(n *big.Int) time.Time {
	s, ns := new(big.Int).DivMod(n, big.NewInt(1e9), new(big.Int))
	return time.Unix(s.Int64()+zeroSecond, ns.Int64()).UTC()
}

// modelFirst is the first point of anchor + k*d not before at.
func modelFirst(anchor, at *big.Int, d time.Duration) *big.Int {
	k := new(big.Int).Sub(at, anchor)
	k.Neg(k).Div(k, big.NewInt(int64(d))).Neg(k) // rounded up
	return k.Mul(k, big.NewInt(int64(d))).Add(k, anchor)
}

// Differences are taken in two words; their seam is where a carry can be lost.
func TestSince(t *testing.T) {
	check := func(t interface{ Fatalf(string, ...any) }, at, from time.Time) {
		hi, lo := since(at, from)
		got := new(big.Int).SetUint64(hi)
		got.Lsh(got, 64).Add(got, new(big.Int).SetUint64(lo))
		if want := new(big.Int).Sub(toBig(at), toBig(from)); got.Cmp(want) != 0 {
			t.Fatalf("since(%v, %v) = %v, want %v", at, from, got, want)
		}
	}
	for _, from := range []time.Time{year1, noon} {
		for k := range int64(9) {
			seam := new(big.Int).Lsh(big.NewInt(k), 64)
			for off := range int64(3) {
				d := new(big.Int).Add(seam, big.NewInt(off))
				if at := fromBig(d.Add(d, toBig(from))); inRange(at) {
					check(t, at, from)
				}
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := anInstant().Draw(t, "a"), anInstant().Draw(t, "b")
		if a.Before(b) {
			a, b = b, a
		}
		check(t, a, b)
	})
}

// model is the naive reading of an Every: first, period, end.
type model struct {
	first, end *big.Int
	d          time.Duration
}

func newModel(d time.Duration, accepted time.Time, from, until, align *time.Time) model {
	m := model{d: d, end: toBig(theEnd)}
	if until != nil {
		m.end = toBig(*until)
	}
	switch one := big.NewInt(1); {
	case from != nil && align != nil:
		m.first = modelFirst(toBig(*align), toBig(*from), d)
	case from != nil:
		m.first = toBig(*from)
	case align != nil:
		m.first = modelFirst(toBig(*align), one.Add(one, toBig(accepted)), d)
	default:
		m.first = new(big.Int).Add(toBig(accepted), big.NewInt(int64(d)))
	}
	return m
}

func (m model) next(t time.Time) time.Time {
	at := toBig(t)
	n := modelFirst(m.first, at.Add(at, big.NewInt(1)), m.d)
	if n.Cmp(m.first) < 0 {
		n = m.first
	}
	if n.Cmp(m.end) > 0 {
		return time.Time{}
	}
	return fromBig(n)
}

func (m model) prev(t time.Time) time.Time {
	at := toBig(t)
	if at.Cmp(m.end) > 0 {
		at = new(big.Int).Add(m.end, big.NewInt(1))
	}
	n := modelFirst(m.first, at, m.d)
	if n.Sub(n, big.NewInt(int64(m.d))); n.Cmp(m.first) < 0 {
		return time.Time{}
	}
	return fromBig(n)
}

// upTo is the number of occurrences not after t.
func (m model) upTo(t time.Time) *big.Int {
	at := toBig(t)
	if at.Cmp(m.end) > 0 {
		at = m.end
	}
	if at.Cmp(m.first) < 0 {
		return new(big.Int)
	}
	n := new(big.Int).Sub(at, m.first)
	return n.Div(n, big.NewInt(int64(m.d))).Add(n, big.NewInt(1))
}

func (m model) count(after, upTo time.Time) int64 {
	n := m.upTo(upTo)
	n.Sub(n, m.upTo(after))
	switch {
	case n.Sign() < 0:
		return 0
	case !n.IsInt64():
		return math.MaxInt64
	}
	return n.Int64()
}

// anInstant draws instants of all ages, often near one another and near the ends.
func anInstant() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		base := rapid.SampledFrom([]time.Time{year1, noon, noon, noon, theEnd}).Draw(t, "base")
		var at time.Time
		if rapid.Bool().Draw(t, "near") {
			at = base.Add(time.Duration(rapid.Int64Range(-1e13, 1e13).Draw(t, "off")))
		} else {
			at = time.Unix(rapid.Int64Range(zeroSecond, zeroSecond+lastSecond).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		}
		if !inRange(at) {
			return base
		}
		return at
	})
}

func aPeriod() *rapid.Generator[time.Duration] {
	return rapid.OneOf(
		rapid.Map(rapid.Int64Range(1, math.MaxInt64), func(n int64) time.Duration { return time.Duration(n) }),
		rapid.Map(rapid.Int64Range(1, 1e13), func(n int64) time.Duration { return time.Duration(n) }),
		rapid.SampledFrom([]time.Duration{1, 2, 16, 17, 18, time.Second, time.Minute, 15 * time.Minute, time.Hour, 24 * time.Hour, longest - 1, longest}),
	)
}

// contract: A4, G1, and Next(t) > t.
func TestEveryAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, at := aPeriod().Draw(t, "d"), anInstant().Draw(t, "accepted")
		s := Every(d)
		maybe := func(name string, add func(time.Time) Schedule) *time.Time {
			if !rapid.Bool().Draw(t, "has "+name) {
				return nil
			}
			v := anInstant().Draw(t, name)
			s = add(v)
			return &v
		}
		from := maybe("from", s.From)
		until := maybe("until", s.Until)
		align := maybe("align", s.AlignTo)
		m := newModel(d, at, from, until, align)
		if empty := from != nil && m.first.Cmp(m.end) > 0; empty != (s.Err() != nil) {
			t.Fatalf("%v: Err() = %v, but the model's first is %v", s, s.Err(), fromBig(m.first))
		}
		if s.Err() != nil {
			return
		}
		r := s.Bind("x", at)
		if m.first.Cmp(m.end) > 0 {
			if got := r.First(); !got.IsZero() {
				t.Fatalf("%v: First() = %v, want never", s, got)
			}
		} else if got := r.First(); toBig(got).Cmp(m.first) != 0 {
			t.Fatalf("%v: First() = %v, want %v", s, got, fromBig(m.first))
		}
		for range 4 {
			a, b := anInstant().Draw(t, "a"), anInstant().Draw(t, "b")
			checkAgainst(t, r, m, a, b)
			if n := r.Next(a); !n.IsZero() { // on the grid, where mistakes by one live
				checkAgainst(t, r, m, n, b)
			}
		}
	})
}

func checkAgainst(t *rapid.T, r Rule, m model, a, b time.Time) {
	t.Helper()
	n, p := r.Next(a), r.Prev(a)
	if diff := cmp.Diff(m.next(a), n); diff != "" {
		t.Fatalf("Next(%v): -want +got\n%s", a, diff)
	}
	if diff := cmp.Diff(m.prev(a), p); diff != "" {
		t.Fatalf("Prev(%v): -want +got\n%s", a, diff)
	}
	if got, want := r.Count(a, b), m.count(a, b); got != want {
		t.Fatalf("Count(%v, %v) = %d, want %d", a, b, got, want)
	}
	if !n.IsZero() && !n.After(a) {
		t.Fatalf("Next(%v) = %v", a, n)
	}
	if !n.IsZero() && !p.IsZero() && r.Prev(n).After(a) {
		t.Fatalf("Prev(Next(%v)) = %v", a, r.Prev(n))
	}
}

func FuzzNext(f *testing.F) {
	f.Add(int64(time.Hour), noon.Unix(), int64(0), noon.Unix()+7, int64(1), uint8(0))
	f.Add(int64(1), year1.Unix(), int64(1), theEnd.Unix(), int64(999_999_999), uint8(7))
	f.Add(int64(math.MaxInt64), int64(math.MinInt64), int64(0), int64(math.MaxInt64), int64(0), uint8(9))
	f.Fuzz(func(t *testing.T, d, sec, ns, atSec, atNs int64, shape uint8) {
		a, at := time.Unix(sec, ns), time.Unix(atSec, atNs)
		shapes := []Schedule{After(time.Duration(d)), At(a), Every(time.Duration(d)), Pace(time.Duration(d)), PaceFromStart(time.Duration(d))}
		s := shapes[int(shape)%len(shapes)]
		if s.Recurring() && shape&16 != 0 {
			s = s.From(a)
		}
		if s.Kind() == KindEvery && shape&32 != 0 {
			s = s.AlignTo(at)
		}
		if s.Recurring() && shape&64 != 0 {
			s = s.Until(at.Add(1e15))
		}
		r := s.Bind("x", a)
		n, p := r.Next(at), r.Prev(at)
		if !n.IsZero() && (!n.After(at) || n.After(theEnd)) {
			t.Fatalf("%v: Next(%v) = %v", s, at, n)
		}
		if !p.IsZero() && !p.Before(at) {
			t.Fatalf("%v: Prev(%v) = %v", s, at, p)
		}
		if s.Kind() != KindEvery || n.IsZero() {
			return
		}
		if p := r.Prev(n); !p.IsZero() && p.After(at) {
			t.Fatalf("%v: Prev(Next(%v)) = %v", s, at, p)
		}
		last, steps := n, int64(1) // count by stepping
		for range 20 {
			if m := r.Next(last); !m.IsZero() {
				last, steps = m, steps+1
			}
		}
		if got := r.Count(at, last); got != steps {
			t.Fatalf("%v: Count(%v, %v) = %d, stepping gives %d", s, at, last, got, steps)
		}
	})
}
