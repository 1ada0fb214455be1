package main

import (
	"context"
	"time"
)

// The engines, by the names that flags and tables use.
const (
	engineDuly      = "duly"
	engineEmpty     = "empty"
	engineAfterFunc = "afterfunc"
	engineMap       = "afterfunc-map"
	engineGocron    = "gocron"
	engineQuartz    = "go-quartz"
	engineCron      = "robfig-cron"
)

// An engine is one implementation under measurement. What it can do shows in the further interfaces that it satisfies: namer,
// slotter, starter.
type engine interface {
	// Close ends the engine's goroutines; nothing fires afterwards that a line would count.
	Close()
}

// A namer keeps timers under names. All methods are safe for use from several goroutines on different names.
type namer interface {
	engine
	// Put arms a new timer under a name that has none.
	Put(name string, d time.Duration, t task)
	// Cancel reports whether it kept the timer from firing.
	Cancel(name string) bool
	// Rearm moves a pending timer, by the engine's cheapest way.
	Rearm(name string, d time.Duration, t task)
}

// A slotter arms unnamed timers. The harness numbers them; the engine keeps its own handle at that place in a slice that is
// made before, as a user of handles would keep them in his own records. Different slots may be used at the same time.
type slotter interface {
	engine
	Grow(slots int)
	Arm(slot int, d time.Duration, t task)
	Stop(slot int) bool
	Reset(slot int, d time.Duration) bool
}

// A starter is an engine that can be filled before it runs, which some peers need to reach any size at all.
type starter interface {
	Start()
}

// task is a callback in the forms that the engines take, made outside the measured part so that no engine pays for adapting.
type task struct {
	plain func()
	ctx   func(context.Context) error
}

func newTask(f func()) task {
	return task{plain: f, ctx: func(context.Context) error { f(); return nil }}
}

// settings are what a line may ask of an engine when it is made.
type settings struct {
	Workers int  // cap on concurrent callbacks, where the engine has one; 0 is its default
	Fires   bool // timers will fire: a hand-written registry must then forget them by itself
}

// engineSpec describes an engine to the plan and to the table.
type engineSpec struct {
	name   string
	title  string
	module string // whose version the build information tells; empty for the standard library
	heavy  bool   // costs so much per operation that it is driven to the small sizes only
	create func(settings) engine
}

// engines lists ours first, then the peers, in the order of the table.
func engines() []engineSpec {
	return []engineSpec{
		dulySpec(),
		{
			name: engineAfterFunc, title: "time.AfterFunc, unnamed",
			create: func(settings) engine { return new(afterFunc) },
		},
		{
			name: engineMap, title: "time.AfterFunc, mutex and map",
			create: func(s settings) engine { return newAfterFuncMap(s.Fires) },
		},
		{
			name: engineGocron, title: "gocron v2", module: "github.com/go-co-op/gocron/v2", heavy: true,
			create: func(settings) engine { return newGocron() },
		},
		{
			name: engineQuartz, title: "go-quartz", module: "github.com/reugn/go-quartz", heavy: true,
			create: func(settings) engine { return newQuartz() },
		},
		{
			name: engineCron, title: "robfig/cron v3", module: "github.com/robfig/cron/v3", heavy: true,
			create: func(settings) engine { return newCron() },
		},
		{
			name: engineEmpty, title: "the harness alone",
			create: func(settings) engine { return new(empty) },
		},
	}
}

func findEngine(name string) (engineSpec, bool) {
	for _, e := range engines() {
		if e.name == name {
			return e, true
		}
	}
	return engineSpec{}, false
}
