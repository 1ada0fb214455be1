package when

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/schedule"
)

// said is a text made of a day and a time of day, and what it says.
type said struct {
	text           string
	hour, min, sec int
}

// sayings makes texts whose time of day can be read in one way only.
func sayings(t *rapid.T) said {
	s := said{hour: rapid.IntRange(0, 23).Draw(t, "hour"), min: rapid.IntRange(0, 59).Draw(t, "minute")}
	clock := fmt.Sprintf("%02d:%02d", s.hour, s.min)
	switch rapid.IntRange(0, 3).Draw(t, "clock") {
	case 0:
		s.sec = rapid.IntRange(0, 59).Draw(t, "second")
		clock += fmt.Sprintf(":%02d", s.sec)
	case 1:
		clock = fmt.Sprintf("%d:%02dam", (s.hour%12+11)%12+1, s.min)
		s.hour %= 12
	case 2:
		clock = fmt.Sprintf("%d:%02d PM", (s.hour%12+11)%12+1, s.min)
		s.hour = s.hour%12 + 12
	}
	day := rapid.SampledFrom([]string{
		"", "today", "tomorrow", "monday", "Sun", "next tuesday", "next week", "next month", "29 feb", "dec 31", "1.1.", "3/31", "2027-03-28", "28 mar 2027",
		"31.10.2027", "10/31/2027", "Sun 2027-10-31",
	}).Draw(t, "day")
	if s.text = clock + " " + day; rapid.Bool().Draw(t, "day first") {
		s.text = day + " " + clock
	}
	return s
}

// places are zones with changes of an hour, of half of one, at midnight, of a day, and against the sun.
var places = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia", "Africa/Casablanca", "Europe/Dublin"}

// What a text means is ahead and is at the time of day that it says; what it may mean is read as just that; and who reads it later never
// means something earlier.
//
// contract: I2, I3.
func TestRead_Properties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := sayings(t)
		loc, err := time.LoadLocation(rapid.SampledFrom(places).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1_200_000_000, 2_200_000_000).Draw(t, "now"), 0)
		if rapid.Bool().Draw(t, "around a change") { // where most goes wrong
			if _, change := now.In(loc).ZoneBounds(); !change.IsZero() {
				now = change.Add(time.Duration(rapid.IntRange(-30*60, 30*60).Draw(t, "minutes")) * time.Minute)
			}
		}
		at, err := Read(s.text, now, loc)
		if err != nil {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Why == "" {
				t.Fatalf("%q at %v: %#v", s.text, now.In(loc), err)
			}
			for _, r := range e.Readings {
				if back, err := Read(r.Text, now, loc); err != nil || !back.Equal(r.At) {
					t.Fatalf("%q at %v offers %q for %v, which is read as %v, %v", s.text, now.In(loc), r.Text, r.At.In(loc), back.In(loc), err)
				}
			}
			return
		}
		if h, m, sec := at.In(loc).Clock(); !at.After(now) || h != s.hour || m != s.min || sec != s.sec {
			t.Fatalf("%q at %v: got %v", s.text, now.In(loc), at.In(loc))
		}
		stored, err := Schedule("at "+s.text, now, loc)
		if err != nil {
			t.Fatalf("%q at %v: %v", s.text, now.In(loc), err)
		}
		if again, err := schedule.Parse(stored.String()); err != nil || !again.Equal(stored) {
			t.Fatalf("%q is stored as %v, which is read as %v, %v", s.text, stored, again, err)
		}
		if got, ok := stored.PlainAt(); !ok || !got.Equal(at) {
			t.Fatalf("%q is read as %v and stored as %v", s.text, at, stored)
		}
		later := now.Add(time.Duration(rapid.Int64Range(0, 400*24*3600).Draw(t, "seconds on")) * time.Second)
		if then, err := Read(s.text, later, loc); err == nil && then.Before(at) {
			t.Fatalf("%q is %v at %v, and %v at %v", s.text, at.In(loc), now.In(loc), then.In(loc), later.In(loc))
		}
	})
}

// A length behind an instant is what the span is from there, and one of hours really passes.
func TestRead_Shifted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		loc, err := time.LoadLocation(rapid.SampledFrom(places).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(t, "now"), 0)
		span := schedule.Span{
			Months: rapid.IntRange(0, 30).Draw(t, "months"), Days: rapid.IntRange(0, 400).Draw(t, "days"),
			Time: time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "time")),
		}
		want := span.From(now.In(loc))
		for _, text := range []string{"now + " + span.String(), "+" + span.String(), fmt.Sprintf("@%d + %v", now.Unix(), span)} {
			got, err := ReadAny(text, now, loc)
			if err != nil || !got.Equal(want) {
				t.Fatalf("%q at %v: got %v, %v; want %v", text, now.In(loc), got, err, want)
			}
			if span.Months == 0 && span.Days == 0 && got.Sub(now) != span.Time {
				t.Fatalf("%q at %v: %v later", text, now, got.Sub(now))
			}
		}
	})
}
