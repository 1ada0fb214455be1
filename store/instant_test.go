package store_test

import (
	"math"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/store"
)

const last store.Instant = 253_402_300_799_999_999 // of the year 9999

func TestAt(t *testing.T) {
	for _, c := range []struct {
		t    string
		want store.Instant
	}{
		{"0001-01-01T00:00:00Z", 0}, // not set
		{"1970-01-01T00:00:00Z", 1}, // not to be mistaken for that
		{"1970-01-01T00:00:00.000000001Z", 1},
		{"1970-01-01T00:00:00.000001Z", 1},
		{"1970-01-01T00:00:00.000001001Z", 2},
		{"1969-12-31T23:59:59.999999001Z", 1},
		{"1969-12-31T23:59:59.999999Z", -1},
		{"1969-12-31T23:59:59.999998001Z", -1},
		{"2031-01-01T01:00:00+01:00", epoch},
		{"2031-01-01T00:00:00.0000019Z", epoch + 2},
		{"9999-12-31T23:59:59.999999Z", last},
		{"9999-12-31T23:59:59.999999001Z", store.Never},
	} {
		at := must(time.Parse(time.RFC3339Nano, c.t))
		if got := store.At(at); got != c.want {
			t.Errorf("At(%s) is %d, want %d", c.t, got, c.want)
		}
	}
	for _, far := range []struct {
		t    time.Time
		want store.Instant
	}{
		{time.Unix(1<<40, 0), store.Never},
		{time.Unix(math.MaxInt64>>1, 0), store.Never},
		{time.Unix(-1<<40, 0), -253_402_300_799_000_000},
	} {
		if got := store.At(far.t); got != far.want {
			t.Errorf("At of second %d is %d, want %d", far.t.Unix(), got, far.want)
		}
	}
}

// TestAt_neverEarly holds every instant to being the first whole microsecond that is not before its time.
func TestAt_neverEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-1<<37, 1<<37).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		got := store.At(at)
		if got == 0 {
			t.Fatalf("At(%v) is not set", at)
		}
		if late := got.Time().Sub(at); late < 0 || late >= time.Microsecond && got != 1 {
			t.Fatalf("At(%v) is %v, %v later; want less than a microsecond", at, got, late)
		}
	})
}

func TestInstant_Add(t *testing.T) {
	for _, c := range []struct {
		i    store.Instant
		d    time.Duration
		want store.Instant
	}{
		{10, 0, 10},
		{10, 1, 11},
		{10, time.Microsecond, 11},
		{10, time.Microsecond + 1, 12},
		{10, -1, 10},
		{10, -time.Microsecond - 1, 9},
		{10, -10 * time.Microsecond, 1}, // 0 is not set
		{epoch, math.MaxInt64, epoch + 9_223_372_036_854_776},
		{last, 1, store.Never},
		{last - 1, 1, last},
		{last - 1, time.Microsecond + 1, store.Never},
		{store.Never - 1, time.Hour, store.Never},
		{store.Never - 1, -time.Microsecond, store.Never - 2},
		{store.Never, time.Hour, store.Never},
		{store.Never, math.MinInt64, store.Never},
		{store.Over, time.Hour, store.Over},
		{store.Over + 1, -time.Hour, -last},
		{0, math.MinInt64, -9_223_372_036_854_775},
	} {
		if got := c.i.Add(c.d); got != c.want {
			t.Errorf("%d.Add(%d) is %d, want %d", c.i, c.d, got, c.want)
		}
	}
}

// TestInstant_arithmetic compares sums and differences with those of numbers that don't end.
func TestInstant_arithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		i, j := store.Instant(rapid.Int64().Draw(t, "i")), store.Instant(rapid.Int64().Draw(t, "j"))
		d := time.Duration(rapid.Int64().Draw(t, "d"))
		ns := new(big.Int).Mul(new(big.Int).Sub(big.NewInt(int64(i)), big.NewInt(int64(j))), big.NewInt(1000))
		want := time.Duration(math.MaxInt64)
		switch {
		case ns.IsInt64():
			want = time.Duration(ns.Int64())
		case ns.Sign() < 0:
			want = math.MinInt64
		}
		if got := i.Sub(j); got != want {
			t.Fatalf("%d.Sub(%d) is %d, want %d", i, j, got, want)
		}
		sum := i.Add(d)
		switch {
		case d >= 0 && sum < i, d <= 0 && sum > max(i, 1) && i >= -last && i != store.Never:
			t.Fatalf("%d.Add(%d) is %d", i, d, sum)
		case sum > last && sum != store.Never && i <= last:
			t.Fatalf("%d.Add(%d) is %d, neither within the year 9999 nor Never", i, d, sum)
		case sum != store.Never && i >= -last && i <= last && sum.Sub(i) < d:
			t.Fatalf("%d.Add(%d) is early: %d", i, d, sum)
		}
	})
}

func TestInstant_String(t *testing.T) {
	for want, i := range map[string]store.Instant{
		"-": 0, "never": store.Never, "over": store.Over, "2031-01-01T00:00:00Z": epoch, "2031-01-01T00:00:00.00001Z": epoch + 10,
		"1969-12-31T23:59:59.999999Z": -1,
	} {
		if got := i.String(); got != want {
			t.Errorf("String of %d is %q, want %q", i, got, want)
		}
	}
	for _, i := range []store.Instant{0, store.Never, store.Over} {
		if !i.Time().IsZero() {
			t.Errorf("Time of %v is %v, want the zero time", i, i.Time())
		}
	}
}

func TestWhen(t *testing.T) {
	for _, c := range []struct {
		name string
		w    store.When
		want store.Occurrence
		none bool
	}{
		{"nothing", store.When{}, store.Occurrence{}, true},
		{"no occurrence", store.On(store.Occurrence{}), store.Occurrence{}, true},
		{"occurrence", store.On(store.Occurrence{For: 5}), store.Occurrence{For: 5, Due: 5}, false},
		{"occurrence with jitter", store.On(store.Occurrence{For: 5, Due: 7}), store.Occurrence{For: 5, Due: 7}, false},
		{"at once", store.In(0, 0), store.Occurrence{For: epoch, Due: epoch}, false},
		{"before now", store.In(-1, -1), store.Occurrence{For: epoch, Due: epoch}, false},
		{"soon", store.In(1, 1), store.Occurrence{For: epoch + 1, Due: epoch + 2}, false},
		{"late", store.In(time.Second, time.Minute), store.Occurrence{For: epoch + 1e6, Due: epoch + 61e6}, false},
	} {
		if got := c.w.Resolve(epoch); got != c.want || c.w.None() != c.none || got.None() != c.none {
			t.Errorf("%s: %v, none %t; want %v, %t", c.name, got, c.w.None(), c.want, c.none)
		}
	}
	if got := store.In(math.MaxInt64, math.MaxInt64).Resolve(last - 1); got != (store.Occurrence{For: store.Never, Due: store.Never}) {
		t.Errorf("a delay beyond all instants: %v, want never", got)
	}
	if d, j, ok := store.In(2, 1).Relative(); d != 2 || j != 1 || !ok {
		t.Errorf("Relative of a delay: %v %v %t", d, j, ok)
	}
	if _, _, ok := store.On(store.Occurrence{For: 5}).Relative(); ok {
		t.Error("an occurrence says it is relative")
	}
}
