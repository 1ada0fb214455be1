package main

import (
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// cronEngine drives robfig/cron with a schedule of one instant; the library knows no one-off tasks and no names, so the map
// from name to entry belongs to its figure. It sorts all entries at every change.
type cronEngine struct {
	cron *cron.Cron
	mu   sync.Mutex
	ids  map[string]cron.EntryID
}

func newCron() *cronEngine {
	return &cronEngine{cron: cron.New(), ids: make(map[string]cron.EntryID)}
}

// once is the schedule that has one instant.
type once time.Time

func (o once) Next(t time.Time) time.Time {
	if at := time.Time(o); at.After(t) {
		return at
	}
	return time.Time{}
}

func (c *cronEngine) Start() { c.cron.Start() }

func (c *cronEngine) Close() { <-c.cron.Stop().Done() }

func (c *cronEngine) Put(name string, d time.Duration, t task) {
	id := c.cron.Schedule(once(time.Now().Add(d)), cron.FuncJob(t.plain))
	c.mu.Lock()
	c.ids[name] = id
	c.mu.Unlock()
}

func (c *cronEngine) Cancel(name string) bool {
	c.mu.Lock()
	id := c.ids[name]
	delete(c.ids, name)
	c.mu.Unlock()
	c.cron.Remove(id)
	return true
}

func (c *cronEngine) Rearm(name string, d time.Duration, t task) {
	c.Cancel(name)
	c.Put(name, d, t)
}
