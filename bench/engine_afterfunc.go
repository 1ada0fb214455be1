package main

import (
	"sync"
	"time"
)

// afterFunc is time.AfterFunc with nothing around it: the user keeps the *time.Timer.
type afterFunc struct {
	timers []*time.Timer
}

func (a *afterFunc) Close() {
	for _, t := range a.timers {
		if t != nil {
			t.Stop()
		}
	}
}

func (a *afterFunc) Grow(slots int) { a.timers = make([]*time.Timer, slots) }

func (a *afterFunc) Arm(slot int, d time.Duration, t task) {
	a.timers[slot] = time.AfterFunc(d, t.plain)
}

func (a *afterFunc) Stop(slot int) bool { return a.timers[slot].Stop() }

func (a *afterFunc) Reset(slot int, d time.Duration) bool { return a.timers[slot].Reset(d) }

// afterFuncMap is the registry that programs write by hand: a mutex, a map and time.AfterFunc. Where nothing fires it is kept
// as cheap as it can be, the callback going straight to AfterFunc; where timers fire, the callback first takes its name out of
// the map, as any correct version must.
type afterFuncMap struct {
	mu      sync.Mutex
	timers  map[string]*time.Timer
	forgets bool
}

func newAfterFuncMap(forgets bool) *afterFuncMap {
	return &afterFuncMap{timers: make(map[string]*time.Timer), forgets: forgets}
}

func (a *afterFuncMap) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.timers {
		t.Stop()
	}
}

func (a *afterFuncMap) Put(name string, d time.Duration, t task) {
	f := t.plain
	if a.forgets {
		f = func() {
			a.mu.Lock()
			delete(a.timers, name)
			a.mu.Unlock()
			t.plain()
		}
	}
	a.mu.Lock()
	if old := a.timers[name]; old != nil {
		old.Stop()
	}
	a.timers[name] = time.AfterFunc(d, f)
	a.mu.Unlock()
}

func (a *afterFuncMap) Cancel(name string) bool {
	a.mu.Lock()
	t := a.timers[name]
	stopped := t != nil && t.Stop()
	delete(a.timers, name)
	a.mu.Unlock()
	return stopped
}

func (a *afterFuncMap) Rearm(name string, d time.Duration, _ task) {
	a.mu.Lock()
	if t := a.timers[name]; t != nil {
		t.Reset(d)
	}
	a.mu.Unlock()
}
