package main

import (
	"context"
	"time"

	"github.com/reugn/go-quartz/job"
	"github.com/reugn/go-quartz/quartz"

	"github.com/dulyhq/duly/bench/runs"
)

// quartzEngine drives go-quartz with run-once triggers under job keys.
type quartzEngine struct {
	scheduler quartz.Scheduler
}

func newQuartz() *quartzEngine {
	s, err := quartz.NewStdScheduler()
	runs.Must("make quartz scheduler", err)
	return &quartzEngine{scheduler: s}
}

func (q *quartzEngine) Start() { q.scheduler.Start(context.Background()) }

func (q *quartzEngine) Close() {
	q.scheduler.Stop()
	q.scheduler.Wait(context.Background())
}

func (q *quartzEngine) Put(name string, d time.Duration, t task) {
	q.schedule(name, d, t, quartz.NewDefaultJobDetailOptions())
}

func (q *quartzEngine) Cancel(name string) bool {
	return q.scheduler.DeleteJob(quartz.NewJobKey(name)) == nil
}

func (q *quartzEngine) Rearm(name string, d time.Duration, t task) {
	opts := quartz.NewDefaultJobDetailOptions()
	opts.Replace = true
	q.schedule(name, d, t, opts)
}

func (q *quartzEngine) schedule(name string, d time.Duration, t task, opts *quartz.JobDetailOptions) {
	f := job.NewFunctionJob(func(ctx context.Context) (struct{}, error) { return struct{}{}, t.ctx(ctx) })
	detail := quartz.NewJobDetailWithOptions(f, quartz.NewJobKey(name), opts)
	runs.Must("schedule quartz job", q.scheduler.ScheduleJob(detail, quartz.NewRunOnceTrigger(d)))
}
