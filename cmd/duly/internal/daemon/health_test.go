package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/cmd/duly/internal/logtest"
)

// What is noticed is told at /readyz, by the counters, by the doctor and by the metrics, until it is over.
func TestHealth(t *testing.T) {
	f := serve(t)
	c := f.socketClient()
	h, err := c.Health(t.Context())
	if err != nil || h.Status != "ok" || h.Problems == nil || len(h.Problems) > 0 {
		t.Fatalf("%+v, %v", h, err)
	}
	f.d.health.scarce(unstarted)(fmt.Errorf("fork: %w", syscall.EAGAIN))
	h, err = c.Health(t.Context())
	if err != nil || h.Status != "degraded" || len(h.Problems) != 1 || h.Problems[0].Slug != "processes" || h.Problems[0].Since.IsZero() {
		t.Errorf("%+v, %v", h, err)
	}
	since := h.Problems[0].Since
	f.d.health.scarce(unstarted)(syscall.ENOMEM)
	s, err := c.Stats(t.Context())
	if err != nil || len(s.Problems) != 1 || !s.Problems[0].Since.Equal(since) || !strings.Contains(s.Problems[0].Detail, syscall.ENOMEM.Error()) {
		t.Errorf("%+v, %v", s.Problems, err)
	}
	warned := false
	for _, check := range Examine(t.Context(), Patient{Client: c, Version: s.Version, Now: time.Now}) {
		warned = warned || check.Name == "health" && check.Verdict == Warn && check.Hint == healthHints[noProcesses]
	}
	if !warned {
		t.Error("the doctor does not know")
	}
	metric := func(want string) {
		t.Helper()
		if status, text := f.ask("GET", "/metrics", "", "Authorization: Bearer "+f.token()); status != 200 || !strings.Contains(text, want) {
			t.Errorf("metrics: %d, without %s\n%s", status, want, text)
		}
	}
	metric(`duly_problem{slug="processes"} 1`)
	metric(`duly_problem{slug="store"} 0`)
	f.d.health.scarce(unstarted)(nil)
	metric(`duly_problem{slug="processes"} 0`)
	if h, err = c.Health(t.Context()); err != nil || h.Status != "ok" {
		t.Errorf("%+v, %v", h, err)
	}
	if n := strings.Count(f.log.String(), "there is a problem"); n != 1 {
		t.Errorf("it was logged %d times", n)
	}
	for _, slug := range problemSlugs {
		if healthHints[slug] == "" {
			t.Errorf("the doctor does not say what to do about %s", slug)
		}
	}
}

// That a callback is answered is no sign that commands can be started, nor the other way round.
func TestHealth_Processes(t *testing.T) {
	var log logtest.Log
	h := newHealth(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(h.close)
	for i, step := range []struct {
		what string
		err  error
		want string
	}{
		{unsent, nil, ""},
		{unstarted, syscall.EAGAIN, unstarted + ", it is tried again later: " + syscall.EAGAIN.Error()},
		{unsent, nil, unstarted + ", it is tried again later: " + syscall.EAGAIN.Error()},
		{unsent, syscall.ENOMEM, unsent + ", it is tried again later: " + syscall.ENOMEM.Error() + "; " + unstarted + ", it is tried again later: " + syscall.EAGAIN.Error()},
		{unstarted, nil, unsent + ", it is tried again later: " + syscall.ENOMEM.Error()},
		{unstarted, nil, unsent + ", it is tried again later: " + syscall.ENOMEM.Error()},
		{unsent, nil, ""},
	} {
		h.scarce(step.what)(step.err)
		if got := h.found[noProcesses].detail; got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	if n := strings.Count(log.String(), "msg="); n != 2 {
		t.Errorf("one problem was logged with %d lines:\n%s", n, log.String())
	}
}

// Receivers of notices are one problem, until the last of them takes notices again.
func TestHealth_Notices(t *testing.T) {
	h := newHealth(slog.New(slog.DiscardHandler))
	t.Cleanup(h.close)
	for _, step := range []struct {
		setting string
		fails   bool
		want    string
	}{
		{"--notify-url", true, "not told by --notify-url,"},
		{"--notify-command", true, "not told by --notify-command and by --notify-url,"},
		{"--notify-url", false, "not told by --notify-command,"},
		{"--notify-command", false, ""},
		{"--notify-command", false, ""},
	} {
		h.deaf(step.setting, step.fails)
		if got := h.found[notTold].detail; !strings.Contains(got, step.want) || step.want == "" && got != "" {
			t.Errorf("after %+v: %q", step, got)
		}
	}
}

// Where only another process can open the store, the daemon ends, so that whoever looks after it starts it again.
func TestHealth_Stuck(t *testing.T) {
	f := serve(t)
	f.d.stuck <- errors.New("it is stuck")
	if err := f.wait(); err == nil || !strings.Contains(err.Error(), "started anew: it is stuck") {
		t.Errorf("it ended with %v", err)
	}
	f.err = nil // that was right
}

// However many ask how the daemon is, and whoever they are, its descriptors are looked for once a second.
func TestHealth_DescriptorsOnceASecond(t *testing.T) {
	clk := clock.NewManual(time.Now())
	h := newHealth(slog.New(slog.DiscardHandler))
	t.Cleanup(h.close)
	h.clk = clk
	if err := clk.Run(t.Context(), time.Minute); err != nil { // since the machine was started
		t.Fatal(err)
	}
	taken, none := 0, false
	h.opens = func(name string) (*os.File, error) {
		if taken++; none {
			return nil, syscall.EMFILE
		}
		return os.Open(name)
	}
	h.descriptors()
	none = true
	for range 100 {
		h.descriptors()
	}
	if _, known := h.found[noDescriptors]; known || taken != spareDescriptors {
		t.Errorf("within a second %d descriptors are taken, want %d: %v", taken, spareDescriptors, h.found)
	}
	if err := clk.Run(t.Context(), lookAgain); err != nil {
		t.Fatal(err)
	}
	h.descriptors()
	if _, known := h.found[noDescriptors]; !known || taken != spareDescriptors+1 {
		t.Errorf("after a second %d descriptors were taken: %v", taken, h.found)
	}
}
