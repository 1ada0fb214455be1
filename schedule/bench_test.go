package schedule

import (
	"testing"
	"time"
)

func BenchmarkAfter(b *testing.B) {
	var d time.Duration
	for b.Loop() {
		d, _ = After(time.Second).PlainAfter()
	}
	_ = d
}

func BenchmarkAt(b *testing.B) {
	var at time.Time
	for b.Loop() {
		at, _ = At(noon).PlainAt()
	}
	_ = at
}

func BenchmarkNext(b *testing.B) {
	b.Run("every", func(b *testing.B) {
		r, at := Every(time.Second).Bind("x", noon), noon
		for b.Loop() {
			at = r.Next(at)
		}
	})
	b.Run("pace", func(b *testing.B) {
		r, at := Pace(time.Second).Bind("x", noon), noon
		for b.Loop() {
			at = r.Next(at)
		}
	})
}

func BenchmarkCount(b *testing.B) {
	r := Every(time.Nanosecond).Bind("x", noon)
	for b.Loop() {
		_ = r.Count(year1, theEnd)
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		_, _ = Parse("every 15m jitter 30s until 2027-01-01")
	}
}
