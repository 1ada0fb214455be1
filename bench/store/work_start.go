package main

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
)

// Row 18: starting.

// patience is how long a process that is to be killed waits for it.
const patience = time.Minute

// workStart is one process of a chain: it fires the task that the one before has left, leaves one for the next, and ends by a close
// or by a kill.
func workStart(c *cell) values {
	eng := c.open(openOptions{callers: 64})
	opened := time.Now()
	v := values{keyTasks: float64(c.spec.N)}
	if c.spec.Prepare {
		for { // what an earlier chain has left
			refs, err := eng.due(nowMicros(), firePage)
			runs.Must("read what is due", err)
			if len(refs) == 0 {
				break
			}
			runs.Must("claim", eng.claim(refs))
			runs.Must("settle", eng.settle(refs))
		}
	} else {
		v = c.first(eng, opened)
	}
	mark := item{name: fmt.Sprintf("due-%d", time.Now().UnixNano()), due: nowMicros(), payload: makePayload(0)}
	runs.Must("put", eng.put([]item{mark}))
	if c.spec.Kill {
		c.answer(childReply{Values: v})
		c.churn(eng)
	}
	runs.Must("close", eng.close())
	return v
}

// first fires the one task that is due.
func (c *cell) first(eng engine, opened time.Time) values {
	refs, err := eng.due(nowMicros(), firePage)
	runs.Must("read what is due", err)
	if len(refs) != 1 {
		runs.Must("read what is due", fmt.Errorf("%d tasks, want 1", len(refs)))
	}
	runs.Must("claim", eng.claim(refs))
	handle(&refs[0])
	fired := time.Now()
	runs.Must("settle", eng.settle(refs))
	started := time.Unix(0, c.spec.Started)
	v := values{keyTasks: float64(c.spec.N), keyFire: fired.Sub(started).Seconds(), keyOpened: opened.Sub(started).Seconds()}
	if !c.spec.Kill {
		time.Sleep(c.length(3 * time.Second))
		if resident, _, ok := figures.Resident(os.Getpid()); ok {
			v[keyRSS] = mib(resident)
		}
	}
	pending, err := eng.pending()
	runs.Must("count", err)
	v[keyPending], v[keyWant] = float64(pending), float64(c.spec.N)
	return v
}

// length is a time that a quick run need not take.
func (c *cell) length(d time.Duration) time.Duration {
	if c.spec.Quick {
		return 20 * time.Millisecond
	}
	return d
}

// churn moves tasks until the process is killed, and says when it may be.
func (c *cell) churn(eng engine) {
	var stop atomic.Bool
	far := farItem(nowMicros())
	l := load{eng: eng, callers: 64, batch: 1, to: 1 << 60, stop: &stop, make: func(i int64) item {
		x := makeItem(mix(uint64(i))%uint64(c.spec.N), 0)
		x.due = far(i).due
		return x
	}}
	go func() {
		time.Sleep(c.length(3 * time.Second))
		c.answer(childReply{Busy: true})
		time.Sleep(patience)
		stop.Store(true)
	}()
	l.run()
	runs.Must("wait for the end", fmt.Errorf("nobody came for %v", patience))
}
