package duly_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/schedule"
)

// A load is tasks of several kinds and keys, and what has become of them.
type load struct {
	mu      sync.Mutex
	all     map[string]*loaded
	order   []*loaded // in which they were put
	running int
	per     map[string]int // of each kind and each key
	most    map[string]int // limits
	workers int
	wrong   []string
}

type loaded struct {
	name, kind, key string
	priority        int
	due             time.Duration
	takes           time.Duration
	begun           bool
	at              time.Duration // it has
}

// before says that one starts before another, if both can.
func (a *loaded) before(b *loaded) bool {
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	return a.due < b.due
}

func (l *load) gates(x *loaded) []string {
	gs := []string{"kind " + x.kind}
	if x.key != "" {
		gs = append(gs, "key "+x.key)
	}
	return gs
}

func (l *load) run(ctx context.Context, a *duly.AttemptInfo, since time.Duration) error {
	l.mu.Lock()
	x := l.all[a.Name]
	x.begun, x.at = true, since
	l.running++
	for _, g := range l.gates(x) {
		if l.per[g]++; l.most[g] > 0 && l.per[g] > l.most[g] {
			l.wrong = append(l.wrong, fmt.Sprintf("%v: %s is the %dth of %s that runs, want at most %d", since, x.name, l.per[g], g, l.most[g]))
		}
	}
	l.mu.Unlock()
	err := takes(x.takes)(ctx, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	for _, g := range l.gates(x) {
		l.per[g]--
	}
	return err
}

// idle notes what waits although a worker is free, and its key, and its kind.
func (l *load) idle(now time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.order {
		if x.begun || x.due > now || l.running >= l.workers {
			continue
		}
		free := true
		for _, g := range l.gates(x) {
			free = free && (l.most[g] == 0 || l.per[g] < l.most[g])
		}
		if free {
			l.wrong = append(l.wrong, fmt.Sprintf("%v: %s waits for nothing", now, x.name))
		}
	}
}

// However many wait for their key, their kind or a worker: no more run than may, nobody waits for whom there is room, and of one kind and key
// they start in order.
//
// contract: C3, J2
func TestLimits_Random(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 7))
				l := &load{all: map[string]*loaded{}, per: map[string]int{}, most: map[string]int{}, workers: 3 + r.IntN(10)}
				s, err := duly.New(duly.Options{Workers: l.workers})
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				kinds := map[string]*duly.Kind[string]{}
				for i, name := range []string{"free", "one", "some"} {
					var opts []duly.KindOption
					if i > 0 {
						l.most["kind "+name] = i * (1 + r.IntN(3))
						opts = append(opts, duly.Limit(l.most["kind "+name]))
					}
					kinds[name] = duly.Handle(s, name, func(ctx context.Context, a *duly.Attempt[string]) error {
						return l.run(ctx, a.AttemptInfo, time.Since(began))
					}, opts...)
				}
				keys := []string{"", "x", "y", "z"}
				for i, key := range keys[1:] {
					l.most["key "+key] = 1 + i
				}
				ended := make(chan error)
				go func() { ended <- s.Run(t.Context()) }()
				due := time.Duration(0)
				for i := range 200 {
					due += time.Duration(r.IntN(1000)) * time.Millisecond
					x := &loaded{
						name: strconv.Itoa(i), kind: []string{"free", "one", "some"}[r.IntN(3)], key: keys[r.IntN(4)],
						due: due, takes: time.Duration(1+r.IntN(8)) * time.Second,
					}
					var opts []duly.PutOption
					if x.key != "" {
						opts = append(opts, duly.Key(x.key, l.most["key "+x.key]))
					}
					if seed%2 == 0 {
						x.priority = r.IntN(3)
						opts = append(opts, duly.Priority(x.priority))
					}
					l.mu.Lock()
					l.all[x.name], l.order = x, append(l.order, x)
					l.mu.Unlock()
					if _, err := kinds[x.kind].Put(t.Context(), x.name, "", schedule.At(began.Add(x.due)), opts...); err != nil {
						t.Fatal(err)
					}
				}
				for range 4000 {
					time.Sleep(250 * time.Millisecond)
					synctest.Wait()
					l.idle(time.Since(began))
					if err := s.Invariants(); err != nil {
						t.Fatal(err)
					}
				}
				for _, x := range l.order {
					if !x.begun {
						t.Errorf("%s has never begun", x.name)
					}
				}
				for _, x := range l.order {
					for _, y := range l.order {
						if x.kind == y.kind && x.key == y.key && x.before(y) && x.due < y.at && y.at < x.at {
							t.Errorf("%s begins at %v and %s at %v, in the wrong order", x.name, x.at, y.name, y.at)
						}
					}
				}
				for i, wrong := range l.wrong {
					if i < 5 {
						t.Error(wrong)
					}
				}
				if err := errors.Join(s.Close(t.Context()), <-ended); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
