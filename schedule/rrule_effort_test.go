package schedule

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// repeated is a text of so many lines that are the same, from a start on.
func repeated(line string, n int) string {
	return strings.Repeat(line+"\n", n) + "DTSTART:20260101T090000\n"
}

func numbers(first, last int) string {
	var list []string
	for n := first; n <= last; n++ {
		list = append(list, strconv.Itoa(n))
	}
	return strings.Join(list, ",")
}

// ordinaryRules are as people write them; maxOrdinary is how many steps reading one may take, which is about a tenth of a millisecond.
var ordinaryRules = []string{
	"FREQ=DAILY", "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=9;BYMINUTE=0;BYSECOND=0", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
	"DTSTART:20260101T090000 RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;COUNT=100",
	"DTSTART;TZID=Europe/Berlin:20260101T090000 RRULE:FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16;COUNT=1000",
	"DTSTART;TZID=Europe/Berlin:20260101T090000 RRULE:FREQ=HOURLY;INTERVAL=5;COUNT=10000", "FREQ=DAILY;COUNT=100000",
	"DTSTART:20260101T090000 RRULE:FREQ=DAILY;COUNT=1000 EXRULE:FREQ=WEEKLY;BYDAY=SA,SU EXDATE:20260202T090000",
	"DTSTART:20260101T090000 RRULE:FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13;COUNT=50", "FREQ=YEARLY;BYEASTER=-2",
	"DTSTART:20260101T090000 RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=120",
}

const maxOrdinary = 1500

// absurdRules are what would take long: those that never match, or whose COUNT is out of reach, and many of them.
var absurdRules = []string{
	"FREQ=DAILY;BYEASTER=0;BYDAY=MO", "FREQ=YEARLY;BYEASTER=0;BYMONTH=3;BYMONTHDAY=22;BYDAY=MO",
	"FREQ=DAILY;BYEASTER=" + numbers(-366, 366) + ";BYDAY=MO;BYMONTHDAY=31;BYMONTH=2,3,4",
	"FREQ=YEARLY;BYEASTER=-366,-300,-200,-100,0,100,200,300,366;BYDAY=MO", "FREQ=YEARLY;INTERVAL=399;BYWEEKNO=53;BYMONTHDAY=20",
	"FREQ=MONTHLY;BYMONTH=2;BYDAY=MO;BYMONTHDAY=30", "FREQ=DAILY;BYWEEKNO=53;BYMONTHDAY=20", "FREQ=DAILY;INTERVAL=146096;BYWEEKNO=53;BYMONTHDAY=20",
	"FREQ=SECONDLY;COUNT=2147483647;INTERVAL=521;BYHOUR=1,2,3", "FREQ=SECONDLY;COUNT=2147483647;INTERVAL=521", "FREQ=SECONDLY;COUNT=2147483647;INTERVAL=2",
	"FREQ=SECONDLY;COUNT=2147483647;INTERVAL=431;BYMINUTE=1,2,3", "FREQ=SECONDLY;COUNT=20000000;INTERVAL=521;BYMONTHDAY=1,3,5,7,9;BYMINUTE=1,2,3",
	"FREQ=SECONDLY;COUNT=20000000;INTERVAL=521", "FREQ=SECONDLY;COUNT=1000000;INTERVAL=521;BYDAY=MO,TU,WE;BYMINUTE=1,3,5,7,9,11,13,15,17,19,21,23,25",
	"FREQ=DAILY;COUNT=2147483647", "FREQ=DAILY;BYMONTHDAY=31;COUNT=1000000", "FREQ=DAILY;BYMONTHDAY=31;COUNT=50000", "FREQ=WEEKLY;BYSETPOS=1;BYDAY=MO,FR;COUNT=1000000",
	"FREQ=WEEKLY;BYSETPOS=1;BYDAY=MO,FR;COUNT=20000", "FREQ=YEARLY;BYSETPOS=1;BYDAY=MO,FR;COUNT=1000000",
	"FREQ=SECONDLY;INTERVAL=20011;BYMONTHDAY=31;BYHOUR=12;BYMINUTE=0,7,14,21,28,35,42;BYSECOND=3,10,17,24,31,38,45,52,59",
	"FREQ=SECONDLY;INTERVAL=7919;BYMONTHDAY=31;BYHOUR=12;BYMINUTE=0;BYSECOND=3;BYDAY=MO;BYWEEKNO=1", "FREQ=SECONDLY;INTERVAL=521;BYWEEKNO=53;BYMONTHDAY=20",
	"FREQ=SECONDLY;INTERVAL=2147483647;BYWEEKNO=53;BYMONTHDAY=28", "FREQ=SECONDLY;INTERVAL=77;BYHOUR=0;BYMINUTE=0;BYSECOND=0;BYDAY=MO",
}

// absurdTexts are these, alone and as often as a text holds them, in a zone, with and without a start, and beside what they leave out.
func absurdTexts() (all []string) {
	for _, rule := range absurdRules {
		most := min((maxText-256)/(len(rule)+7), maxMembers)
		all = append(all, rule, repeated("RRULE:"+rule, 1), repeated("RRULE:"+rule, most), repeated("RRULE:"+rule, most)[len("RRULE:"):]+"RDATE:20260101T090000",
			strings.Replace(repeated("RRULE:"+rule, 1), "DTSTART:", "DTSTART;TZID=Europe/Berlin:", 1), repeated("RRULE:"+rule, max(most/2, 1))+strings.Repeat("EXRULE:FREQ=HOURLY;BYDAY=MO\n", most/4))
	}
	return append(all, repeated("RRULE:FREQ=MINUTELY\nEXRULE:FREQ=MINUTELY;BYMONTH=7;BYDAY=SA,SU", 20), repeated("RRULE:FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY;BYHOUR=3", 30),
		repeated("RRULE:FREQ=DAILY\nEXRULE:FREQ=DAILY;BYDAY=MO", 30), repeated("RRULE:FREQ=HOURLY;INTERVAL=7\nEXRULE:FREQ=HOURLY;BYDAY=MO", 32),
		repeated("RRULE:FREQ=DAILY;BYMONTHDAY=31\nEXRULE:FREQ=DAILY;BYEASTER=3;BYMONTHDAY=31", 22))
}

// Reading a text takes few steps if it is an ordinary one, and none takes many: it is read, or refused. What it takes later to bind what
// was read is what it took then.
func TestRRule_Effort(t *testing.T) {
	for _, text := range ordinaryRules {
		work := &effort{}
		s := readRRule(text, work)
		if s.Err() != nil || work.steps > maxOrdinary {
			t.Errorf("%q takes %d steps, want at most %d; %v", text, work.steps, maxOrdinary, s.Err())
		}
	}
	refused := 0
	for _, text := range absurdTexts() {
		work := &effort{}
		s := readRRule(text, work)
		if most := maxEffort * 11 / 10; work.steps > most {
			t.Errorf("%.120q takes %d steps, want at most %d", text, work.steps, most)
		}
		over := work.steps > maxEffort
		if over != (s.Err() != nil && strings.Contains(s.Err().Error(), effortWant)) {
			t.Errorf("%.120q takes %d steps, and is %v", text, work.steps, s.Err())
		}
		if over {
			refused++
			continue
		}
		if s.more.work != nil {
			t.Errorf("%.120q goes on counting", text)
		}
		if s.Err() != nil {
			continue
		}
		again := &effort{}
		s.more.work = again
		s.Bind("x", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		if s.more.work = nil; again.steps > maxEffort {
			t.Errorf("%.120q takes %d steps to bind, and %d to read", text, again.steps, work.steps)
		}
	}
	if refused == 0 {
		t.Error("nothing is refused")
	}
}

// The effort is that of the whole text, however many rules it joins, with a start each.
func TestParse_Effort(t *testing.T) {
	var members []string
	for range 50 {
		members = append(members, "(rrule FREQ=DAILY;BYEASTER=0;BYDAY=MO from 2026-01-01T09:00:00Z)")
	}
	_, err := Parse(strings.Join(members, " or "))
	if err == nil || !strings.Contains(err.Error(), effortWant) {
		t.Errorf("%v, want %s", err, effortWant)
	}
}

// A COUNT that is found by arithmetic is the one that is found by counting.
func TestRRule_FarCount(t *testing.T) {
	for _, rule := range []string{
		"FREQ=SECONDLY;INTERVAL=521", "FREQ=SECONDLY;INTERVAL=431;BYMINUTE=1,2,3", "FREQ=SECONDLY;INTERVAL=61;BYHOUR=3;BYMINUTE=0,7,9",
		"FREQ=MINUTELY;INTERVAL=7;BYHOUR=3,4;BYSECOND=0,30", "FREQ=HOURLY;INTERVAL=7;BYMINUTE=5,10;BYSETPOS=2", "FREQ=SECONDLY;INTERVAL=100003",
		"FREQ=DAILY;BYMONTHDAY=31", "FREQ=DAILY;BYHOUR=3,5", "FREQ=MONTHLY;BYDAY=2TU,-1MO;INTERVAL=5", "FREQ=YEARLY;INTERVAL=4", "FREQ=WEEKLY;BYDAY=MO,FR;BYSETPOS=-1",
		"FREQ=MINUTELY;INTERVAL=1000;BYMINUTE=15,35;BYDAY=MO,TU",
	} {
		for _, zone := range []string{"UTC", "Europe/Berlin"} {
			all := RRule("DTSTART:20260131T031500 RRULE:"+rule).In(zone).Bind("x", time.Time{})
			for _, count := range []int64{1, 2, 37, 1000, 5001, 20_000} {
				limited := RRule("DTSTART:20260131T031500 RRULE:" + rule + ";COUNT=" + strconv.FormatInt(count, 10)).In(zone)
				if limited.Err() != nil {
					t.Errorf("%s: %v", rule, limited.Err())
					continue
				}
				r := limited.Bind("x", time.Time{})
				last := r.Prev(lastInstant())
				if n := all.Count(all.first.Add(-1), last); n != count && last.Year() < 2420 {
					t.Errorf("%s in %s: of %d the last is at %s, which is number %d", rule, zone, count, last, n)
				}
			}
		}
	}
}

func BenchmarkRRule_Read(b *testing.B) {
	for name, texts := range map[string][]string{"ordinary": ordinaryRules, "absurd": absurdTexts()} {
		b.Run(name, func(b *testing.B) {
			var worst time.Duration
			for range b.N {
				for _, text := range texts {
					begin := time.Now()
					RRule(text)
					worst = max(worst, time.Since(begin))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(texts)), "us/text")
			b.ReportMetric(float64(worst.Microseconds()), "us/worst")
		})
	}
}

// Tables of zones are part of the effort, also those that are made already: a text is refused or not, whatever was read before.
func TestRRule_EffortOfZones(t *testing.T) {
	zones := strings.Fields("Europe/Berlin Europe/Paris Europe/Rome Europe/Madrid Europe/Lisbon Europe/Dublin Europe/London Europe/Oslo Europe/Vienna Europe/Prague " +
		"Europe/Sofia Europe/Athens Europe/Helsinki Europe/Kyiv Europe/Riga Europe/Vilnius Europe/Tallinn Europe/Warsaw Europe/Zurich Europe/Malta " +
		"Asia/Tokyo Asia/Seoul Asia/Dubai Asia/Kolkata Asia/Dhaka Asia/Manila Asia/Taipei Asia/Tehran Asia/Baku Asia/Beirut")
	for n, want := range map[int]bool{10: true, len(zones): false} {
		var lines []string
		for _, zone := range zones[:n] {
			lines = append(lines, "RDATE;TZID="+zone+":20260301T090000")
		}
		for range 2 {
			if err := RRule(strings.Join(lines, "\n")).Err(); err == nil != want {
				t.Errorf("%d zones: %v", n, err)
			}
		}
	}
}
