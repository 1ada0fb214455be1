package schedule_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// chosenRules are rules of each kind, by their starts: what random ones seldom are. Starts are also before 1970, in year 1, and on the last
// days of months and years.
var chosenRules = map[string][]string{
	// 2 January 1960 was a Saturday.
	"1960-01-02T09:30:15": {
		"FREQ=YEARLY", "FREQ=YEARLY;INTERVAL=3", "FREQ=YEARLY;BYMONTH=2,11", "FREQ=YEARLY;INTERVAL=2;BYMONTH=12;BYMONTHDAY=31,-31", "FREQ=YEARLY;BYYEARDAY=1,59,60,61,-1,-2,-31,-32,366",
		"FREQ=YEARLY;BYYEARDAY=64,65,128,129,192,193,256,257,320,321", "FREQ=YEARLY;BYYEARDAY=-366,-365,-306,-307,-64,-65,-128", "FREQ=YEARLY;BYYEARDAY=-1", "FREQ=YEARLY;BYYEARDAY=366",
		"FREQ=YEARLY;BYWEEKNO=1,52,53,-1,-53;BYDAY=MO,SU", "FREQ=YEARLY;BYWEEKNO=1,53;BYDAY=TH;WKST=SU", "FREQ=YEARLY;BYWEEKNO=10,-10;WKST=WE", "FREQ=YEARLY;BYDAY=1MO,-1SU,53SA,-53SA,52FR",
		"FREQ=YEARLY;BYMONTH=2,3;BYDAY=1MO,5MO,-1SU,-5SU", "FREQ=YEARLY;BYEASTER=-2,0,1,39", "FREQ=YEARLY;BYDAY=SA;BYSETPOS=1,-1,3,-3", "FREQ=YEARLY;BYMONTH=1,12;BYMONTHDAY=1,31;BYHOUR=0,23;BYSETPOS=1,2,-1,-3",
		"FREQ=YEARLY;BYMONTHDAY=31;BYSETPOS=2,-2", "FREQ=YEARLY;BYHOUR=3,21;BYSETPOS=2",
		"FREQ=MONTHLY", "FREQ=MONTHLY;INTERVAL=5", "FREQ=MONTHLY;INTERVAL=5;BYMONTH=2,7", "FREQ=MONTHLY;INTERVAL=12;BYMONTH=1", "FREQ=MONTHLY;INTERVAL=18;BYMONTHDAY=-1", "FREQ=MONTHLY;BYMONTHDAY=29,30,31,-29,-31",
		"FREQ=MONTHLY;BYDAY=1SA,-1SA,3WE", "FREQ=MONTHLY;BYDAY=5TH,-5TH", "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1,-2", "FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1",
		"FREQ=MONTHLY;BYHOUR=1,2,3;BYMINUTE=10,20;BYSETPOS=2,-2,6,-6", "FREQ=MONTHLY;BYMONTH=1,3;BYMONTHDAY=1,31;BYSETPOS=2", "FREQ=MONTHLY;BYDAY=SA,SU;BYHOUR=8,20;BYSETPOS=1,-1,5",
		"FREQ=WEEKLY", "FREQ=WEEKLY;INTERVAL=2", "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO", "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;WKST=SU", "FREQ=WEEKLY;INTERVAL=3;BYDAY=TU,SU;WKST=WE;BYMONTH=1,2,12",
		"FREQ=WEEKLY;BYDAY=MO,WE,SU;BYSETPOS=1,-1", "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR;BYHOUR=6,18;BYSETPOS=2,-1", "FREQ=WEEKLY;BYMONTH=1,4;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=-1,1,7,-7", "FREQ=WEEKLY;BYHOUR=1,5,9;BYSETPOS=-1,2",
		"FREQ=WEEKLY;INTERVAL=60", "FREQ=WEEKLY;INTERVAL=60;BYMONTH=6,7;BYDAY=MO,SU", "FREQ=WEEKLY;WKST=TH;BYDAY=WE,TH;BYSETPOS=1",
		"FREQ=DAILY", "FREQ=DAILY;INTERVAL=2", "FREQ=DAILY;INTERVAL=45;BYMONTH=1,2,3", "FREQ=DAILY;INTERVAL=7;BYDAY=SA", "FREQ=DAILY;BYMONTHDAY=1,-1", "FREQ=DAILY;BYHOUR=0,12,23;BYMINUTE=0,59;BYSECOND=0,59",
		"FREQ=DAILY;BYHOUR=8,9,10;BYMINUTE=0,30;BYSETPOS=1,-1,3", "FREQ=DAILY;BYHOUR=8,9;BYSETPOS=2;INTERVAL=3", "FREQ=DAILY;BYSECOND=1,2,3;BYSETPOS=-2", "FREQ=DAILY;BYMONTH=11;BYDAY=TH;BYYEARDAY=330,331,332,-30,-31",
		"FREQ=HOURLY", "FREQ=HOURLY;INTERVAL=5", "FREQ=HOURLY;INTERVAL=6;BYMINUTE=0,59", "FREQ=HOURLY;INTERVAL=7;BYHOUR=0,1,2,3,20,21,22,23", "FREQ=HOURLY;INTERVAL=24", "FREQ=HOURLY;INTERVAL=25", "FREQ=HOURLY;INTERVAL=47;BYDAY=MO,SA",
		"FREQ=HOURLY;INTERVAL=1000", "FREQ=HOURLY;INTERVAL=1001;BYMONTH=3,9", "FREQ=HOURLY;INTERVAL=14;BYHOUR=9,23", "FREQ=HOURLY;BYMINUTE=5,15,25;BYSETPOS=1,-1", "FREQ=HOURLY;INTERVAL=5;BYMINUTE=5,15,25;BYSECOND=1,59;BYSETPOS=2,-2",
		"FREQ=HOURLY;BYDAY=TU;BYHOUR=3", "FREQ=HOURLY;INTERVAL=336", "FREQ=HOURLY;INTERVAL=168;BYHOUR=9;BYDAY=SA", "FREQ=HOURLY;INTERVAL=24000", "FREQ=HOURLY;INTERVAL=6;BYHOUR=3,9,15",
		"FREQ=MINUTELY;BYHOUR=9", "FREQ=MINUTELY;INTERVAL=7;BYHOUR=8,9,10", "FREQ=MINUTELY;INTERVAL=60;BYDAY=SU", "FREQ=MINUTELY;INTERVAL=61", "FREQ=MINUTELY;INTERVAL=61;BYMINUTE=12", "FREQ=MINUTELY;INTERVAL=90;BYMINUTE=0,30", "FREQ=MINUTELY;INTERVAL=90;BYHOUR=0,9,12,18,23",
		"FREQ=MINUTELY;INTERVAL=1441", "FREQ=MINUTELY;INTERVAL=10007", "FREQ=MINUTELY;INTERVAL=100000;BYDAY=MO,TU,WE,TH", "FREQ=MINUTELY;INTERVAL=35;BYMINUTE=5,20,35;BYHOUR=1,2,3,4,5,6", "FREQ=MINUTELY;BYSECOND=0,20,40;BYSETPOS=1,-1",
		"FREQ=MINUTELY;INTERVAL=13;BYSECOND=0,20,40;BYSETPOS=2;BYHOUR=23", "FREQ=MINUTELY;INTERVAL=7;BYMINUTE=0,1,2,3,4,5,6,7,8,9,10,50,59", "FREQ=MINUTELY;INTERVAL=1000;BYMINUTE=10,50;BYHOUR=2,10,18", "FREQ=MINUTELY;INTERVAL=15;BYMONTH=2;BYMONTHDAY=-1",
		"FREQ=SECONDLY;BYHOUR=9;BYMINUTE=30", "FREQ=SECONDLY;INTERVAL=45", "FREQ=SECONDLY;INTERVAL=59;BYMINUTE=0,59;BYHOUR=9,10", "FREQ=SECONDLY;INTERVAL=61;BYSECOND=0,15,30", "FREQ=SECONDLY;INTERVAL=77;BYHOUR=0,1;BYMINUTE=0,30",
		"FREQ=SECONDLY;INTERVAL=3600", "FREQ=SECONDLY;INTERVAL=86400", "FREQ=SECONDLY;INTERVAL=86401", "FREQ=SECONDLY;INTERVAL=100003", "FREQ=SECONDLY;INTERVAL=7919;BYSECOND=1,2,3,4,5,6,7,8,9,10", "FREQ=SECONDLY;INTERVAL=521;BYMINUTE=1,2,3;BYDAY=SA,MO",
		"FREQ=SECONDLY;BYSECOND=0,30;BYSETPOS=-1;BYHOUR=0;BYMINUTE=0", "FREQ=SECONDLY;INTERVAL=1800;BYMINUTE=0,30", "FREQ=SECONDLY;INTERVAL=7;BYHOUR=23;BYMINUTE=58,59;BYSECOND=50,51,52,53,54,55,56,57,58,59",
	},
	"0001-01-01T00:00:30": {
		"FREQ=YEARLY;BYMONTH=1,2;BYDAY=MO", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU", "FREQ=DAILY;INTERVAL=5", "FREQ=HOURLY;INTERVAL=7", "FREQ=MINUTELY;INTERVAL=1000", "FREQ=SECONDLY;INTERVAL=100003",
		"FREQ=WEEKLY;BYDAY=SU,MO,TU;BYSETPOS=-1,1", "FREQ=MONTHLY;INTERVAL=7;BYMONTH=1,5", "FREQ=YEARLY;BYDAY=MO;BYSETPOS=2", "FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=-1", "FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO,SU",
	},
	"2024-02-29T23:59:59": {
		"FREQ=YEARLY", "FREQ=MONTHLY;INTERVAL=1", "FREQ=YEARLY;INTERVAL=4", "FREQ=WEEKLY;INTERVAL=53", "FREQ=DAILY;INTERVAL=366", "FREQ=HOURLY;INTERVAL=23", "FREQ=MINUTELY;INTERVAL=1439", "FREQ=SECONDLY;INTERVAL=86399", "FREQ=MONTHLY;BYMONTHDAY=29;BYMONTH=2",
	},
	"1969-12-31T12:00:00": {
		"FREQ=DAILY", "FREQ=HOURLY;INTERVAL=12", "FREQ=WEEKLY;BYDAY=WE,TH;INTERVAL=2", "FREQ=MONTHLY", "FREQ=YEARLY;BYMONTH=12,1", "FREQ=SECONDLY;INTERVAL=43200", "FREQ=MONTHLY;BYMONTHDAY=1,-1;BYSETPOS=2", "FREQ=YEARLY;BYMONTH=3", "FREQ=WEEKLY;BYMONTH=2",
	},
}

// Next, Prev and Count give what the oracle writes out, for rules of each kind, asked at each occurrence, a second beside it, and far from
// any. Of a rule with a COUNT the last is the one of that number, wherever it lies.
//
// contract: I1, I6.
func TestChosenRecurrencesAgainstOracle(t *testing.T) {
	t.Parallel()
	const most = 26
	for begin, rules := range chosenRules {
		start, err := time.Parse("2006-01-02T15:04:05", begin)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range rules {
			var want []int64
			end := start.AddDate(40, 0, 0).Unix()
			readNaiveRule(text, start.Unix()).readings(end, func(c int64) bool {
				want = append(want, c)
				return len(want) < most
			})
			if len(want) < 5 {
				t.Errorf("%s from %s has %d occurrences: the table is of those that have some", text, begin, len(want))
				continue
			}
			s := recurring(text, start)
			if s.Err() != nil {
				t.Errorf("%s from %s: %v", text, begin, s.Err())
				continue
			}
			r, first, last := s.Bind("", time.Time{}), want[0], want[len(want)-1]
			if got := chain(r, start.Unix()-1, last); !slices.Equal(got, want) {
				t.Errorf("%s from %s, -want +got:\n%s", text, begin, cmp.Diff(texts(want, time.UTC), texts(got, time.UTC)))
				continue
			}
			var asked []int64
			for i, c := range want {
				asked = append(asked, c-1, c, c+1)
				if i > 0 {
					asked = append(asked, (c+want[i-1])/2, c-c%86400-1, c-c%86400, c-86400, want[i-1]+86400)
				}
			}
			for _, at := range asked {
				if at < first || at > last {
					continue
				}
				i, is := slices.BinarySearch(want, at)
				after := i
				if is {
					after++
				}
				when := time.Unix(at, 0).UTC()
				if got := r.Next(when); after < len(want) && got.Unix() != want[after] {
					t.Errorf("%s from %s: after %s %s, want %s", text, begin, when, got, time.Unix(want[after], 0).UTC())
				}
				if got := r.Prev(when); i > 0 && got.Unix() != want[i-1] || i == 0 && !got.IsZero() {
					t.Errorf("%s from %s: before %s %s, which is number %d", text, begin, when, got, i)
				}
				if got := r.Count(when, time.Unix(last, 0)); got != int64(len(want)-after) {
					t.Errorf("%s from %s: %d from %s on, want %d", text, begin, got, when, len(want)-after)
				}
				if got := r.Count(time.Unix(first, 0), when); got != int64(after-1) {
					t.Errorf("%s from %s: %d up to %s, want %d", text, begin, got, when, after-1)
				}
			}
			for _, count := range []int{1, 2, 3, 6, 11, len(want)} {
				if count > len(want) {
					continue
				}
				limited := recurring(fmt.Sprintf("%s;COUNT=%d", text, count), start).Bind("", time.Time{})
				if got := limited.Prev(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)); got.Unix() != want[count-1] {
					t.Errorf("%s from %s: number %d is %s, want %s", text, begin, count, got, time.Unix(want[count-1], 0).UTC())
				}
				if got := limited.Next(time.Unix(want[count-1], 0)); !got.IsZero() {
					t.Errorf("%s from %s: after number %d comes %s", text, begin, count, got)
				}
			}
		}
	}
}
