package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

var errDown = errors.New("mail server is down")

type trialEnds struct {
	Account string `json:"account"`
	To      string `json:"to"`
}

func fromRiver(ctx context.Context, d *duly.Scheduler, app *app) error {
	trial := duly.Handle(d, "trial_ends", func(_ context.Context, a *duly.Attempt[trialEnds]) error {
		if !strings.Contains(a.Payload.To, "@") {
			return duly.Permanent(errors.New("no address")) // river.JobCancel
		}
		if err := app.mail(a.Payload.To, "your trial ends tomorrow"); errors.Is(err, errDown) {
			return duly.Snooze(time.Hour) // river.JobSnooze
		} else if err != nil {
			return err
		}
		return nil
	}, duly.Limit(20), duly.Defaults(duly.Retry(duly.RetryPolicy{Attempts: 25})))

	_, err := trial.Put(ctx, "trial/7", trialEnds{"7", "bob@example.org"}, schedule.After(48*time.Hour), duly.OnConflict(duly.Keep))
	return err
}
