package schedule

import (
	"testing"
	"time"
)

// BenchmarkCalendarNext asks the same of calendar lines of systemd, with fractions of a second among them.
func BenchmarkCalendarNext(b *testing.B) {
	benchmarkNext(b, "calendar Mon..Fri 09:00", "calendar Mon..Fri 09:00 Europe/Berlin", "calendar *:0/5 Europe/Berlin",
		"calendar *-02-29 Europe/Berlin", "calendar Mon *-02-29 Europe/Berlin", "calendar Sun *-03~07/1 02:30 Europe/Berlin gap skip",
		"calendar *-*~03 Europe/Berlin", "calendar *:*:0/0.25 Europe/Berlin", "calendar 9:0:23.42/1.77,5,7.5,50..58/0.3 Europe/Berlin",
		"calendar Mon..Fri 09:00 Europe/Berlin except (calendar *-12-25 *:*)",
	)
}

// BenchmarkCronNext asks usual and unusual rules for what comes after an instant, in a zone that puts its clocks forward.
func BenchmarkCronNext(b *testing.B) {
	benchmarkNext(b,
		"cron 0 9 * * mon-fri", "cron 0 9 * * mon-fri in Europe/Berlin", "cron */5 * * * * in Europe/Berlin",
		"cron 0 0 29 2 * in Europe/Berlin", "cron 0 0 29 2 mon days and in Europe/Berlin", "cron 30 2 * 3 sunl gap skip in Europe/Berlin",
		"cron 0 0 l-2w * * in Europe/Berlin", "cron 0 9 * * mon-fri except (cron * * 25 12 *) in Europe/Berlin",
		"(cron 0 9 * * 1-5 in Europe/Berlin) or (cron 0 12 * * sat in Asia/Tokyo)",
	)
}

func benchmarkNext(b *testing.B, texts ...string) {
	b.Helper()
	for _, text := range texts {
		b.Run(text, func(b *testing.B) {
			s, err := Parse(text)
			if err != nil {
				b.Fatal(err)
			}
			from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			r := s.Bind("x", from)
			b.ReportAllocs()
			at := from
			for b.Loop() {
				if at = r.Next(at); at.IsZero() || at.Year() > 2035 {
					at = from
				}
			}
		})
	}
}
