package schedule

import (
	"strings"
	"testing"
	"time"
)

// Each script is a rule, and what it does around a change of the clocks: local readings with their offsets.
//
// contract: I1, I2, I3, I4.
func TestZoned(t *testing.T) {
	for _, tt := range []struct{ name, rule, from, want string }{
		{"gap: after", "cron 30 2 * * * in Europe/Berlin", "2026-03-28T00:00Z", "28T02:30+01 29T03:00+02 30T02:30+02"},
		{"gap: skip", "cron 30 2 * * * in Europe/Berlin gap skip", "2026-03-28T00:00Z", "28T02:30+01 30T02:30+02"},
		{"gap: shift", "cron 30 2 * * * in Europe/Berlin gap shift", "2026-03-28T00:00Z", "28T02:30+01 29T03:30+02 30T02:30+02"},
		{"gap: several in one", "cron 0,20,40 2 * * * in Europe/Berlin", "2026-03-28T12:00Z", "29T03:00+02 30T02:00+02 30T02:20+02"},
		{"gap: several shifted", "cron 0,20 2,3 * * * in Europe/Berlin gap shift", "2026-03-28T12:00Z", "29T03:00+02 29T03:20+02 30T02:00+02"},
		{"gap: its end matches too", "cron 0 2,3 * * * in Europe/Berlin", "2026-03-28T12:00Z", "29T03:00+02 30T02:00+02 30T03:00+02"},
		{"gap: not pinned", "cron 0 */2 * * * in Europe/Berlin", "2026-03-28T23:00Z", "29T04:00+02 29T06:00+02"},
		{"gap: every half hour", "cron */30 * * * * in Europe/Berlin", "2026-03-29T00:10Z", "29T01:30+01 29T03:00+02 29T03:30+02"},
		{"fold: first", "cron 30 2 * * * in Europe/Berlin", "2026-10-24T12:00Z", "25T02:30+02 26T02:30+01"},
		{"fold: second", "cron 30 2 * * * in Europe/Berlin fold second", "2026-10-24T12:00Z", "25T02:30+01 26T02:30+01"},
		{"fold: both", "cron 30 2 * * * in Europe/Berlin fold both", "2026-10-24T12:00Z", "25T02:30+02 25T02:30+01 26T02:30+01"},
		{"fold: both, several", "cron 0,30 2 * * * in Europe/Berlin fold both", "2026-10-24T12:00Z", "25T02:00+02 25T02:30+02 25T02:00+01 25T02:30+01"},
		{"fold: second, its end", "cron 0 2,3 * * * in Europe/Berlin fold second", "2026-10-24T12:00Z", "25T02:00+01 25T03:00+01 26T02:00+01"},
		{"fold: not pinned", "cron 30 * * * * in Europe/Berlin", "2026-10-24T23:00Z", "25T01:30+02 25T02:30+02 25T02:30+01 25T03:30+01"},
		{"half an hour: gap", "cron 10 2 * * * in Australia/Lord_Howe", "2026-10-02T16:00Z", "04T02:30+11 05T02:10+11"},
		{"half an hour: shift turns the order", "cron 10,35 2 * * * in Australia/Lord_Howe gap shift", "2026-10-03T12:00Z", "04T02:35+11 04T02:40+11 05T02:10+11"},
		{"half an hour: fold", "cron 45 1 * * * in Australia/Lord_Howe", "2026-04-03T16:00Z", "05T01:45+11 06T01:45+10:30"},
		{"midnight: gap", "cron 0 0 * * * in America/Santiago", "2026-09-05T00:00Z", "05T00:00-04 06T01:00-03 07T00:00-03"},
		{"midnight: fold", "cron 0 0 * * * in Asia/Beirut fold both", "2026-10-23T12:00Z", "24T00:00+03 25T00:00+02 26T00:00+02"},
		{"midnight: late evening twice", "cron 30 23 * * * in Asia/Beirut fold both", "2026-10-24T12:00Z", "24T23:30+03 24T23:30+02 25T23:30+02"},
		{"a lost day", "cron 0 12 * * * in Pacific/Apia", "2011-12-29T00:00Z", "29T12:00-10 31T00:00+14 31T12:00+14"},
		{"a lost day: skip", "cron 0 12 * * * in Pacific/Apia gap skip", "2011-12-29T00:00Z", "29T12:00-10 31T12:00+14"},
		{"30 December in Apia", "cron 0 0 30 12 * in Pacific/Apia", "2011-12-01T00:00Z", "31T00:00+14 30T00:00+14"},
		{"negative DST", "cron 30 1 * * * in Europe/Dublin", "2026-03-28T12:00Z", "29T02:00+01 30T01:30+01"},
		{"Ramadan", "cron 30 2 * * * in Africa/Casablanca fold both", "2026-02-14T00:00Z", "14T02:30+01 15T02:30+01 15T02:30+00 16T02:30+00"},
		{"gap: skip, far from what matches", "cron 0 0 * * * in Europe/Berlin gap skip", "2026-03-29T00:30Z", "30T00:00+02 31T00:00+02"},
		{"gap: not pinned, far from what matches", "cron 0 */2 * * * in Europe/Berlin", "2026-03-29T00:30Z", "29T04:00+02 29T06:00+02"},
		{"gap: skip, all of it", "cron 0,30 2 29 3 * in Europe/Berlin gap skip", "2025-03-29T12:00Z", "29T02:00+02 29T02:30+02 29T02:00+02"},
		{"gap: shift, once in all time", "cron 0 30 2 29 3 * 2026 in Europe/Berlin gap shift", "2026-03-01T00:00Z", "29T03:30+02"},
		{"gap: shift, onto what matches anyway", "cron 0,30 2,3 * * * in Europe/Berlin gap shift", "2026-03-28T12:00Z", "29T03:00+02 29T03:30+02 30T02:00+02"},
		{"gap: shift, beside what matches anyway", "cron 0,30 2 * * * in Europe/Berlin gap shift", "2026-03-29T01:00Z", "29T03:30+02 30T02:00+02"},
		{"gap: its last second", "cron 59 59 2 * * * in Europe/Berlin gap shift", "2026-03-28T12:00Z", "29T03:59:59+02 30T02:59:59+02"},
		{"gap: its first second", "cron 0 0 2 * * * in Europe/Berlin gap shift", "2026-03-28T12:00Z", "29T03:00+02 30T02:00+02"},
		{"gap: behind it", "cron 0 0 3 * * * in Europe/Berlin gap shift", "2026-03-28T12:00Z", "29T03:00+02 30T03:00+02"},
		{"fold: far from what matches", "cron 0 0 * * * in Europe/Berlin", "2026-10-25T00:30Z", "26T00:00+01 27T00:00+01"},
		{"fold: its last second", "cron 59 59 2 * * * in Europe/Berlin", "2026-10-24T12:00Z", "25T02:59:59+02 26T02:59:59+01"},
		{"fold: its last second, the second time", "cron 59 59 2 * * * in Europe/Berlin fold second", "2026-10-24T12:00Z", "25T02:59:59+01 26T02:59:59+01"},
		{"fold: its first second, the second time", "cron 0 0 2 * * * in Europe/Berlin fold second", "2026-10-24T12:00Z", "25T02:00+01 26T02:00+01"},
		{"fold: between its passes", "cron 0,30 2 * * * in Europe/Berlin fold both", "2026-10-25T00:45Z", "25T02:00+01 25T02:30+01 26T02:00+01"},
		{"a gap that is no whole minutes, skipped", "cron 30 2 0 1 4 * in Europe/Berlin gap skip", "1892-06-01T00:00Z", "01T00:02:30+01"},
		{"a gap that is no whole minutes: after", "cron 30 2 0 1 4 * in Europe/Berlin", "1892-06-01T00:00Z", "01T00:06:32+01 01T00:02:30+01"},
		{"a gap that is no whole minutes: shift", "cron */10 2 0 1 4 * in Europe/Berlin gap shift", "1892-06-01T00:00Z", "01T00:08:32+01 01T00:08:42+01 01T00:08:52+01 01T00:09:02+01 01T00:09:12+01 01T00:09:22+01 01T00:02+01"},
		{"a gap that is no whole minutes: shift, onto what matches anyway", "cron 0,32 2,8 0 1 4 * in Europe/Berlin gap shift", "1892-06-01T00:00Z", "01T00:08+01 01T00:08:32+01 01T00:09:04+01 01T00:02+01"},
		{"seconds", "cron 59 59 1 * * * in Europe/Berlin", "2026-03-28T12:00Z", "29T01:59:59+01 30T01:59:59+02"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Parse(tt.rule)
			if err != nil {
				t.Fatal(err)
			}
			loc, _ := time.LoadLocation(s.Zone())
			from, err := time.Parse("2006-01-02T15:04Z07:00", tt.from)
			if err != nil {
				t.Fatal(err)
			}
			r := s.Bind("x", time.Time{})
			want := strings.Fields(tt.want)
			var got []string
			at := from
			var all []time.Time
			for range want {
				at = r.Next(at)
				all = append(all, at)
				text := strings.TrimSuffix(at.In(loc).Format("02T15:04:05"), ":00")
				text += strings.TrimSuffix(at.In(loc).Format("-07:00"), ":00")
				got = append(got, text)
			}
			if g, w := strings.Join(got, " "), strings.Join(want, " "); g != w {
				t.Errorf("%s after %s:\n got %s\nwant %s", tt.rule, tt.from, g, w)
			}
			for i := len(all) - 1; i > 0; i-- {
				if p := r.Prev(all[i]); !p.Equal(all[i-1]) {
					t.Errorf("%s before %v: %v, want %v", tt.rule, all[i].In(loc), p.In(loc), all[i-1].In(loc))
				}
			}
			if n := r.Count(from, all[len(all)-1]); n != int64(len(all)) {
				t.Errorf("%d counted, want %d", n, len(all))
			}
		})
	}
}
