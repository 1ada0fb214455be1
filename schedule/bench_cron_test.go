package schedule

import (
	"testing"
	"time"
)

// BenchmarkCronNext asks usual and unusual rules for what comes after an instant, in a zone that puts its clocks forward.
func BenchmarkCronNext(b *testing.B) {
	for _, text := range []string{
		"cron 0 9 * * mon-fri", "cron 0 9 * * mon-fri in Europe/Berlin", "cron */5 * * * * in Europe/Berlin",
		"cron 0 0 29 2 * in Europe/Berlin", "cron 0 0 29 2 mon days and in Europe/Berlin", "cron 30 2 * 3 sunl gap skip in Europe/Berlin",
		"cron 0 0 l-2w * * in Europe/Berlin", "cron 0 9 * * mon-fri except (cron * * 25 12 *) in Europe/Berlin",
		"(cron 0 9 * * 1-5 in Europe/Berlin) or (cron 0 12 * * sat in Asia/Tokyo)",
	} {
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
