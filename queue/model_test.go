package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
)

// queueModel is a queue in a few lines: slices, and no concurrency. It says what each blocked call has to return, and when.
type queueModel struct {
	kind     string
	capacity int
	stored   []int
	working  int
	getters  []*pending
	putters  []*pending
	joiners  []*pending
	closed   bool
	broken   bool
	dropped  bool
}

// pending is a call that was made: blocked until over.
type pending struct {
	put    int // what it puts
	over   bool
	want   result[int]
	got    <-chan result[int]
	cancel context.CancelFunc
}

func (p *pending) end(v int, err error) { p.over, p.want = true, result[int]{v, err} }

func (m *queueModel) take() int {
	i := 0
	switch m.kind {
	case "lifo":
		i = len(m.stored) - 1
	case "priority":
		for j, v := range m.stored {
			if v%10 < m.stored[i]%10 {
				i = j
			}
		}
	}
	v := m.stored[i]
	m.stored = slices.Delete(m.stored, i, i+1)
	m.working++
	return v
}

// settle lets everybody go on who can.
func (m *queueModel) settle() {
	if m.closed {
		for _, p := range m.putters {
			p.end(0, queue.ErrClosed)
		}
		m.putters = nil
	}
	for len(m.stored) > 0 && len(m.getters) > 0 {
		m.getters[0].end(m.take(), nil)
		m.getters = m.getters[1:]
	}
	for len(m.putters) > 0 && (m.capacity == 0 || len(m.stored) < m.capacity) {
		m.stored = append(m.stored, m.putters[0].put)
		m.putters[0].end(0, nil)
		m.putters = m.putters[1:]
	}
	if m.closed {
		for _, p := range m.getters {
			p.end(0, queue.ErrClosed)
		}
		m.getters = nil
	}
	if idle := len(m.stored)+m.working == 0; idle || m.broken {
		for _, p := range m.joiners {
			if idle && !m.dropped {
				p.end(0, nil)
			} else {
				p.end(0, queue.ErrClosed)
			}
		}
		m.joiners = nil
	}
}

// forget takes a call that gave up out of all lists.
func (m *queueModel) forget(p *pending, err error) {
	p.end(0, err)
	for _, list := range []*[]*pending{&m.getters, &m.putters, &m.joiners} {
		*list = slices.DeleteFunc(*list, func(q *pending) bool { return q == p })
	}
}

// rig is a queue beside its model.
type rig struct {
	q     *queue.Queue[int]
	m     queueModel
	calls []*pending
	next  int
}

// Random operations, blocked and timed and cancelled, against the model.
func TestModel_Queue(t *testing.T) {
	for range parktest.Rounds(30) { // of 100 each
		rapid.Check(t, func(rt *rapid.T) { checkModel(t, rt) })
	}
}

func checkModel(t *testing.T, rt *rapid.T) {
	t.Helper()
	kind := rapid.SampledFrom([]string{"fifo", "lifo", "priority"}).Draw(rt, "kind")
	capacity := rapid.IntRange(0, 4).Draw(rt, "capacity")
	n := rapid.IntRange(1, 60).Draw(rt, "n")
	steps := rapid.SliceOfN(rapid.IntRange(0, 13), n, n).Draw(rt, "steps")
	picks := rapid.SliceOfN(rapid.IntRange(0, 1000), n, n).Draw(rt, "picks")
	wrong := ""
	synctest.Test(t, func(t *testing.T) { // a goroutine of its own, where rapid cannot be told
		r := &rig{m: queueModel{kind: kind, capacity: capacity}}
		switch kind {
		case "fifo":
			r.q = queue.New[int](capacity)
		case "lifo":
			r.q = queue.NewLIFO[int](capacity)
		case "priority":
			r.q = queue.NewPriority(capacity, func(a, b int) bool { return a%10 < b%10 })
		}
		for i, step := range steps {
			r.step(t, step, picks[i])
			synctest.Wait()
			if wrong = r.compare(); wrong != "" {
				wrong = fmt.Sprintf("step %d: %s", i, wrong)
				break
			}
		}
		r.q.CloseNow()
		for _, p := range r.calls {
			p.cancel()
		}
	})
	if wrong != "" {
		rt.Fatal(wrong)
	}
}

// begin makes a call and notes it in a list of the model's.
func (r *rig) begin(t *testing.T, list *[]*pending, put int, f func(ctx context.Context) (int, error)) {
	ctx, cancel := context.WithCancel(t.Context())
	p := &pending{put: put, cancel: cancel, got: call(func() (int, error) { return f(ctx) })}
	synctest.Wait() // so that those who wait stand in line as in the model
	r.calls = append(r.calls, p)
	*list = append(*list, p)
	r.m.settle()
}

func (r *rig) step(t *testing.T, step, pick int) {
	r.next++
	v := 10*r.next + pick%10
	switch step {
	case 0, 1, 2:
		r.begin(t, &r.m.putters, v, func(ctx context.Context) (int, error) { return 0, r.q.Put(ctx, v) })
	case 3, 4, 5:
		r.begin(t, &r.m.getters, 0, func(ctx context.Context) (int, error) { return r.q.Get(ctx) })
	case 6:
		r.begin(t, &r.m.joiners, 0, func(ctx context.Context) (int, error) { return 0, r.q.Join(ctx) })
	case 7, 8:
		if r.m.working > 0 {
			r.q.Done()
			r.m.working--
		}
	case 9, 10: // somebody gives up
		var blocked []*pending
		for _, p := range r.calls {
			if !p.over {
				blocked = append(blocked, p)
			}
		}
		if len(blocked) > 0 {
			p := blocked[pick%len(blocked)]
			p.cancel()
			r.m.forget(p, context.Canceled)
		}
	case 11: // a timed call that gives up, if it blocks
		p := &pending{cancel: func() {}, got: call(func() (int, error) { return r.q.GetFor(time.Second) })}
		r.calls = append(r.calls, p)
		r.m.getters = append(r.m.getters, p)
		time.Sleep(time.Second)
		r.m.settle()
		if !p.over {
			r.m.forget(p, queue.ErrTimeout)
		}
	case 12:
		n := len(r.q.GetAll())
		r.m.working += n
		r.m.stored = nil
	case 13:
		switch pick % 10 { // not too often, for it is the end of most
		case 0:
			r.q.Close()
			r.m.closed = true
		case 1:
			r.q.CloseNow()
			r.m.closed, r.m.broken, r.m.dropped = true, true, r.m.dropped || len(r.m.stored) > 0
			r.m.stored = nil
		}
	}
	r.m.settle()
}

// compare says what differs.
func (r *rig) compare() string {
	getters, putters := r.q.Waiting()
	if getters != len(r.m.getters) || putters != len(r.m.putters) || r.q.Len() != len(r.m.stored) || r.q.Unfinished() != len(r.m.stored)+r.m.working {
		return fmt.Sprintf("%d getters, %d putters, %d values, %d unfinished; want %d, %d, %d, %d", getters, putters, r.q.Len(), r.q.Unfinished(),
			len(r.m.getters), len(r.m.putters), len(r.m.stored), len(r.m.stored)+r.m.working)
	}
	for i, p := range r.calls {
		if p.got == nil {
			continue
		}
		select {
		case got := <-p.got:
			p.got = nil
			if !p.over || got.v != p.want.v || !errors.Is(got.err, p.want.err) {
				return fmt.Sprintf("call %d returned %v, want %v (over %v)", i, got, p.want, p.over)
			}
		default:
			if p.over {
				return fmt.Sprintf("call %d has not returned, want %v", i, p.want)
			}
		}
	}
	return ""
}
