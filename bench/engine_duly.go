package main

import (
	"context"
	"time"

	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/timer"
)

// dulySpec is our own engine: names by Put and Cancel, slots by AfterFunc and the handle that it returns.
func dulySpec() engineSpec {
	return engineSpec{
		name: engineDuly, title: "duly",
		create: func(s settings) engine { return &dulyEngine{e: timer.New(timer.Options{Workers: s.Workers})} },
	}
}

type dulyEngine struct {
	e      *timer.Engine
	timers []timer.Timer
}

func (d *dulyEngine) Close() {
	_, err := d.e.Close(context.Background())
	runs.Must("close", err)
}

func (d *dulyEngine) Put(name string, delay time.Duration, t task) {
	_, err := d.e.Put(name, schedule.After(delay), t.ctx)
	runs.Must("put", err)
}

func (d *dulyEngine) Cancel(name string) bool { return d.e.Cancel(name) == timer.Cancelled }

func (d *dulyEngine) Rearm(name string, delay time.Duration, _ task) {
	runs.Must("move", d.e.Move(name, schedule.After(delay)))
}

func (d *dulyEngine) Grow(slots int) { d.timers = make([]timer.Timer, slots) }

func (d *dulyEngine) Arm(slot int, delay time.Duration, t task) {
	d.timers[slot] = d.e.AfterFunc(delay, t.plain)
}

func (d *dulyEngine) Stop(slot int) bool { return d.timers[slot].Stop() }

func (d *dulyEngine) Reset(slot int, delay time.Duration) bool { return d.timers[slot].Reset(delay) }
