package schedule_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// hardRecurrences are rules that leave long stretches without an occurrence, or look as if there might be one.
var hardRecurrences = []string{
	"FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=29;INTERVAL=7", "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO;INTERVAL=3", "FREQ=DAILY;COUNT=1000000",
	"FREQ=SECONDLY;COUNT=1000000", "FREQ=MINUTELY;INTERVAL=7;BYHOUR=3;BYMINUTE=1,2,3;COUNT=100000", "FREQ=YEARLY;INTERVAL=399;BYMONTHDAY=29;BYMONTH=2",
	"FREQ=SECONDLY;INTERVAL=86399;BYHOUR=0;BYMINUTE=0;BYSECOND=0", "FREQ=SECONDLY;INTERVAL=86401;BYHOUR=0;BYMINUTE=0;BYSECOND=0;BYMONTH=2;BYMONTHDAY=29",
	"FREQ=SECONDLY;INTERVAL=1000003;BYHOUR=0;BYMINUTE=0;BYSECOND=0", "FREQ=SECONDLY;INTERVAL=77;BYHOUR=0;BYMINUTE=0;BYSECOND=0;BYDAY=MO",
	"FREQ=SECONDLY;INTERVAL=2147483647", "FREQ=MINUTELY;INTERVAL=1441;BYHOUR=5;BYMINUTE=5", "FREQ=HOURLY;INTERVAL=23;BYHOUR=1;BYMONTHDAY=31;BYDAY=SU",
	"FREQ=DAILY;INTERVAL=31;BYYEARDAY=366;BYDAY=MO", "FREQ=DAILY;INTERVAL=140;BYDAY=MO", "FREQ=DAILY;INTERVAL=146096;BYMONTHDAY=29", "FREQ=WEEKLY;INTERVAL=20;BYMONTH=2;BYMONTHDAY=29",
	"FREQ=MONTHLY;INTERVAL=2147483647", "FREQ=WEEKLY;BYDAY=MO,TU;BYMONTHDAY=1;BYSETPOS=2", "FREQ=YEARLY;BYEASTER=-40;BYMONTH=2;BYMONTHDAY=10", "FREQ=DAILY;BYEASTER=0;BYMONTHDAY=22;BYMONTH=3;INTERVAL=17",
	"FREQ=YEARLY;BYHOUR=0,1,2,3,4,5,6,7,8,9,10,11,12;BYMINUTE=1,2,3,4,5,6,7,8,9,10;BYSECOND=0,10,20,30,40,50;BYDAY=MO,TU,WE;BYSETPOS=366,-366,-1,1,50",
	"FREQ=MONTHLY;BYDAY=5MO,-5MO;BYMONTHDAY=1,-1;BYYEARDAY=1,-1,60", "FREQ=SECONDLY;INTERVAL=61;BYSECOND=5,25", "FREQ=MINUTELY;INTERVAL=59;BYHOUR=7;BYSECOND=59;BYSETPOS=-1",
	"FREQ=DAILY;INTERVAL=5;UNTIL=99991231T235959", "FREQ=SECONDLY;INTERVAL=7;COUNT=2147483647", "FREQ=WEEKLY;BYSETPOS=1;BYDAY=MO,FR;COUNT=1000000",
	"FREQ=HOURLY;INTERVAL=7;BYDAY=MO;BYWEEKNO=53", "FREQ=SECONDLY;INTERVAL=20011;BYMONTHDAY=31;BYHOUR=12;BYMINUTE=0,7,14,21,28,35,42;BYSECOND=3,10,17,24,31,38,45,52,59",
}

// nextLimit is how long a call may take.
const nextLimit = 5 * time.Millisecond

// Rules that are rare, or never come again, are answered in time, wherever they are asked: the shortest of some tries counts, since
// others use the machine, too.
//
// contract: I6.
func TestRRule_InTime(t *testing.T) {
	worst := map[string]time.Duration{}
	for _, text := range hardRecurrences {
		for _, zone := range []string{"UTC", "Europe/Berlin"} {
			s := schedule.RRule("DTSTART:20240229T120000 RRULE:" + text).In(zone)
			if s.Err() != nil && !s.Never() {
				t.Errorf("%s: %v", text, s.Err())
				continue
			}
			r := s.Bind("x", time.Time{})
			for _, from := range []string{"2024-02-29T11:00:00Z", "2026-01-01T00:00:00Z", "2100-06-01T00:00:00Z", "2399-12-31T00:00:00Z", "9990-01-01T00:00:00Z"} {
				at := mustTime(t, from)
				for what, ask := range map[string]func(time.Time) time.Time{"Next": r.Next, "Prev": r.Prev} {
					least := time.Hour
					for range 20 {
						begin := time.Now()
						ask(at)
						if least = min(least, time.Since(begin)); least < nextLimit/10 {
							break
						}
					}
					if least > nextLimit {
						t.Errorf("%s in %s: %s(%s) takes %v", text, zone, what, from, least)
					}
					worst[text] = max(worst[text], least)
				}
			}
		}
	}
	for text, d := range worst {
		if d > nextLimit/10 {
			t.Logf("%v %s", d, text)
		}
	}
}

// Whatever is read as a recurrence prints as what is read again and is the same; whatever is accepted, in whatever zone, at whatever
// instant, is answered as it must be.
//
// contract: I6.
func FuzzRRule(f *testing.F) {
	for i, text := range hardRecurrences {
		f.Add(text, uint8(i), int64(i)*50_000_000-200_000_000)
		f.Add("DTSTART:20240229T120000\nRRULE:"+text+"\nEXDATE:20240301T120000", uint8(i*3), int64(i)*60_000_000)
	}
	f.Add("DTSTART;TZID=Europe/Berlin:20260329T023000\r\nRRULE:FREQ=DAILY;COUNT=5\r\nRDATE;VALUE=DATE-TIME:20260401T000000,\r\n 20260402T000000Z", uint8(1), int64(1_770_000_000))
	f.Add("DTSTART;VALUE=DATE:20260129 EXRULE:FREQ=WEEKLY RDATE:20260330 FREQ=DAILY;UNTIL=20270101", uint8(2), int64(1_770_000_000))
	w := ruleWriter{rand.New(rand.NewPCG(3, 5545)), true}
	for range 60 {
		start := w.start()
		f.Add("DTSTART:"+start.Format("20060102T150405")+" "+w.rule(start), uint8(w.Uint32()), start.Unix()+w.Int64N(1e9))
	}
	f.Fuzz(func(t *testing.T, text string, zone uint8, second int64) {
		s := schedule.RRule(text)
		if zone%4 != 0 && s.Err() == nil {
			if in := s.In(namedZones[int(zone)%len(namedZones)]); in.Err() == nil {
				s = in
			}
		}
		if s.Err() != nil && !s.Never() {
			return
		}
		again, err := schedule.Parse(s.String())
		if err != nil || !again.Equal(s) || again.String() != s.String() {
			t.Fatalf("%q is %s, which is read as %v, %v", text, s, again, err)
		}
		_, _ = s.Words(), s.Warnings()
		if s.Err() != nil {
			return
		}
		from := time.Unix(second%(9000*365*86400), 0).UTC()
		checkInverse(t, s, s.Bind("x", from.AddDate(-1, 0, 0)), from)
	})
}
