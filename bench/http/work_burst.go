package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/target"
)

// apiRates are how often a second a client puts, reads and lists meanwhile.
var apiRates = [3]int{50, 50, 10}

// workBurst measures what becomes of many callbacks that are due in the same second.
func workBurst(c *cell) values {
	n := c.spec.N
	to, err := startSink(c.ctx, n)
	runs.Must("start", err)
	d, err := startDaemon(c.spec.Daemon, c.spec.Dir, "--allow-private")
	runs.Must("start", err)
	defer d.kill() //nolint:errcheck // after stop there is nothing to kill
	cl := d.client()
	defer cl.Close()
	const perTask, lead = 100 * time.Microsecond, 2 * time.Second // until the first is due: so long putting them may take
	b := burst{cell: c, d: d, to: to, cl: cl, n: n, first: time.Now().Add(time.Duration(n)*perTask + lead).Truncate(time.Millisecond)}
	runs.Must("put", b.fill())
	if left := time.Until(b.first); left < time.Second {
		runs.Must("put in time", fmt.Errorf("the last put came %v before the first callback is due, want a second", left))
	}
	pause(c.ctx, time.Until(b.first.Add(-time.Second)))
	v := b.watch()
	runs.Must("look", b.look(v))
	runs.Must("stop", d.stop())
	v[keyWarnings] = float64(d.warnings())
	if v[keyWarnings] > 0 {
		runs.Progress{W: os.Stderr}.Printf("the daemon warns:\n%s\n", d.said())
	}
	runs.Must("stop", to.stop())
	return v
}

// pause waits, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// A burst is many callbacks that are due in the same second.
type burst struct {
	*cell

	d     *daemon
	to    *sink
	cl    *client.Client
	n     int
	first time.Time
	put   int // by the client meanwhile
}

func (b *burst) due(id int) time.Time {
	return b.first.Add(burstLength * time.Duration(id) / time.Duration(b.n))
}

// fill puts the callbacks.
func (b *burst) fill() error {
	of := func(i int) engines.Task { return engines.Task{ID: uint64(engines.Shuffled(i, b.n))} }
	return engines.Batches(b.n, batchCallers, of, func(tasks []engines.Task) error {
		return putMany(b.ctx, b.cl, func(yield func(api.Spec) bool) {
			for _, t := range tasks {
				id := int(t.ID)
				s := api.Spec{
					Name: t.Name(), At: b.due(id),
					HTTP: &target.Callback{URL: b.to.url(pathOK, id), Body: string(payloadOf(t.ID)), Header: map[string]string{"Content-Type": "application/json"}},
				}
				if !yield(s) {
					return
				}
			}
		})
	})
}

// watch waits until all callbacks have come, has a client ask meanwhile, and looks at what the daemon takes.
func (b *burst) watch() values {
	stop := b.profiled(b.d)
	asking, rest := context.WithCancel(b.ctx)
	var calls apiCalls
	var asked sync.WaitGroup
	asked.Go(func() { calls.run(asking, b.cl) })
	own, theirs, its := figures.ReadCost(), b.d.cpu(), treeCPU(b.to.cmd.Process.Pid)
	v := values{keyOpen: 0, keyRoutines: 0}
	const every, patience = 100 * time.Millisecond, time.Minute
	for tick := 0; time.Since(b.first) < patience && b.ctx.Err() == nil; tick++ {
		r, err := b.to.ask("counts")
		runs.Must("ask the sink", err)
		if tick%10 == 0 {
			v[keyOpen] = max(v[keyOpen], float64(b.d.openFiles()))
			if routines, err := b.d.goroutines(b.ctx); err == nil {
				v[keyRoutines] = max(v[keyRoutines], float64(routines))
			}
		}
		if r.Seen >= int64(b.n) {
			break
		}
		pause(b.ctx, every)
	}
	rest()
	asked.Wait()
	runs.Must("ask the daemon meanwhile", calls.err)
	b.put = calls.puts
	runs.Must("wait for the outcomes", b.settled())
	v[keySettled] = time.Since(b.first).Seconds()
	per := func(d time.Duration) float64 { return figures.Micros(d) / float64(b.n) }
	v[keyOwnCPU], v[keyCPU], v[keySinkCPU] = per(figures.ReadCost().Since(own).CPU), per(b.d.cpu()-theirs), per(treeCPU(b.to.cmd.Process.Pid)-its)
	v[keyResident] = b.d.resident()
	stop()
	calls.note(v)
	return v
}

func treeCPU(pid int) time.Duration {
	used, _ := figures.TreeCPU(pid)
	return used
}

// settled waits until nothing runs or waits but what the client has put.
func (b *burst) settled() error {
	const patience, every = time.Minute, 20 * time.Millisecond
	for end := time.Now().Add(patience); ; pause(b.ctx, every) {
		st, err := b.cl.Stats(b.ctx)
		switch {
		case err != nil:
			return err
		case st.Running == 0 && st.Pending == int64(b.put):
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%d callbacks run and %d tasks wait, of which %d should: %s", st.Running, st.Pending, b.put, b.d.said())
		}
	}
}

// look looks at what has come.
func (b *burst) look(v values) error {
	const later = time.Second // for what is sent a second time
	pause(b.ctx, later)
	r, err := b.to.ask("all")
	if err != nil {
		return err
	}
	var late []time.Duration
	var last int64
	for id, at := range r.First {
		if at == 0 {
			v[keyLost]++
			continue
		}
		d := time.Unix(0, at).Sub(b.due(id))
		if d < 0 {
			v[keyEarly]++
		}
		v[keyTwice] += float64(r.Times[id] - 1)
		late = append(late, d)
		last = max(last, at)
	}
	for _, key := range []string{keyLost, keyEarly, keyTwice} {
		v[key] += 0 // it is there also if it is 0
	}
	slices.Sort(late)
	v[keyAll], v[keyLate50] = time.Unix(0, last).Sub(b.first).Seconds(), figures.Quantile(late, 0.5).Seconds()
	v[keyConns], v[keyWant], v[keyLeft] = float64(r.Connections), float64(b.n), v[keyLost]
	if r.Strange > 0 {
		return fmt.Errorf("%d requests came to the sink that nobody has put", r.Strange)
	}
	return nil
}

// apiCalls are a client's, at a steady rate.
type apiCalls struct {
	mu   sync.Mutex
	took [3][]time.Duration
	puts int
	err  error // the first
}

// run calls until the context ends, and returns when the last call has.
func (a *apiCalls) run(ctx context.Context, cl *client.Client) {
	var all, kinds sync.WaitGroup
	began := time.Now()
	for verb, rate := range apiRates {
		kinds.Go(func() {
			for i := 0; ; i++ {
				at := began.Add(time.Duration(i) * time.Second / time.Duration(rate))
				if pause(ctx, time.Until(at)); ctx.Err() != nil {
					return
				}
				all.Go(func() { a.call(context.WithoutCancel(ctx), cl, verb, i, at) })
			}
		})
	}
	kinds.Wait()
	all.Wait()
}

// call makes a call that was to be made at an instant.
func (a *apiCalls) call(ctx context.Context, cl *client.Client, verb, i int, at time.Time) {
	name := "meanwhile-" + strconv.Itoa(i)
	var err error
	switch verb {
	case 0:
		_, err = cl.Put(ctx, name, specOf(uint64(i), at.Add(24*time.Hour)))
	case 1:
		if _, err = cl.Get(ctx, "meanwhile-0"); i == 0 { // it may be put only now
			err = nil
		}
	default:
		const page = 100
		_, err = cl.ListPage(ctx, client.Query{Limit: page})
	}
	took := time.Since(at)
	a.mu.Lock()
	defer a.mu.Unlock()
	if verb == 0 && err == nil {
		a.puts++
	}
	a.took[verb] = append(a.took[verb], took)
	if a.err == nil {
		a.err = err
	}
}

// note gives the figures.
func (a *apiCalls) note(v values) {
	all := slices.Concat(a.took[:]...)
	slices.Sort(all)
	v[keyAPI50], v[keyAPI99] = figures.Millis(figures.Quantile(all, 0.5)), figures.Millis(figures.Quantile(all, 0.99))
	v[keyAPIMax], v[keyAPICalls] = figures.Millis(figures.Quantile(all, 1)), float64(len(all))
	for verb, key := range []string{keyPut99, keyGet99, keyList99} {
		slices.Sort(a.took[verb])
		v[key] = figures.Millis(figures.Quantile(a.took[verb], 0.99))
	}
}

// profiled has the daemon's CPU profile taken until stop is called, if it is asked for.
func (c *cell) profiled(d *daemon) (stop func()) {
	if c.spec.Profile == "" {
		return func() {}
	}
	// It is of a length that is given beforehand: of a line that takes longer it is the beginning.
	const seconds = "8"
	done := make(chan error, 1)
	go func() {
		text, err := d.profile(context.WithoutCancel(c.ctx), "profile?seconds="+seconds)
		if err == nil {
			err = os.WriteFile(c.spec.Profile, text, 0o600)
		}
		done <- err
	}()
	return func() {
		if err := <-done; err != nil {
			runs.Progress{W: os.Stderr}.Printf("no profile: %v\n", err)
		}
	}
}
