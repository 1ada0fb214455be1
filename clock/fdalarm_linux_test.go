package clock

import (
	"sync"
	"syscall"
)

// fakeKernel opens fake timerfds, the first real ones excepted.
type fakeKernel struct {
	real   int // that many real timerfds first
	refuse int // then that many refusals

	mu  sync.Mutex
	fds []*fakeTimerfd
}

func (k *fakeKernel) open(wall bool) (timerfd, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.real > 0 {
		k.real--
		return linuxKernel{}.open(wall)
	}
	if k.refuse > 0 {
		k.refuse--
		return nil, syscall.EMFILE
	}
	fd := &fakeTimerfd{wall: wall, answers: make(chan answer, 100), closed: make(chan struct{})}
	k.fds = append(k.fds, fd)
	return fd, nil
}

// answer is what one read of a fake timerfd returns.
type answer struct {
	n   int
	err error
}

// fakeTimerfd answers what a test puts into answers.
type fakeTimerfd struct {
	wall    bool
	answers chan answer
	closed  chan struct{}

	mu        sync.Mutex
	sets      []int64
	setFails  []error // answers of the next calls of settime
	wasClosed bool
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
	case a := <-f.answers:
		return a.n, a.err
	case <-f.closed:
		return 0, syscall.EBADF
	}
}

func (f *fakeTimerfd) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.wasClosed {
		f.wasClosed = true
		close(f.closed)
	}
	return nil
}
