package schedule_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// fuzzCalendars are seeds that leave long stretches without an occurrence, that have many within a second, or that are wrong in ways
// that people are.
var fuzzCalendars = []string{
	"Mon..Fri 09:00", "Mon *-02-29", "Wed 2000/5-02-29 23:59:59.999999", "*:*:0/0.000001", "*:*:0/0.000001,0/0.000003,0/59.999999",
	"*-12-30 Pacific/Apia", "*-*~28/27 0/23:0/59:0/59.5", "2199-12-31 23:59:59", "1970-1-1", "weekly UTC", "@1493187147", "Thu @0",
	"*-*~1..8/3", "02:30:0.5,0.75 Europe/Berlin", "1..3:59:59.999999", "Fri..Mon", "*/5:00", "00:00:18446744073709551615", "9:00  UTC",
	"0 9 * * mon-fri", "*-2-30", "Mon,", "\u0669:00", "70..05-1-1", "0/1:0/1:0/1", "23:59:58.5/1.4",
}

// Whatever is accepted, in whatever zone, at whatever instant: it prints as what reads as the same, Next is later and Prev goes back to
// it, Count counts, and no call takes long. What is refused is refused at a place within the text.
//
// contract: I6.
func FuzzCalendar(f *testing.F) {
	for i, expr := range fuzzCalendars {
		f.Add(expr, uint8(i), int64(i)*50_000_000-200_000_000, uint32(i)*7919, uint8(i*5))
	}
	w := calendarWriter{fullWriter(rand.New(rand.NewPCG(1, 2)))}
	for range 100 {
		f.Add(w.question(), uint8(w.Uint32()), w.Int64N(1<<33)-1<<31, w.Uint32(), uint8(w.Uint32()))
	}
	f.Fuzz(func(t *testing.T, expr string, zone uint8, second int64, nano uint32, how uint8) {
		s := schedule.Calendar(expr)
		if s.Err() == nil {
			p := policies[int(how)%len(policies)]
			s = s.DST(p.gap, p.fold)
			if zone%4 != 0 && !strings.Contains(expr, "@") {
				s = s.In(namedZones[int(zone)%len(namedZones)])
			}
		}
		if s.Err() != nil {
			if got := s.Bind("x", time.Time{}).Next(time.Time{}); !got.IsZero() {
				t.Fatalf("%v: invalid, and has an occurrence at %v", s.Err(), got)
			}
			checkRefused(t, expr, s)
			return
		}
		again, err := schedule.Parse(s.String())
		if err != nil || !again.Equal(s) || again.String() != s.String() {
			t.Fatalf("%q prints as %q, which reads as %q: %v", expr, s, again, err)
		}
		if s.Words() == "" {
			t.Errorf("%q has no words", s)
		}
		s.Warnings()
		from := time.Unix(second%(9000*365*86400), int64(nano%1e9)).UTC()
		checkInverse(t, s, s.Bind("x", time.Unix(-60_000_000_000, 0)), from)
	})
}

// checkRefused holds a mistake to what each has.
func checkRefused(t *testing.T, expr string, s schedule.Schedule) {
	t.Helper()
	e, ok := s.Err().(*schedule.Error) //nolint:errorlint // it is never wrapped
	switch {
	case !ok:
		t.Errorf("%q: %v is no *Error", expr, s.Err())
	case s.Never():
	case e.Pos < 1 || e.Pos > len(expr)+1 || e.Field == "" || e.Want == "" || len(e.Error()) > 500:
		t.Errorf("%q: %d, %q, %q, %q", expr, e.Pos, e.Field, e.Value, e.Want)
	}
}
