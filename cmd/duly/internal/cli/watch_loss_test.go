package cli

import (
	"io"
	"testing"
	"time"

	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/timer"
)

// TestBoard_Loss: a list that can't be read is a loss of the daemon, whether or not the stream of events has noticed it yet.
func TestBoard_Loss(t *testing.T) {
	s := newSession(Process{Stdout: io.Discard, Now: time.Now})
	c, err := client.New(client.Options{Socket: t.TempDir() + "/none"})
	if err != nil {
		t.Fatal(err)
	}
	b := &board{
		s: s, c: c, f: &lsFlags{}, p: s.printer(), rows: map[taskName]*boardRow{}, dirty: map[taskName]bool{}, all: true, engine: timer.New(),
	}
	b.soon, b.due, b.tick, b.new = newBell(b.engine), newBell(b.engine), newBell(b.engine), newBell(b.engine)
	defer func() {
		if _, err := b.engine.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if err := b.refresh(t.Context()); err != nil || !b.lost.Load() || !b.all {
		t.Errorf("%v, lost %t, to be read again %t, want no error, true, true", err, b.lost.Load(), b.all)
	}
}
