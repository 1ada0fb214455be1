package timer_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

type deaf struct{}

func (deaf) Expire(error) {}

// An Engine that New has not made says so, wherever it is handed in.
func TestEngine_zeroValueIsRefused(t *testing.T) {
	var e timer.Engine
	if _, err := e.Expire(time.Second, deaf{}); !errors.Is(err, timer.ErrInvalid) {
		t.Errorf("Expire: %v, want ErrInvalid", err)
	}
	if _, err := e.ExpireAt(time.Now(), deaf{}); !errors.Is(err, timer.ErrInvalid) {
		t.Errorf("ExpireAt: %v, want ErrInvalid", err)
	}
	if got := e.Elapsed(); got != 0 {
		t.Errorf("Elapsed: %v, want 0", got)
	}
	if got := e.Now(); !got.IsZero() {
		t.Errorf("Now: %v, want the zero time", got)
	}
	if elapsed, now := e.Read(); elapsed != 0 || !now.IsZero() {
		t.Errorf("Read: %v, %v, want 0 and the zero time", elapsed, now)
	}
	if _, err := e.Put("tea", schedule.After(time.Second), nil); !errors.Is(err, timer.ErrInvalid) {
		t.Errorf("Put: %v, want ErrInvalid", err)
	}
}
