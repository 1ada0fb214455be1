package main

import (
	"context"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

func fromCron(ctx context.Context, d *duly.Scheduler, app *app) error {
	report := duly.Handle(d, "report", func(ctx context.Context, _ *duly.Attempt[struct{}]) error {
		return app.report(ctx)
	})
	nightly := schedule.Cron("30 3 * * *").In("Europe/Berlin")
	_, err := report.Put(ctx, "nightly-report", struct{}{}, nightly, duly.Overlap(duly.Skip), duly.CatchUp(duly.Latest))
	return err
}
