package sim_test

import (
	"context"
	"time"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/storetest"
)

// strikes plans the faults.
func (w *world) strikes() {
	for i, f := range w.faults {
		w.awake(f.at, func() { w.strike(newDice(w.seed, "fault", int64(i)), f) })
	}
}

// strike has a fault happen.
func (w *world) strike(d dice, f fault) {
	if w.healthy() {
		return
	}
	w.log("fault: %s, %v", f.kind, f.by)
	switch f.kind {
	case "step forward":
		w.struck(f.kind, 0)
		w.clk.Step(f.by)
	case "step back":
		w.struck(f.kind, 0)
		w.rec.stepBack(f.by)
	case "suspend":
		w.struck(f.kind, f.by+2*w.lease) // before: what it wakes begins at once
		w.suspend(f.by)
	case "pause":
		if p := w.alive(d); p != nil {
			w.struck(f.kind, f.by+2*w.lease)
			p.pause()
			w.in(f.by, func() {
				w.log("%s goes on", p.owner)
				p.resume()
			})
		}
	case "crash":
		if p := w.alive(d); p != nil {
			w.crash(p)
			w.in(d.span(0, 10*time.Second), func() { w.start() })
		}
	case "deploy":
		if p := w.alive(d); p != nil {
			w.deploy(d, p)
		}
	case "outage":
		w.struck(f.kind, f.by+2*w.lease)
		w.sick.Plant(storetest.Fault{
			Kind: pick(d, storetest.Fail, storetest.Fail, storetest.Tear), Method: pick(d, "", "", "Settle", "Claim", "Renew", "Due", "Get", "Edit"), Always: true,
		})
		w.in(f.by, func() {
			w.log("the outage is over")
			w.sick.Heal()
		})
	case "storm":
		w.struck(f.kind, f.by)
		w.mu.Lock()
		w.stormy = rates{slow: 25, fail: 15, tear: 15, late: 10, hang: 5}
		w.mu.Unlock()
		w.in(f.by, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.stormy = rates{}
		})
	}
}

// crash ends a process. What it had under way leads nowhere from now on.
func (w *world) crash(p *process) {
	w.struck("crash", 2*w.lease)
	w.log("%s dies", p.owner)
	w.rec.mu.Lock()
	close(p.dead)
	if !w.shared {
		w.rec.Restart()
		w.rec.crashed()
	}
	w.rec.mu.Unlock()
	p.resume()
	p.stop()
	gone, cancel := context.WithCancel(w.ctx)
	cancel()
	go func() { _ = p.s.Close(gone) }() // so that its engine ends
}

// deploy ends a process in one of the ways that are meant for it, and starts another.
func (w *world) deploy(d dice, p *process) {
	w.struck("deploy", 0)
	w.log("%s is to end", p.owner)
	p.closing.Store(true)
	ctx, cancel := context.WithCancel(w.ctx)
	w.in(d.span(0, 20*time.Second), cancel)
	go func() {
		var err error
		switch d.IntN(3) {
		case 0:
			err = p.s.Close(ctx)
		case 1:
			err = p.s.Drain(ctx)
		default:
			p.stop()
			<-p.ran
			err = p.err
		}
		w.log("%s: its end is answered %v", p.owner, err)
		w.in(d.span(0, time.Second), func() { w.start() }) //nolint:contextcheck // it outlives the one before
	}()
}

// heal ends all that is amiss. From now on handlers succeed.
func (w *world) heal() {
	w.log("everything is healed")
	w.struck("healing", 2*w.lease)
	w.mu.Lock()
	w.isHealed = true
	close(w.healed)
	procs := append([]*process(nil), w.procs...)
	w.mu.Unlock()
	w.sick.Heal()
	for _, p := range procs {
		p.resume()
	}
}

// positionOf is where the last one-off stands.
func (w *world) lastOnce() store.Instant {
	page, err := w.rec.List(w.ctx, store.Query{AllNamespaces: true, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var last store.Instant
	for _, t := range page.Tasks {
		if at := t.Position(); !t.Recurring && at != store.Never {
			last = max(last, at)
		}
	}
	return last
}
