package main

import (
	"bytes"
	"log"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/dulytest"
)

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if err := run(&out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(scheduled, out.String()); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
}

const scheduled = `report nightly-report: cron 30 3 * * * in Europe/Berlin
remind remind/order-42: in 72h
sync sync-eu: every 10m
sync sync-us: every 10m
trial_ends trial/7: in 48h
email:welcome welcome/42: in 24h
`

// Four days of it, in which the mail server is down for the first mail.
func TestFourDays(t *testing.T) {
	d := dulytest.New(t)
	var out bytes.Buffer
	a := &app{out: log.New(&out, "", 0)}
	if err := pages(t.Context(), d.Scheduler, a); err != nil {
		t.Fatal(err)
	}
	d.RunFor(t, 47*time.Hour)
	a.down = 1
	d.RunFor(t, 49*time.Hour)
	if diff := cmp.Diff(fourDays, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

const fourDays = `report
mail to cy@example.org: welcome
report
mail to bob@example.org: your trial ends tomorrow
report
mail to ada@example.org: your parcel waits
report
`
