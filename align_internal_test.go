package duly

import (
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// What has strayed goes to the nearest occurrence that there is, forwards if two are equally far, and nowhere if there is none.
func TestShift(t *testing.T) {
	at := func(h int) time.Time { return planStart.Time().Add(time.Duration(h) * time.Hour) }
	nights := schedule.Cron("0 0 * * *").From(at(0)).Until(at(48))
	for _, tt := range []struct {
		s    schedule.Schedule
		h    int
		want time.Duration
	}{
		{nights, 24, 0},
		{nights, 30, -6 * time.Hour},
		{nights, 36, 12 * time.Hour},
		{nights, 40, 8 * time.Hour},
		{nights, -3, 3 * time.Hour},   // none before it
		{nights, 80, -32 * time.Hour}, // none after it
		{schedule.Cron("0 0 30 2 *"), 24, 0},
	} {
		if got := shift(tt.s.Bind("a", at(0)), at(tt.h)); got != tt.want {
			t.Errorf("%v at %dh: by %v, want %v", tt.s, tt.h, got, tt.want)
		}
	}
}
