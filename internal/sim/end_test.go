package sim_test

import (
	"context"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/store"
)

// live is a world from its beginning to its end.
func (w *world) live() {
	w.start()
	if w.shared {
		w.start()
	}
	if newDice(w.seed, "idle").one(2) {
		p := w.prepare(true)
		p.stop = func() {}
		close(p.ran)
	}
	w.producers()
	w.strikes()
	w.advance(w.busy)
	w.heal()
	w.advance(11 * time.Second) // crashed processes are started again within ten seconds, and what a caller gave up has ended
	p := w.alive(newDice(w.seed, "last"))
	if p == nil {
		p = w.start()
	}
	w.handleAll()
	w.resumeAll(p)
	w.advance(2*w.lease + w.drain + 30*time.Second)
	w.mu.Lock()
	w.quiet = int64(store.At(w.wall()))
	if n := w.busyOps; n > 0 {
		defer w.bad("%d calls of producers have not returned", n)
	}
	w.mu.Unlock()
	w.log("from now on everything is on time")
	rest := time.Duration(w.lastOnce()-store.At(w.wall())) * time.Microsecond
	w.lateProducers()
	w.advance(max(min(rest+time.Second, 15*time.Minute), 3*time.Minute))
	w.atRest()
	w.close()
	w.afterwards()
}

// lateProducers plans what they do when everything works, and what they put is to be on time.
func (w *world) lateProducers() {
	for i := range 12 {
		d := newDice(w.seed, "late op", int64(i))
		w.in(d.upTo(time.Minute), func() { w.produce(d, w.op) })
	}
}

// handleAll has every kind handled by somebody.
func (w *world) handleAll() {
	for _, p := range w.procs {
		if !p.gone() && !p.rare && !p.idle {
			p.rare = true
			p.kinds["rare"] = duly.Handle(p.s, "rare", p.handle)
		}
	}
}

// resumeAll lets what is paused begin again.
func (w *world) resumeAll(p *process) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		n, err := p.s.Resume(w.ctx, duly.Query{AllNamespaces: true})
		w.log("%d are resumed: %v", n, err)
		if err != nil {
			w.bad("resume: %v", err)
		}
	}()
	if !w.advanceUntil(done, time.Second) {
		w.bad("Resume does not return")
	}
}

// atRest judges a world in which everything that was due has had its time.
func (w *world) atRest() {
	now := store.At(w.wall())
	page, err := w.rec.List(w.ctx, store.Query{AllNamespaces: true, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, t := range page.Tasks {
		if w.held(t) && t.Running() == 0 && t.Recurring { // it may wait for its turn
			continue
		}
		if at := t.Position(); at < now-1000 || t.Running() > 0 {
			w.bad("%v stands overdue: %s", t.Key, showTask(t))
		}
	}
	w.statistics()
}

// statistics compares what the processes have counted with what was seen.
func (w *world) statistics() {
	for _, p := range w.procs {
		if p.gone() {
			continue
		}
		st, err := p.s.Stats(w.ctx)
		if err != nil {
			w.bad("stats: %v", err)
			continue
		}
		var done, dones uint64
		p.mu.Lock()
		for kind, n := range p.begun {
			if k := st.Kinds[kind]; k.Started != n {
				w.bad("%s: stats say %d attempts of %s were started, and %d were", p.owner, k.Started, kind, n)
			}
		}
		dones = p.done
		unclear := p.unclear
		p.mu.Unlock()
		for kind, k := range st.Kinds {
			done += k.Succeeded
			if k.Running != 0 || k.Early != 0 {
				w.bad("%s: stats of %s say %d run and %d were early", p.owner, kind, k.Running, k.Early)
			}
		}
		if done != dones && !unclear {
			w.bad("%s: stats say %d runs have succeeded, and %d have", p.owner, done, dones)
		}
	}
}

// close ends the processes that are left.
func (w *world) close() {
	d := newDice(w.seed, "close")
	for _, p := range w.procs {
		if p.gone() {
			continue
		}
		p.closing.Store(true)
		done := make(chan struct{})
		how := d.IntN(3)
		go func() {
			defer close(done)
			var err error
			switch how {
			case 0:
				err = p.s.Close(w.ctx)
			case 1:
				err = p.s.Drain(w.ctx)
			default:
				p.stop()
				<-p.ran
				err = p.s.Close(w.ctx)
			}
			if err != nil {
				w.bad("%s: close: %v", p.owner, err)
			}
			<-p.ran
			if p.err != nil {
				w.bad("%s: Run: %v", p.owner, p.err)
			}
		}()
		if !w.advanceUntil(done, 5*time.Second) {
			w.bad("%s does not end", p.owner)
		}
	}
	for _, p := range w.procs {
		if !w.advanceUntil(p.ran, time.Second) {
			w.bad("%s: Run has not returned", p.owner)
		}
		p.stop()
		gone, cancel := context.WithCancel(w.ctx)
		cancel()
		_ = p.s.Close(gone) // one whose context ended still has its engine
	}
	w.advance(time.Second)
}

// afterwards judges what is left when nobody works any more.
func (w *world) afterwards() {
	r := w.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.attempts {
		if a.p.isDead() {
			continue
		}
		switch {
		case a.answered && !a.begun:
			w.bad("%v fence %d was granted, and its handler was not called", a.id, a.fence)
		case a.begun && !a.ended:
			w.bad("%v fence %d: the handler has not ended", a.id, a.fence)
		case a.begun && !a.settled && !a.rescued && a.p.err == nil:
			w.bad("%v fence %d has ended as %s, and that was not written", a.id, a.fence, a.outcome)
		}
	}
	now := store.At(w.wall())
	for _, l := range r.lines {
		if l.begun || l.over != "" || l.recurring && l.skipped {
			continue
		}
		n := r.names[l.key]
		if n.line != l || n.task == nil || n.task.Next.None() {
			w.bad("%v, put as %s, has not begun and is not there: %s", l.key, l.id, showTask(n.task))
		} else if at := n.task.Position(); at < now-1000 && !l.recurring {
			w.bad("%v, put as %s, has not begun: %s", l.key, l.id, showTask(n.task))
		}
	}
	w.history()
}

// history holds the runs that were seen to what the history says of them: each has ended once, or is there, or is dead.
func (w *world) history() {
	ends := map[store.RunID][]store.Event{}
	for after := int64(0); ; {
		evs, err := w.rec.History(w.ctx, store.HistoryQuery{After: after, Limit: 1000})
		if err != nil {
			w.t.Fatal(err)
		}
		for i := range evs {
			e := evs[i]
			after = e.Seq
			id := store.RunID{Key: e.Key, Generation: e.Generation, For: e.For}
			switch {
			case e.Verb == store.VerbRedrive:
				delete(ends, id)
			case e.To == store.Done, e.To == store.Dead, e.To == store.Cancelled, e.To == store.Expired:
				ends[id] = append(ends[id], e)
			}
		}
		if len(evs) == 0 {
			break
		}
	}
	for id, x := range w.rec.runs {
		n := w.rec.names[id.Key]
		there := n.task != nil && n.task.Run(id.Generation, id.For) != nil
		if got := len(ends[id]); got > 1 || got == 1 && there || got == 0 && !there && x.claims > 0 && !x.moved {
			w.bad("%v: it is there %t, and the history has %d ends of it: %v", id, there, got, ends[id])
		}
	}
}
