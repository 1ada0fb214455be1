package main

import (
	"context"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

func fromAfterFunc(ctx context.Context, d *duly.Scheduler, app *app) error {
	remind := duly.Handle(d, "remind", func(_ context.Context, a *duly.Attempt[string]) error {
		return app.mail(a.Payload, "your parcel waits")
	})
	for _, order := range []string{"order-41", "order-42"} {
		_, err := remind.Put(ctx, "remind/"+order, "ada@example.org", schedule.After(72*time.Hour))
		if err != nil {
			return err
		}
	}
	return paid(ctx, d, app, "order-41")
}

func paid(ctx context.Context, d *duly.Scheduler, app *app, order string) error {
	outcome, err := d.Cancel(ctx, "remind/"+order)
	if err == nil && outcome != duly.Cancelled {
		app.out.Printf("%s: too late, the reminder is %s", order, outcome)
	}
	return err
}
