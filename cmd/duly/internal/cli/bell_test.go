package cli

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/timer"
)

// TestBell: what comes often is gathered, and the last word on when to ring holds.
func TestBell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := timer.New()
		defer func() {
			if _, err := engine.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		begun := time.Now()
		b := newBell(engine)
		for range 1000 {
			b.ringOnce(100 * time.Millisecond)
		}
		<-b.c
		if passed := time.Since(begun); passed != 100*time.Millisecond {
			t.Errorf("it rang after %s, want 100ms", passed)
		}
		time.Sleep(time.Hour)
		select {
		case <-b.c:
			t.Error("it rang once more")
		default:
		}
		b.pause = time.Second
		begun = time.Now()
		b.ringOnce(time.Millisecond)
		<-b.c
		if passed := time.Since(begun); passed != time.Second {
			t.Errorf("it rang after %s, want its pause of 1s", passed)
		}
		b.ring(time.Hour)
		b.ring(time.Minute)
		begun = time.Now()
		<-b.c
		if passed := time.Since(begun); passed != time.Minute {
			t.Errorf("it rang after %s, want 1m", passed)
		}
		b.now()
		b.now()
		<-b.c
	})
}
