package storetest

import (
	"bytes"
	"slices"

	"github.com/dulyhq/duly/store"
)

// edit says what an Edit must answer, verb by verb.
func (p *plain) edit(x *store.Edit, r *store.EditResult) error {
	if p.condition(x.Key, x.IfGeneration) {
		return refused(r.Err, store.ErrCondition)
	}
	if x.Verb == store.VerbRedrive {
		return p.redrive(x, r)
	}
	t := p.tasks[x.Key]
	ofRun := x.Verb == store.VerbRescue || x.Verb == store.VerbStop || x.Verb == store.VerbBury
	if t == nil || t.ended && !ofRun {
		if p.known[x.Key] && !p.forgot {
			return refused(r.Err, store.ErrFinished)
		}
		return refused(r.Err, store.ErrNotFound, store.ErrFinished)
	}
	var change bool
	var right error
	switch x.Verb {
	case store.VerbMove:
		change, right = p.move(t, x)
	case store.VerbRun:
		if t.spec.Recurring {
			return p.extra(t, x, r)
		}
		change, right = p.move(t, x)
	case store.VerbPause, store.VerbResume:
		change, right = p.pause(t, x)
	case store.VerbSkip:
		right = p.skip(t, x)
	case store.VerbAlign:
		right = p.align(t, x)
	case store.VerbRescue:
		right = p.rescue(t, x)
	case store.VerbBury:
		right = p.bury(t, x)
	case store.VerbStop:
		right = p.stop(t, x)
	default:
		return wrong("no verb of an edit")
	}
	if right != nil || r.Err != nil {
		return refused(r.Err, right)
	}
	if x.Verb != store.VerbStop || t.run(store.RunID{Generation: x.Generation, For: x.For}) == nil {
		p.known[x.Key] = true
	}
	return p.edited(t, x, r, change)
}

// edited compares the answer; an edit that changed what can be claimed has made a new generation.
func (p *plain) edited(t *plainTask, x *store.Edit, r *store.EditResult, change bool) error {
	p.keep(x.Key, t)
	if change && r.Task != nil {
		t.generation = r.Task.Generation
		if err := p.generation(x.Key, t.generation); err != nil {
			return err
		}
	}
	return p.answer(x.Key, r.Task)
}

// move gives what waits another instant; of a one-off, what waited for a retry begins anew.
func (p *plain) move(t *plainTask, x *store.Edit) (change bool, right error) {
	_, waits := t.waits()
	payload := t.spec.Payload
	if x.Verb == store.VerbMove && x.Payload != nil {
		payload = x.Payload
	}
	other := !bytes.Equal(payload, t.spec.Payload)
	if x.Verb == store.VerbMove && x.When.None() { // the payload alone
		if !waits && !t.spec.Recurring {
			return false, store.ErrRunning
		}
		t.spec.Payload = payload
		return other, nil
	}
	if !waits || t.spec.Recurring && t.next.None() {
		return false, store.ErrRunning
	}
	next := x.When.Resolve(p.now)
	if next == t.next && !other {
		return false, nil
	}
	t.spec.Payload = payload
	if t.next.None() { // the run that waits is moved
		i := slices.IndexFunc(t.runs, func(r *plainRun) bool { return r.State == store.Pending && !r.Extra && !r.Final })
		t.runs = slices.Delete(slices.Clone(t.runs), i, i+1)
	}
	t.next, t.moved = next, t.spec.Recurring
	return true, nil
}

func (p *plain) pause(t *plainTask, x *store.Edit) (change bool, right error) {
	if x.Verb == store.VerbPause {
		if t.paused != 0 {
			return false, nil
		}
		t.paused = p.now
		return true, nil
	}
	if t.paused == 0 {
		return false, nil
	}
	if !x.When.None() && !t.next.None() {
		next := x.When.Resolve(p.now)
		through := max(t.next.For, x.Through)
		switch {
		case x.Missed > 0 && next.For <= through:
			return false, store.ErrInvalid
		case x.Missed > 0:
			t.last = max(t.last, through)
		}
		t.next, t.moved = next, false
	}
	t.paused = 0
	return true, nil
}

// extra looks for the run that was not there before: its generation is the store's to choose.
func (p *plain) extra(t *plainTask, x *store.Edit, r *store.EditResult) error {
	if r.Err != nil || r.Task == nil {
		return wrong("error %v, want an extra run", r.Err)
	}
	at := x.When.Resolve(p.now)
	for i := range r.Task.Runs {
		n := &r.Task.Runs[i]
		if t.run(n.ID(x.Key)) != nil {
			continue
		}
		if err := p.generation(x.Key, n.Generation); err != nil { // its own, so that it has an id of its own
			return err
		}
		t.runs = append(t.runs, &plainRun{Run: store.Run{
			Generation: n.Generation, For: at.For, Due: at.Due, State: store.Pending, Extra: true,
		}})
		break
	}
	p.known[x.Key] = true
	return p.answer(x.Key, r.Task)
}

func (p *plain) skip(t *plainTask, x *store.Edit) (right error) {
	if t.next.None() || t.next.For != x.For || t.generation != x.Generation {
		return store.ErrChanged
	}
	t.next, t.moved, t.last = x.When.Resolve(p.now), false, max(t.last, x.For, x.Through)
	return nil
}

// align sets what is next to where its schedule has it now, but for what was moved.
func (p *plain) align(t *plainTask, x *store.Edit) (right error) {
	next := x.When.Resolve(p.now)
	switch {
	case t.next.None() || t.next.For != x.For || t.generation != x.Generation || t.moved || !t.spec.Recurring:
		return store.ErrChanged
	case next.For <= max(t.last, x.Through):
		return store.ErrInvalid
	case next != t.next:
		t.next, t.last = next, max(t.last, x.Through)
	}
	return nil
}

func (p *plain) rescue(t *plainTask, x *store.Edit) (right error) {
	_, r := p.held(store.RunID{Key: x.Key, Generation: x.Generation, For: x.For}, x.Fence)
	switch {
	case r == nil:
		return store.ErrFenced
	case r.leaseEnd > p.mono:
		return store.ErrRunning
	}
	r.Lost++
	switch {
	case r.Final || r.Stop:
		p.over(t, x, r)
	case x.State == store.Pending:
		r.State, r.Due = store.Pending, x.When.Resolve(p.now).Due
	default:
		p.die(x.Key, t, r)
		p.over(t, x, r)
	}
	return nil
}

// over takes a run out, which was perhaps that of a fixed delay.
func (p *plain) over(t *plainTask, x *store.Edit, r *plainRun) {
	t.without(func(o *plainRun) bool { return o == r })
	if !r.Final && !t.ended {
		p.follow(t, x.Next)
	}
}

func (p *plain) bury(t *plainTask, x *store.Edit) (right error) {
	r := t.run(store.RunID{Generation: x.Generation, For: x.For})
	switch {
	case r != nil && r.State == store.Running:
		return store.ErrRunning
	case r != nil:
	case t.next.None() || t.next.For != x.For || t.generation != x.Generation:
		return store.ErrChanged
	default:
		next := x.When.Resolve(p.now)
		if last := max(t.last, x.For); !next.None() && next.For <= last {
			return store.ErrInvalid
		}
		r = &plainRun{Run: store.Run{Generation: t.generation, For: t.next.For, Due: t.next.Due}}
		t.next, t.moved, t.last = next, false, max(t.last, x.For)
	}
	p.die(x.Key, t, r)
	p.over(t, x, r)
	return nil
}

func (p *plain) stop(t *plainTask, x *store.Edit) (right error) {
	r := t.run(store.RunID{Generation: x.Generation, For: x.For})
	switch {
	case r == nil:
		return store.ErrChanged
	case r.State == store.Pending:
		p.over(t, x, r)
	default:
		r.Stop = true
	}
	p.known[x.Key] = true
	return nil
}

func (p *plain) redrive(x *store.Edit, r *store.EditResult) error {
	id := store.RunID{Key: x.Key, Generation: x.Generation, For: x.For}
	dead, t := p.dead[id], p.tasks[x.Key]
	switch {
	case dead == nil:
		return refused(r.Err, store.ErrNotFound)
	case t != nil && (!t.ended && !t.spec.Equal(&dead.spec) || t.run(id) != nil):
		return refused(r.Err, store.ErrExists)
	case r.Err != nil:
		return r.Err
	}
	delete(p.dead, id)
	run := *dead.runs[0]
	run.Run = store.Run{
		Generation: run.Generation, For: run.For, Due: x.When.Resolve(p.now).Due, State: store.Pending, Fence: run.Fence,
		Missed: run.Missed, Extra: dead.spec.Recurring,
	}
	change := t == nil || t.ended
	switch {
	case t == nil:
		t = dead
		t.ended, t.runs, t.paused = false, nil, 0
	case t.ended: // the name is free, but for attempts that still run
		t.spec, t.accepted, t.ended, t.paused = dead.spec, dead.accepted, false, 0
	}
	t.runs = append(t.runs, &run)
	p.known[x.Key] = true
	return p.edited(t, x, r, change)
}
