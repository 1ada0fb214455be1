package duly_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// Who follows the history on one process hears within a second of what another writes that makes nothing due.
func TestEvents_OfAnotherProcess(t *testing.T) {
	inCluster(t, func(t *testing.T, c *cluster) {
		a, b := c.join("a", 0, 0, quick), c.join("b", 0, 0, quick)
		c.work(a, b)
		c.evenly(a, b)
		heard := make(chan time.Time, 10)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for e, err := range b.d.Events(c.Context(), 0) {
				if err != nil {
					return
				}
				if e.Verb == "cancel" {
					heard <- time.Now()
					return
				}
			}
		}()
		a.put("far", schedule.After(24*time.Hour))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		cancelled := time.Now()
		if _, err := a.d.Cancel(t.Context(), "far"); err != nil {
			t.Fatal(err)
		}
		select {
		case at := <-heard:
			if d := at.Sub(cancelled); d > time.Second {
				t.Errorf("heard after %v, want a second at most", d)
			}
		case <-time.After(time.Hour):
			t.Error("never heard")
		}
		<-ended
	})
}
