package clusterproof_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dulyhq/duly/internal/pgtest"
)

var record = flag.String("record", "", "the file that the run writes what it has found to")

// TestMain lets no test leave a goroutine behind.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if *record != "" && code == 0 {
			if err := results.write(*record); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		os.Exit(code)
	}))
}

func long() bool { return os.Getenv("DULY_TEST_LONG") != "" }

// brief returns the first in a run of seconds, and the second in a long one.
func brief[T any](short, whole T) T {
	if long() {
		return whole
	}
	return short
}

// TestFaults has several processes work on one server, each case in a database of its own, breaks something that is theirs, lets it heal,
// and holds what happened to what was promised.
//
// contract: A1
// contract: A5
// contract: C1
// contract: C4
// contract: D1
// contract: D3
// contract: D5
// contract: E1
// contract: E3
// contract: H1
// contract: H4
func TestFaults(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Options{Durable: long(), Conf: map[string]string{"max_connections": "400"}})
	type fault struct {
		name string
		run  func(t *testing.T, url string)
	}
	faults := []fault{
		{"KilledOne", killedOne},
		{"KilledAll", killedAll},
		{"Frozen", frozen},
		{"SilentProxy", silentProxy},
		{"Terminated", terminated},
		{"ClocksFarOff", clocksFarOff},
		{"ClocksNearlyRight", clocksNearlyRight},
		{"HeldSnapshot", heldSnapshot},
		{"LostListener", lostListener},
		{"Backlog", backlog},
		{"CancelRunning", cancelRunning},
		{"SameSchedules", sameSchedules},
	}
	if long() {
		faults = append(faults, fault{"LostHints", lostHints}) // it waits for a sweep, which comes twice a minute
	}
	for _, c := range faults {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, s.Database(t))
		})
	}
}

// TestServerFaults breaks the server that several processes share.
//
// contract: A1
// contract: C1
// contract: C4
// contract: D1
func TestServerFaults(t *testing.T) {
	t.Parallel()
	s := pgtest.Start(t, pgtest.Options{Durable: long(), Conf: map[string]string{"max_connections": "200"}})
	t.Run("Restarted", func(t *testing.T) { restarted(t, s) })
	standbys := []bool{true}
	if long() { // what an asynchronous standby has not heard of may be looked for until its lease is over
		standbys = append(standbys, false)
	}
	for _, synchronous := range standbys {
		standby := s.Standby(t, pgtest.StandbyOptions{Synchronous: synchronous})
		name := map[bool]string{true: "PromotedSynchronous", false: "PromotedAsynchronous"}[synchronous]
		if !t.Run(name, func(t *testing.T) { promoted(t, s, standby, synchronous) }) {
			return // its primary may be there still
		}
		s = standby
	}
}

// now is the machine's clock, which all that is noted is told by.
func now() int64 { return time.Now().UnixMicro() }
