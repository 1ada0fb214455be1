package duly

import (
	"errors"
	"fmt"
	"time"

	"github.com/dulyhq/duly/store"
)

// Invariants returns what is wrong in the memory of a scheduler while nothing of it is under way but handlers: what is counted is not what is
// there, something is in no pile and so never looked at again, or something could start and does not.
func (s *Scheduler) Invariants() error {
	c := s.core
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.running
	if r == nil || r.draining {
		return nil
	}
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	w := &r.window
	gates := map[*gate]string{&r.suspects: "suspects", &r.bytes: "bytes"}
	for k, g := range r.keys {
		gates[g] = "key " + k
		if g.running == 0 && g.waiting.len() == 0 && g.low.At == 0 && !g.reading {
			wrong("the gate of the key %s is kept for nobody", k)
		}
	}
	spent := map[*gate]bool{} // there is no token, or only just now
	for n, k := range c.kinds {
		gates[&k.gate] = "kind " + n
		b := k.bucket // which is not to be filled by who looks
		ok, _ := b.has(c.eng.Elapsed() - time.Millisecond)
		spent[&k.gate] = !ok
	}
	turned := map[*gate]bool{} // somebody has its turn, and hands it on
	for _, e := range w.entries {
		turned[e.turn] = true
	}
	piles := map[string]*pile{"waiting": &w.waiting, "leases": &w.leases, "first": &w.first, "ready": &w.ready}
	gated, behind := 0, 0
	for g, name := range gates {
		if n := g.waiting.len(); n > 0 {
			piles[name], gated = &g.waiting, gated+n
			for _, e := range g.waiting.es {
				if e.gate != g {
					wrong("%s waits at %s and does not know it", e.task.Name, name)
				}
			}
		}
		if g.waiting.len() == 0 && g.low.At != 0 && g.free() && !spent[g] && !turned[g] && !g.reading && !w.crowded() {
			behind++
		}
		if g.reading && !w.scanning {
			wrong("the gate of the %s is not being read", name)
		}
	}
	if w.gated != gated {
		wrong("%d wait at gates, and %d are counted", gated, w.gated)
	}
	for name, p := range piles {
		for i, e := range p.es {
			if at := *p.place(e); at != i+1 {
				wrong("%s is at %d of %s and takes it for %d", e.task.Name, i+1, name, at)
			}
			if w.entries[e.task.Key] != e {
				wrong("%s is among %s and not in the window", e.task.Name, name)
			}
		}
	}
	pinned, live := 0, 0
	for k, e := range w.entries {
		live += e.live
		if e.live > 0 {
			pinned++
		}
		if e.kept {
			pinned++
		}
		piles := 0
		for _, at := range [...]int{e.timed, e.early, e.queued, e.gated} {
			if at != 0 {
				piles++
			}
		}
		if e.gate == &r.suspects && piles > 1 { // something else of it need not wait there
			piles--
		}
		switch {
		case e.task.Key != k:
			wrong("%s is in the window as %s", e.task.Name, k.Name)
		case c.writing[k] != nil:
		case piles == 0 && e.leased == 0 && e.live == 0:
			wrong("%s is in no pile", k.Name)
		case piles > 1:
			wrong("%s is in %d piles", k.Name, piles)
		case e.turn != nil && e.queued == 0:
			wrong("%s has a turn and is not looked at", k.Name)
		case len(e.task.Payload) > payloadMost:
			wrong("%s has a payload of %d bytes in memory", k.Name, len(e.task.Payload))
		}
	}
	if w.pinned != pinned {
		wrong("%d entries take no room, and %d are counted", pinned, w.pinned)
	}
	if len(c.writing) == 0 {
		if r.inUse != len(r.attempts) {
			wrong("%d workers are taken by %d attempts", r.inUse, len(r.attempts))
		}
		running := map[*gate]int{}
		held := int64(0)
		for _, a := range r.attempts {
			held += a.size
			for _, g := range a.gates {
				running[g]++
			}
		}
		if r.held != held {
			wrong("%d bytes are held by what runs, and %d are counted", held, r.held)
		}
		for g, name := range gates {
			if g.running != running[g] {
				wrong("%d of the %s run, and %d are counted", running[g], name, g.running)
			}
		}
	}
	if w.scanning || len(c.writing) > 0 || r.failing != "" || r.ownsNoneLocked() {
		return errors.Join(errs...)
	}
	if w.touched != nil {
		wrong("%d touched since a scan that has ended", len(w.touched))
	}
	if n := w.first.len() + len(r.refetch) + len(r.fetching) + behind; n > 0 {
		wrong("%d to be looked at first, %d to be read, %d being read, %d gates to be read, and the loop is asleep", w.first.len(), len(r.refetch), len(r.fetching), behind)
	}
	if w.ready.len() > 0 && r.inUse < c.opts.Workers {
		wrong("%d are ready and %d of %d workers are taken", w.ready.len(), r.inUse, c.opts.Workers)
	}
	if e := r.bytes.waiting.top(); e != nil && r.fitsLocked() && r.inUse < c.opts.Workers {
		wrong("%s waits for bytes that are there", e.task.Name)
	}
	if at := r.nextLocked(); at < r.armedAt {
		wrong("the next to be done is at %v, and the loop is asleep until %v", at.Time(), r.armedAt.Time())
	}
	if at := r.leaseLocked(); at < r.armedLease {
		wrong("a lease ends at %d, and the loop is asleep until one ends at %d", at, r.armedLease)
	}
	if e := w.waiting.top(); e != nil && e.wait <= c.now() && e.wait != store.Never {
		wrong("%s was to be looked at", e.task.Name)
	}
	return errors.Join(errs...)
}
