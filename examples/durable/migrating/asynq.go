package main

import (
	"context"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

func fromAsynq(ctx context.Context, d *duly.Scheduler, app *app) error {
	welcome := duly.Handle(d, "email:welcome", func(_ context.Context, a *duly.Attempt[string]) error {
		return app.mail(a.Payload, "welcome")
	}, duly.Limit(10), duly.Defaults(duly.Retry(duly.RetryPolicy{Attempts: 6}), duly.Timeout(time.Minute)))

	_, err := welcome.Put(ctx, "welcome/42", "cy@example.org", schedule.After(24*time.Hour), duly.OnConflict(duly.Fail))
	return err
}
