package hardship

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

// A stepper sets the daemon's clock, and no other.
type stepper struct {
	*served

	conn  net.Conn
	lines *bufio.Scanner
	off   time.Duration       // by how much, in all
	specs map[string]api.Spec // of what recurs
}

func (s *stepper) step(by time.Duration) {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.conn, by); err != nil {
		s.t.Fatal(err)
	}
	if !s.lines.Scan() {
		s.t.Fatalf("no answer to a step: %v\n%s", s.lines.Err(), s.said())
	}
	if got, want := s.lines.Text(), by.String()+" <nil>"; got != want {
		s.t.Fatalf("a step: %s, want %s", got, want)
	}
	s.off += by
}

// now is the daemon's time.
func (s *stepper) now() time.Time { return time.Now().Add(s.off) }

const year = 365 * 24 * time.Hour

// Whatever its clock is set to, and back: nothing starts early or twice, one-offs that were passed start, schedules do not catch up with
// more than they may, what waits for an instant waits for it, leases are not lost, the history keeps its order, and the health tells.
//
// contract: C1, D2, G3, H2, H3
func TestClock(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	at := filepath.Join(dir, "steps")
	s := &stepper{served: serve(t, start{dir: dir, env: []string{"DULY_CLOCKSTEP=" + at}})}
	var err error
	if s.conn, err = net.Dial("unix", at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.conn.Close() })
	s.lines = bufio.NewScanner(s.conn)
	ctx := t.Context()
	s.put("held", api.Spec{Command: sh("exec sleep 1000"), In: in(0)})
	s.put("never", api.Spec{Command: sh("true"), At: time.Now().Add(40 * year)})
	s.specs = map[string]api.Spec{
		"tick":     {Command: sh("true"), Every: api.Duration(100 * time.Millisecond)},
		"minutely": {Command: sh("true"), Cron: "* * * * *"},
	}
	for name, spec := range s.specs {
		s.put(name, spec)
	}
	s.until("held runs", func() error {
		if s.began("held") != 1 {
			return errNotYet
		}
		return nil
	})
	steps := []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour, year, 10 * year}
	if !long {
		t.Log("PARTLY SKIPPED: steps of a second, an hour and ten years; DULY_TEST_LONG=1 takes those between, too")
		steps = []time.Duration{time.Second, time.Hour, 10 * year}
	}
	for _, by := range steps {
		t.Run(by.String(), func(t *testing.T) {
			s.t = t
			s.forward(by)
			s.back(by)
		})
	}
	s.t = t
	if n := s.began("held"); n != 1 {
		t.Errorf("what ran meanwhile has begun %d times", n)
	}
	if n := s.began("never"); n != 0 {
		t.Errorf("what is due in 40 years has begun %d times", n)
	}
	stats, err := s.Stats(ctx)
	if err != nil {
		t.Fatal(err)
	}
	k := stats.Kinds["command"]
	if k.Early+k.Lost+k.Fenced+k.Failed+k.Dead > 0 || k.Running < 1 {
		t.Errorf("%+v", k)
	}
	newest := func() int64 {
		t.Helper()
		events, err := s.History(ctx, client.HistoryQuery{Newest: true, Limit: 1})
		if err != nil || len(events) != 1 {
			t.Fatalf("the newest entry is %+v, %v", events, err)
		}
		return events[0].Seq
	}
	least := newest()
	var last int64
	for after := int64(0); ; {
		events, err := s.History(ctx, client.HistoryQuery{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if e.Seq <= last {
				t.Errorf("entry %d of the history comes after %d", e.Seq, last)
			}
			last = e.Seq
			if !e.StartedAt.IsZero() && e.StartedAt.Before(e.DueAt) {
				t.Errorf("%s began at %v, due at %v", e.Name, e.StartedAt, e.DueAt)
			}
		}
		after = last
	}
	if most := newest(); last < least || last > most { // it ticks meanwhile
		t.Errorf("the last entry is %d, the newest was %d before and %d after", last, least, most)
	}
	if _, err := s.CancelRunning(ctx, "held"); err != nil {
		t.Error(err)
	}
}

// listed holds the list to what there is, whatever the time.
func (s *stepper) listed(want ...string) {
	s.t.Helper()
	names := map[string]bool{}
	var before time.Time
	for task, err := range s.List(s.t.Context(), client.Query{}) {
		if err != nil {
			s.t.Fatal(err)
		}
		if names[task.Name] {
			s.t.Errorf("%s is listed twice", task.Name)
		}
		names[task.Name] = true
		if task.State == "pending" && task.DueAt.Before(before) {
			s.t.Logf("%s is listed after what is due at %v", task.Name, before)
		}
	}
	for _, name := range want {
		if !names[name] {
			s.t.Errorf("%s is not listed: %v", name, names)
		}
	}
}

// forward sets the clock forward and back again.
func (s *stepper) forward(by time.Duration) {
	s.t.Helper()
	passed, beyond := fmt.Sprint("passed-", by), fmt.Sprint("beyond-", by)
	s.put(passed, api.Spec{Command: sh("true"), At: s.now().Add(by / 2)})
	s.put(beyond, api.Spec{Command: sh("true"), At: s.now().Add(by + time.Hour)})
	ticks, minutes := s.began("tick"), s.began("minutely")
	before := time.Now()
	s.step(by)
	if p := s.problem("clock", true); !strings.Contains(p.Detail, "set forward by "+by.String()) {
		s.t.Errorf("the problem is %q", p.Detail)
	}
	s.until("what was passed has run", func() error {
		if s.began(passed) != 1 {
			return errNotYet
		}
		return nil
	})
	s.until("the schedule goes on", func() error {
		if s.began("tick") < ticks+3 {
			return errNotYet
		}
		return nil
	})
	s.run(fmt.Sprint("ahead-", by))
	s.listed("held", "never", "tick", "minutely", beyond)
	took := time.Since(before)
	if n, most := s.began("tick")-ticks, int(took/(100*time.Millisecond))+3; n > most {
		s.t.Errorf("in %v it ticked %d times, want %d at most", took, n, most)
	}
	if n, most := s.began("minutely")-minutes, int(took/time.Minute)+2; n > most {
		s.t.Errorf("in %v it ran %d times by the minute, want %d at most", took, n, most)
	}
	if n := s.began(beyond); n != 0 {
		s.t.Errorf("what is not due yet has begun")
	}
	s.step(-by)
	s.problem("clock", false)
	s.run(fmt.Sprint("returned-", by))
	if n := s.began(passed); n != 1 {
		s.t.Errorf("what has run has begun %d times", n)
	}
	if _, err := s.Cancel(s.t.Context(), beyond); err != nil {
		s.t.Error(err)
	}
	// Nothing up to what is recorded comes again, also where that is years from now: then the owner cancels the schedule and puts it again, as
	// the documents say.
	ticks = s.began("tick")
	for name, spec := range s.specs {
		if e := s.put(name, spec); by >= time.Hour && e.DueAt.Before(s.now().Add(by/2)) {
			s.t.Errorf("%s was put again as it was, and is due at %v", name, e.DueAt)
		}
		if _, err := s.Cancel(s.t.Context(), name); err != nil {
			s.t.Error(err)
		}
		s.put(name, spec)
	}
	s.until("the schedule goes on", func() error {
		if s.began("tick") < ticks+3 {
			return errNotYet
		}
		return nil
	})
	if task, err := s.Get(s.t.Context(), "minutely"); err != nil || task.DueAt.After(s.now().Add(2*time.Minute)) {
		s.t.Errorf("after it was put again, it is due at %v, %v", task.DueAt, err)
	}
}

// back sets the clock back and forward again.
func (s *stepper) back(by time.Duration) {
	s.t.Helper()
	waits := fmt.Sprint("waits-", by)
	s.put(waits, api.Spec{Command: sh("true"), In: in(700 * time.Millisecond)})
	s.step(-by)
	if p := s.problem("clock", true); !strings.Contains(p.Detail, "set back by "+by.String()) {
		s.t.Errorf("the problem is %q", p.Detail)
	}
	s.run(fmt.Sprint("behind-", by))
	s.listed("held", "never", "tick", "minutely")
	if by > 2*time.Minute && s.began(waits) > 1 {
		s.t.Errorf("%s has begun more than once", waits)
	}
	s.step(by)
	s.problem("clock", false)
	s.until("what waited has run", func() error {
		if n := s.began(waits); n != 1 {
			return fmt.Errorf("%w: %d", errNotYet, n)
		}
		return nil
	})
	ticks := s.began("tick")
	s.until("the schedule goes on", func() error {
		if s.began("tick") < ticks+1 {
			return errNotYet
		}
		return nil
	})
}
