package clock

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fakeKernel opens fake timerfds, the first real ones excepted.
type fakeKernel struct {
	real   int // that many real timerfds first
	refuse int // then that many refusals

	mu    sync.Mutex
	opens int
	fds   [2]*fakeTimerfd // boot, wall
}

func (k *fakeKernel) open(wall bool) (timerfd, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.opens++
	if k.real > 0 {
		k.real--
		return linuxKernel{}.open(wall)
	}
	if k.refuse > 0 {
		k.refuse--
		return nil, syscall.EMFILE
	}
	fd := &fakeTimerfd{answers: make(chan answer, 100), closed: make(chan struct{}), reads: make(chan struct{}, 1000)}
	if wall {
		k.fds[1] = fd
	} else {
		k.fds[0] = fd
	}
	return fd, nil
}

// answer is what a read of a fake timerfd returns.
type answer struct {
	n   int
	err error
}

// fakeTimerfd expires when a test says so: it answers what is put into answers.
// Like the kernel's it expires at once when set to the beginning of time, which
// is how the alarm sends its goroutine home.
type fakeTimerfd struct {
	answers chan answer
	reads   chan struct{} // a read has begun
	closed  chan struct{}

	mu       sync.Mutex
	sets     []int64
	setFails []error // what the next calls of settime answer; nil is success
	closes   int
}

func (f *fakeTimerfd) settime(at int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sets = append(f.sets, at)
	if at == 1 {
		f.answers <- answer{n: 8}
	}
	if len(f.setFails) > 0 {
		err := f.setFails[0]
		f.setFails = f.setFails[1:]
		return err
	}
	return nil
}

func (f *fakeTimerfd) Read([]byte) (int, error) {
	select {
	case f.reads <- struct{}{}:
	default:
	}
	select {
	case <-f.closed:
		return 0, os.ErrClosed
	case a := <-f.answers:
		return a.n, a.err
	}
}

func (f *fakeTimerfd) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closes++; f.closes == 1 {
		close(f.closed)
	}
	return nil
}

func (f *fakeTimerfd) settimes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sets)
}

// rig is an fdAlarm on a fake kernel and a simulated machine.
type rig struct {
	t *testing.T
	*fdAlarm
	machine *fakeMachine
	kernel  *fakeKernel
	clock   *systemClock
	woken   chan struct{}
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, machine: newFakeMachine(), kernel: &fakeKernel{}, woken: make(chan struct{}, 1000)}
	r.clock = r.machine.clock()
	r.fdAlarm = newFDAlarm(r.clock, newWaker(func() { r.woken <- struct{}{} }), r.kernel)
	t.Cleanup(r.Close)
	return r
}

func (r *rig) wantWake(why string) {
	r.t.Helper()
	select {
	case <-r.woken:
	case <-time.After(patience):
		r.t.Fatalf("no wake: %s", why)
	}
}

// wantNone is to be asked when the goroutine is known to read again.
func (r *rig) wantNone(why string) {
	r.t.Helper()
	select {
	case <-r.woken:
		r.t.Errorf("woken: %s", why)
	default:
	}
}

// wantRead waits until the goroutine of f reads (again).
func (r *rig) wantRead(f *fakeTimerfd) {
	r.t.Helper()
	select {
	case <-f.reads:
	case <-time.After(patience):
		r.t.Fatal("nobody reads the timerfd")
	}
}

// wantGone waits until no goroutine serves the alarm.
func (r *rig) wantGone() {
	r.t.Helper()
	r.w.busy.Wait()
}

func (r *rig) fallenBack() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fallback != nil
}
