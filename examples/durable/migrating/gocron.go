package main

import (
	"context"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

func fromGocron(ctx context.Context, d *duly.Scheduler, app *app) error {
	sync := duly.Handle(d, "sync", func(ctx context.Context, a *duly.Attempt[string]) error {
		return app.sync(ctx, a.Payload)
	})
	for _, region := range []string{"eu", "us"} {
		_, err := sync.Put(ctx, "sync-"+region, region, schedule.Every(10*time.Minute), duly.Tags("sync"), duly.Timeout(5*time.Minute))
		if err != nil {
			return err
		}
	}
	_, err := d.Pause(ctx, duly.Query{Tag: "sync"}, "until the migration is over")
	return err
}
