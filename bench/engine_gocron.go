package main

import (
	"sync"
	"time"

	"github.com/go-co-op/gocron/v2"
	"github.com/google/uuid"

	"github.com/dulyhq/duly/bench/runs"
)

// gocronEngine drives gocron with one-time jobs. gocron removes by identifier, or by tag in a walk over all jobs; the map from
// name to identifier is the cheaper of the two and belongs to the peer's figure.
type gocronEngine struct {
	scheduler gocron.Scheduler
	mu        sync.Mutex
	ids       map[string]uuid.UUID
}

func newGocron() *gocronEngine {
	s, err := gocron.NewScheduler()
	runs.Must("make gocron scheduler", err)
	return &gocronEngine{scheduler: s, ids: make(map[string]uuid.UUID)}
}

func (g *gocronEngine) Start() { g.scheduler.Start() }

func (g *gocronEngine) Close() { runs.Must("shut gocron down", g.scheduler.Shutdown()) }

func (g *gocronEngine) Put(name string, d time.Duration, t task) {
	at := gocron.OneTimeJob(gocron.OneTimeJobStartDateTime(time.Now().Add(d)))
	job, err := g.scheduler.NewJob(at, gocron.NewTask(t.plain), gocron.WithName(name))
	runs.Must("add gocron job", err)
	g.mu.Lock()
	g.ids[name] = job.ID()
	g.mu.Unlock()
}

func (g *gocronEngine) Cancel(name string) bool {
	g.mu.Lock()
	id := g.ids[name]
	delete(g.ids, name)
	g.mu.Unlock()
	return g.scheduler.RemoveJob(id) == nil
}

func (g *gocronEngine) Rearm(name string, d time.Duration, t task) {
	g.mu.Lock()
	id := g.ids[name]
	g.mu.Unlock()
	at := gocron.OneTimeJob(gocron.OneTimeJobStartDateTime(time.Now().Add(d)))
	_, err := g.scheduler.Update(id, at, gocron.NewTask(t.plain), gocron.WithName(name))
	runs.Must("update gocron job", err)
}
