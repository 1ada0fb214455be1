package clock

import (
	"reflect"
	"runtime"
	"sync"
)

// waker calls an alarm's owner, one call at a time, and lets Close wait for
// whatever is under way.
type waker struct {
	wake func()
	// busy counts goroutines that may call wake: loops, expired timers.
	busy sync.WaitGroup

	mu      sync.Mutex
	asked   bool            // a call is owed
	running bool            // somebody is making calls
	closed  bool            // no further call begins
	done    []chan struct{} // closed when the call that is owed has returned
}

func newWaker(wake func()) *waker {
	if wake == nil {
		panic("clock: NewAlarm with a nil wake function")
	}
	return &waker{wake: wake}
}

// fire calls wake, or leaves that to the goroutine that is calling it just
// now, which will then call it once more. done, if not nil, is closed when a
// call that began after fire has returned, or when there will be none.
func (w *waker) fire(done chan struct{}) {
	w.mu.Lock()
	w.asked = true
	if done != nil {
		w.done = append(w.done, done)
	}
	if w.running {
		w.mu.Unlock()
		return
	}
	for w.asked && !w.closed {
		w.onceLocked()
	}
	w.dropLocked()
	w.mu.Unlock()
}

// onceLocked makes one call, with mu given up meanwhile. A wake that ends its
// goroutine (a test's FailNow) leaves the waker usable.
func (w *waker) onceLocked() {
	waiting := w.done
	w.asked, w.running, w.done = false, true, nil
	w.mu.Unlock()
	returned := false
	defer func() {
		for _, c := range waiting {
			close(c)
		}
		w.mu.Lock()
		w.running = false
		if !returned {
			if w.asked && !w.closed {
				w.fireAway(nil)
			}
			w.mu.Unlock()
		}
	}()
	callWake(w.wake)
	returned = true
}

// dropLocked answers those who wait for a call that will not come.
func (w *waker) dropLocked() {
	for _, c := range w.done {
		close(c)
	}
	w.asked, w.done = false, nil
}

// fireAway is fire on a goroutine of its own.
func (w *waker) fireAway(done chan struct{}) {
	w.busy.Go(func() { w.fire(done) })
}

// close lets no further call begin and waits for those under way, unless it is
// called from one of them. The owner has made sure that nothing is added to
// busy any more.
func (w *waker) close() {
	w.mu.Lock()
	w.closed = true
	if !w.running {
		w.dropLocked()
	}
	w.mu.Unlock()
	if !insideWake() {
		w.busy.Wait()
	}
}

// callWake is the frame that insideWake looks for.
//
//go:noinline
func callWake(wake func()) { wake() }

var callWakeName = runtime.FuncForPC(reflect.ValueOf(callWake).Pointer()).Name()

// insideWake reports whether a wake is on the calling goroutine's stack. Asking
// costs only those who close; the calls of wake themselves keep no record of
// who makes them.
func insideWake() bool {
	pcs := make([]uintptr, 64)
	for skip := 2; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs)
		if n == 0 {
			return false
		}
		frames := runtime.CallersFrames(pcs[:n])
		for {
			f, more := frames.Next()
			if f.Function == callWakeName {
				return true
			}
			if !more {
				break
			}
		}
		if n < len(pcs) {
			return false
		}
	}
}
