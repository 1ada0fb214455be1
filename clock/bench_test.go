package clock

import (
	"testing"
	"time"
)

// BenchmarkRead compares the price of a reading with time.Now's, in one run.
func BenchmarkRead(b *testing.B) {
	b.Run("time.Now", func(b *testing.B) {
		var t time.Time
		for b.Loop() {
			t = time.Now()
		}
		_ = t
	})
	b.Run("System", func(b *testing.B) {
		c := System()
		b.ReportAllocs()
		for b.Loop() {
			c.Read()
		}
	})
	b.Run("System/parallel", func(b *testing.B) {
		c := System()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				c.Read()
			}
		})
	})
}

// BenchmarkSet moves an alarm that is set, to a later time and back.
func BenchmarkSet(b *testing.B) {
	for _, k := range kinds() {
		if k.bubble {
			continue
		}
		b.Run(k.name, func(b *testing.B) {
			c := k.clock()
			a := c.NewAlarm(func() {})
			defer a.Close()
			far := c.Read().Boot + int64(time.Hour)
			b.ReportAllocs()
			for i := int64(0); b.Loop(); i++ {
				a.Set(far+i&1, Never)
			}
		})
	}
}
