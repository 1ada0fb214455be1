//go:build clockstep

package clock

import (
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// This file is in test builds alone, and what it does to them is what setting the wall clock does to others.

// steps are what Step has done so far, and who is to be told.
var steps struct {
	ahead atomic.Int64

	mu  sync.Mutex
	fds map[*steppedTimerfd]struct{}
}

// Step sets the wall clock of all that System has returned or will return, by d, which may be negative. The machine's stays as it is.
func Step(d time.Duration) {
	steps.mu.Lock()
	defer steps.mu.Unlock()
	steps.ahead.Add(int64(d))
	for fd := range steps.fds {
		fd.step()
	}
}

func newSystem() Clock {
	now := runtimeNow()
	stepped := func() instant {
		i := now()
		i.wall += steps.ahead.Load()
		return i
	}
	return linuxSystem(stepped, steppedKernel{})
}

// steppedKernel makes timerfds whose wall clock can be stepped.
type steppedKernel struct{}

func (steppedKernel) open(wall bool) (timerfd, error) {
	fd, err := linuxKernel{}.open(wall)
	if err != nil || !wall {
		return fd, err
	}
	f := &steppedTimerfd{timerfd: fd}
	steps.mu.Lock()
	defer steps.mu.Unlock()
	if steps.fds == nil {
		steps.fds = map[*steppedTimerfd]struct{}{}
	}
	steps.fds[f] = struct{}{}
	return f, nil
}

// steppedTimerfd answers to a step as the kernel does: with ECANCELED, once.
type steppedTimerfd struct {
	timerfd

	mu      sync.Mutex
	stepped bool
}

// step has a Read that is under way return.
func (f *steppedTimerfd) step() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stepped = true
	_ = f.timerfd.settime(1) // whatever it was armed for, its owner arms it anew
}

func (f *steppedTimerfd) settime(at int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	real := at
	if at > 1 {
		real = max(at-steps.ahead.Load(), 1)
	}
	err := f.timerfd.settime(real)
	if f.stepped && err == nil {
		f.stepped, err = false, syscall.ECANCELED
	}
	return err
}

func (f *steppedTimerfd) Read(p []byte) (int, error) {
	n, err := f.timerfd.Read(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stepped && err == nil {
		f.stepped = false
		return 0, syscall.ECANCELED
	}
	return n, err
}

func (f *steppedTimerfd) Close() error {
	steps.mu.Lock()
	delete(steps.fds, f)
	steps.mu.Unlock()
	return f.timerfd.Close()
}
