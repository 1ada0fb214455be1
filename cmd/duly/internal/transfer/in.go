package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dulyhq/duly/store"
)

// Tally says what has become of lines.
type Tally struct {
	Imported  int `json:"imported"`  // put
	Replaced  int `json:"replaced"`  // put in place of another task
	Unchanged int `json:"unchanged"` // there already, from an earlier import or the same declaration; or run since
	Kept      int `json:"kept"`      // the name has another task, which stays
	Refused   int `json:"refused"`   // was told to refuse
}

// A Refusal is why a line was not imported.
type Refusal struct {
	Line int
	Key  store.Key // zero where it can't be told
	Err  error     // store.ErrExists where the name has another task
}

// InOptions are those of In.
type InOptions struct {
	OnConflict store.Conflict // Fail, Keep or Replace
	Refused    func(Refusal) error
}

// parked is where a task stands of which something is still to be set: nothing is due then, and no task is put there by people.
const parked = store.Instant(253402300799_999999)

// In puts the tasks of lines into a store. A line that is wrong, or whose name has another task, is refused and the others are dealt with.
// An error ends it; then it can be done again from the beginning.
func In(ctx context.Context, to store.Store, r io.Reader, o InOptions) (Tally, error) {
	x := &importing{to: to, o: o}
	lines := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		text, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		var rec *record
		if err == nil {
			rec, err = parse(text)
		}
		switch {
		case errors.Is(err, errLong), err != nil && !isRead(err):
			if err := x.refuse(&placed{line: n}, err); err != nil {
				return x.tally, err
			}
			continue
		case err != nil:
			return x.tally, fmt.Errorf("read line %d: %w", n, err)
		}
		x.batch = append(x.batch, &placed{record: rec, line: n})
		x.bytes += len(text)
		if len(x.batch) >= page || x.bytes >= MostLine {
			if err := x.flush(ctx); err != nil {
				return x.tally, err
			}
		}
	}
	return x.tally, x.flush(ctx)
}

var errLong = fmt.Errorf("it is longer than %d bytes", MostLine)

// A readError is one of whatever lines are read from.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

func isRead(err error) bool {
	_, ok := errors.AsType[*readError](err)
	return ok
}

// readLine returns the next line. One that is too long is passed over without being kept in memory.
func readLine(r *bufio.Reader) (line []byte, err error) {
	long := false
	for {
		part, err := r.ReadSlice('\n')
		if long = long || len(line)+len(part) > MostLine; long {
			line = nil
		} else {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, &readError{err}
		case long:
			return nil, errLong
		case err != nil && len(line) == 0:
			return nil, io.EOF
		}
		return line, nil
	}
}

// An importing is one call of In.
type importing struct {
	to    store.Store
	o     InOptions
	tally Tally
	batch []*placed
	bytes int
}

// A placed is a record of a batch, and how far it has come.
type placed struct {
	*record
	line     int
	task     *store.Task // as it is in the store
	replaces *store.Task
	over     bool // there is nothing more to do
}

func (x *importing) refuse(p *placed, err error) error {
	x.tally.Refused++
	p.over = true
	r := Refusal{Line: p.line, Err: err}
	if p.record != nil {
		r.Key = p.key
	}
	return x.o.Refused(r)
}

// flush deals with a batch. Its order is what keeps tasks from being due before all of them is there: what is paused is paused, what waits
// for its next attempt is made, what was accounted for is noted, and only then a task is given its instant.
func (x *importing) flush(ctx context.Context) error {
	batch := x.batch
	x.batch, x.bytes = nil, 0
	if len(batch) == 0 {
		return nil
	}
	if err := x.look(ctx, batch); err != nil {
		return err
	}
	if err := x.clear(ctx, batch); err != nil {
		return err
	}
	if err := x.put(ctx, batch); err != nil {
		return err
	}
	for _, step := range [...]func(p *placed) []store.Edit{(*placed).pause, (*placed).retry, (*placed).align, (*placed).move} {
		if err := x.edit(ctx, batch, step); err != nil {
			return err
		}
	}
	return nil
}

// look finds what is there, and whether anything is to be done.
func (x *importing) look(ctx context.Context, batch []*placed) error {
	keys := make([]store.Key, len(batch))
	for i, p := range batch {
		keys[i] = p.key
	}
	there, err := x.to.Get(ctx, keys)
	if err != nil {
		return err
	}
	for i, p := range batch {
		t := there[i]
		switch {
		case t == nil || t.Ended:
		case t.AcceptedAt == p.put.AcceptedAt && t.Equal(&p.put.Spec):
			if p.task, p.parked = t, p.halfway(t); !p.parked {
				x.tally.Unchanged++
				p.over = true
			}
		case x.o.OnConflict == store.Keep:
			x.tally.Kept++
			p.over = true
		case x.o.OnConflict == store.Replace && t.Kind == p.put.Kind:
			p.replaces = t
		case x.o.OnConflict == store.Replace:
			if err := x.refuse(p, store.ErrKindMismatch); err != nil {
				return err
			}
		default:
			if err := x.refuse(p, store.ErrExists); err != nil {
				return err
			}
		}
	}
	return nil
}

// halfway says whether an earlier import of the task was cut off.
func (p *placed) halfway(t *store.Task) bool {
	return !t.Next.None() && t.Next.For >= parked && (p.ends || p.next.For < parked)
}

// clear cancels what others take the place of: a put alone would leave the grid of what is declared alike, and a pause.
func (x *importing) clear(ctx context.Context, batch []*placed) error {
	var cancels []store.Cancel
	var whose []*placed
	for _, p := range batch {
		if p.replaces != nil {
			cancels, whose = append(cancels, store.Cancel{Key: p.key, IfGeneration: p.replaces.Generation, Reason: "replaced"}), append(whose, p)
		}
	}
	if len(cancels) == 0 {
		return nil
	}
	results, err := x.to.Cancel(ctx, cancels)
	if err != nil {
		return err
	}
	for i, p := range whose {
		if err := results[i].Err; err != nil {
			if err := x.refuse(p, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *importing) put(ctx context.Context, batch []*placed) error {
	var puts []store.Put
	var whose []*placed
	for _, p := range batch {
		if p.over || p.task != nil {
			continue
		}
		put := p.put
		put.OnConflict = store.Fail // there was none when we looked, or is none any more
		puts, whose = append(puts, put), append(whose, p)
	}
	if len(puts) == 0 {
		return nil
	}
	results, err := x.to.Put(ctx, puts)
	if err != nil {
		return err
	}
	for i, p := range whose {
		res := &results[i]
		if res.Err != nil {
			if err := x.refuse(p, res.Err); err != nil {
				return err
			}
			continue
		}
		switch p.task = res.Task; {
		case res.Outcome != store.Created: // it has run since
			x.tally.Unchanged++
			p.over = true
		case p.replaces != nil:
			x.tally.Replaced++
		default:
			x.tally.Imported++
		}
	}
	return nil
}

// edit takes a step with all of a batch that need it.
func (x *importing) edit(ctx context.Context, batch []*placed, step func(p *placed) []store.Edit) error {
	var edits []store.Edit
	var whose []*placed
	for _, p := range batch {
		if p.over {
			continue
		}
		for _, e := range step(p) {
			e.Key = p.key
			edits, whose = append(edits, e), append(whose, p)
		}
	}
	if len(edits) == 0 {
		return nil
	}
	results, err := x.to.Edit(ctx, edits)
	if err != nil {
		return err
	}
	for i, p := range whose {
		switch res := &results[i]; {
		case res.Err != nil && !p.over:
			if err := x.refuse(p, fmt.Errorf("it is there in part: %w", res.Err)); err != nil {
				return err
			}
		case res.Err == nil:
			p.task = res.Task
		}
	}
	return nil
}

func (p *placed) pause() []store.Edit {
	if !p.paused || p.task.Paused() {
		return nil
	}
	return []store.Edit{{Verb: store.VerbPause, Reason: p.why, IfGeneration: p.task.Generation}}
}

// align notes up to when everything is accounted for. It gives what is next its instant, unless that is one that somebody wanted, or takes
// it away where nothing is.
func (p *placed) align() []store.Edit {
	if !p.parked || !p.put.Recurring || p.task.Next.For != parked {
		return nil
	}
	if p.ends {
		return []store.Edit{{Verb: store.VerbSkip, State: store.Skipped, For: parked, Generation: p.task.Generation, Reason: "imported"}}
	}
	e := store.Edit{Verb: store.VerbAlign, For: parked, Generation: p.task.Generation, Through: p.through, When: store.On(p.next), Reason: "imported"}
	if p.moved {
		e.When = store.On(store.Occurrence{For: store.Never, Due: store.Never})
	}
	return []store.Edit{e}
}

func (p *placed) move() []store.Edit {
	if !p.parked || p.ends || p.put.Recurring && !p.moved || p.task.Next.For < parked {
		return nil
	}
	return []store.Edit{{Verb: store.VerbMove, When: store.On(p.next), IfGeneration: p.task.Generation, Reason: "imported"}}
}

// retry makes runs that wait again, beside the schedule.
func (p *placed) retry() (edits []store.Edit) {
	for _, o := range p.retries {
		there := false
		for i := range p.task.Runs {
			there = there || p.task.Runs[i].Extra && p.task.Runs[i].For == o.For
		}
		if !there {
			edits = append(edits, store.Edit{Verb: store.VerbRun, When: store.On(o), Reason: "imported"})
		}
	}
	return edits
}
