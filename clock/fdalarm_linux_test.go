package clock

import (
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The answers that a step of the wall clock and the kernel's other moods lead
// to, all simulated.
func TestTimerfdAnswers(t *testing.T) {
	expired := answer{n: 8}
	cases := []struct {
		name     string
		wall     bool // the deadline is on the wall clock, else on boot time
		reached  bool // time has come to it before the first answer
		answers  []answer
		wakes    int
		fallBack bool
	}{
		{name: "expired", reached: true, answers: []answer{expired}, wakes: 1},
		{name: "expired on the wall clock", wall: true, reached: true, answers: []answer{expired}, wakes: 1},
		{name: "expired for an earlier deadline", answers: []answer{expired}},
		{name: "clock step", wall: true, answers: []answer{{-1, syscall.ECANCELED}}, wakes: 1},
		{name: "two clock steps", wall: true, answers: []answer{{-1, syscall.ECANCELED}, {-1, syscall.ECANCELED}}, wakes: 2},
		{name: "clock step over the deadline", wall: true, reached: true, answers: []answer{{-1, syscall.ECANCELED}}, wakes: 1},
		{name: "signal", answers: []answer{{-1, syscall.EINTR}, {-1, syscall.EINTR}}},
		{name: "signal at the deadline", reached: true, answers: []answer{{-1, syscall.EINTR}}, wakes: 1},
		{name: "nothing there", answers: []answer{{-1, syscall.EAGAIN}}},
		{name: "short read", answers: []answer{{4, nil}}},
		{name: "seven signals, an answer and seven more", answers: append(append(
			repeat(answer{-1, syscall.EINTR}, strikeLimit-1), expired), repeat(answer{-1, syscall.EINTR}, strikeLimit-1)...)},
		{name: "never anything there", answers: repeat(answer{-1, syscall.EAGAIN}, strikeLimit), fallBack: true},
		{name: "nothing but signals", answers: repeat(answer{-1, syscall.EINTR}, strikeLimit), fallBack: true},
		{name: "nothing but short reads", answers: repeat(answer{0, nil}, strikeLimit), fallBack: true},
		{name: "descriptor closed by somebody else", answers: []answer{{-1, syscall.EBADF}}, fallBack: true},
		{name: "descriptor closed at the deadline", reached: true, answers: []answer{{-1, syscall.EBADF}}, wakes: 1, fallBack: true},
		{name: "not a timer", wall: true, answers: []answer{{-1, syscall.EINVAL}}, fallBack: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			now := r.clock.Read()
			boot, wall, fd := now.Boot+hour, Never, 0
			if c.wall {
				boot, wall, fd = Never, now.Wall+hour, 1
			}
			r.Set(boot, wall)
			f := r.kernel.fds[fd]
			r.wantRead(f)
			if c.reached {
				r.machine.pass(time.Hour)
			}
			for _, a := range c.answers {
				f.answers <- a
			}
			for range c.wakes {
				r.wantWake("after " + c.name)
			}
			switch {
			case c.fallBack:
				<-f.closed
			case c.reached:
				r.wantGone()
			default:
				for range c.answers {
					r.wantRead(f)
				}
				// Armed anew after each, whatever the kernel made of it.
				want := repeat(f.sets[0], 1+len(c.answers))
				if diff := cmp.Diff(want, f.sets); diff != "" {
					t.Errorf("settime (-want +got):\n%s", diff)
				}
			}
			r.wantNone("more than once")
			if got := r.fallenBack(); got != c.fallBack {
				t.Errorf("fell back: %v, want %v", got, c.fallBack)
			}
			if c.fallBack || !c.reached { // still set: nothing is lost
				r.Set(0, 0)
				r.wantWake("for a later Set")
			}
		})
	}
}

func repeat[T any](a T, n int) []T {
	as := make([]T, n)
	for i := range as {
		as[i] = a
	}
	return as
}

func TestTimerfdSettimeAnswers(t *testing.T) {
	cases := []struct {
		name     string
		fails    []error
		wakes    int
		settimes int
		fallBack bool
	}{
		{"signal", []error{syscall.EINTR}, 0, 2, false},
		{"clock step noticed while setting", []error{syscall.ECANCELED}, 1, 2, false},
		{"two clock steps noticed while setting", []error{syscall.ECANCELED, syscall.ECANCELED}, 1, 3, false},
		{"bad descriptor", []error{syscall.EBADF}, 0, 1, true},
		{"time out of range", []error{syscall.EOVERFLOW}, 0, 1, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			now := r.clock.Read()
			r.Set(Never, now.Wall+hour)
			f := r.kernel.fds[1]
			r.wantRead(f)
			before := f.settimes()
			f.mu.Lock()
			f.setFails = c.fails
			f.mu.Unlock()
			r.Set(Never, now.Wall+2*hour)
			for range c.wakes {
				r.wantWake("after " + c.name)
			}
			if got := f.settimes() - before; got != c.settimes {
				t.Errorf("settime was called %d times, want %d", got, c.settimes)
			}
			if got := r.fallenBack(); got != c.fallBack {
				t.Errorf("fell back: %v, want %v", got, c.fallBack)
			}
			r.Set(Never, 0)
			r.wantWake("for a later Set")
			r.wantNone("more often")
		})
	}
}

func TestTimerfdRefused(t *testing.T) {
	r := newRig(t)
	r.kernel.refuse = 1
	r.Set(0, Never)
	r.wantWake("without a timerfd")
	r.Set(hour, Never)
	if r.kernel.opens != 1 {
		t.Errorf("asked for a timerfd %d times, want once", r.kernel.opens)
	}
}

func TestTimerfdRefusedForTheWallClock(t *testing.T) {
	r := newRig(t)
	at := r.clock.Read().Boot + hour
	r.Set(at, Never)
	r.wantRead(r.kernel.fds[0])
	r.kernel.refuse = 1
	r.Set(at, 0)
	r.wantWake("for a wall deadline without a timerfd")
	if r.fallback.boot != at {
		t.Errorf("boot deadline is %d on the fallback, want %d", r.fallback.boot, at)
	}
}

// What does not change costs no system call, and what is not used is not
// opened.
func TestTimerfdIsLazy(t *testing.T) {
	r := newRig(t)
	r.Set(Never, Never)
	if r.kernel.opens != 0 {
		t.Fatalf("opened %d timerfds for nothing", r.kernel.opens)
	}
	r.Set(hour, Never)
	r.Set(hour, Never)
	boot := r.kernel.fds[0]
	if boot.settimes() != 1 || r.kernel.opens != 1 {
		t.Fatalf("set %d times, opened %d", boot.settimes(), r.kernel.opens)
	}
	wallAt := r.clock.Read().Wall + hour
	r.Set(hour, wallAt)
	r.Set(2*hour, wallAt)
	if wall := r.kernel.fds[1]; boot.settimes() != 2 || wall.settimes() != 1 {
		t.Errorf("boot set %d times, wall %d, want 2 and 1", boot.settimes(), wall.settimes())
	}
	r.Set(Never, Never)
	r.wantGone()
	r.Set(Never, Never)
	r.Set(3*hour, Never)
	r.wantRead(boot)
	if r.kernel.opens != 2 {
		t.Errorf("opened %d timerfds, want 2 for its life", r.kernel.opens)
	}
}

// A boot alarm that rings before its time by our reckoning means that a suspend
// was overlooked: the alarm asks the kernel and believes it.
func TestTimerfdRingsAfterHiddenSuspend(t *testing.T) {
	r := newRig(t)
	r.Set(r.clock.Read().Boot+hour, Never)
	f := r.kernel.fds[0]
	r.wantRead(f)
	r.machine.suspend(time.Hour)
	r.machine.step(-time.Hour)
	f.answers <- answer{n: 8}
	r.wantWake("after a suspend that a step hid")
	if got := r.clock.Read().Boot; got < hour {
		t.Errorf("Boot is %v, want an hour", time.Duration(got))
	}
}

// Close ends a goroutine that waits, and the files are closed once.
func TestTimerfdClose(t *testing.T) {
	r := newRig(t)
	now := r.clock.Read()
	r.Set(now.Boot+hour, now.Wall+hour)
	for _, f := range r.kernel.fds {
		r.wantRead(f)
	}
	r.Close()
	r.Close()
	for i, f := range r.kernel.fds {
		if f.closes != 1 {
			t.Errorf("timerfd %d was closed %d times, want once", i, f.closes)
		}
	}
}
