package clock

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests in this file use real timerfds on the real clock.

// openTimerfds counts this process's timerfds.
func openTimerfds(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(to, "timerfd") {
			n++
		}
	}
	return n
}

// serving counts the goroutines that wait on timerfds.
func serving() int {
	buf := make([]byte, 1<<20)
	return strings.Count(string(buf[:runtime.Stack(buf, true)]), "(*fdAlarm).serve(")
}

// eventually waits for something that comes soon, however busy the machine.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not: %s", what)
		}
	}
}

// contract: C1, C6.
func TestRealTimerfd(t *testing.T) {
	before := openTimerfds(t)
	clk := System()
	woken := make(chan Reading, 100)
	a := clk.NewAlarm(func() { woken <- clk.Read() })
	if n := openTimerfds(t); n != before {
		t.Errorf("an alarm that is not set has %d timerfds", n-before)
	}
	r := clk.Read()
	a.Set(r.Boot+hour, Never)
	if n := openTimerfds(t); n != before+1 {
		t.Errorf("a boot deadline has %d timerfds", n-before)
	}
	a.Set(r.Boot+hour, r.Wall+hour)
	if n := openTimerfds(t); n != before+2 {
		t.Errorf("two deadlines have %d timerfds", n-before)
	}
	eventually(t, "two goroutines wait", func() bool { return serving() == 2 })
	a.Set(Never, Never)
	eventually(t, "none waits once nothing is set", func() bool { return serving() == 0 })

	late := make([]time.Duration, 100)
	for i := range late {
		r := clk.Read()
		at := r.Boot + int64(500*time.Microsecond)
		if i%2 == 0 {
			a.Set(at, Never)
		} else {
			a.Set(Never, r.Wall+int64(500*time.Microsecond))
		}
		// Exactly one wake a deadline: nothing here is spurious while nobody
		// steps the machine's clock, and none is early.
		got := <-woken
		late[i] = time.Duration(got.Boot - at)
		if i%2 == 0 && late[i] < 0 {
			t.Errorf("woken %v before a boot deadline", -late[i])
		}
		if want := r.Wall + int64(500*time.Microsecond); i%2 != 0 && got.Wall < want {
			t.Errorf("woken %v before a wall deadline (or the machine's clock was stepped)", time.Duration(want-got.Wall))
		}
	}
	slices.Sort(late)
	t.Logf("late: p50 %v, worst %v", late[len(late)/2], late[len(late)-1])
	a.Close()
	if n := openTimerfds(t); n != before {
		t.Errorf("%d timerfds are left after Close", n-before)
	}
	eventually(t, "no goroutine after Close", func() bool { return serving() == 0 })
}

// The kernel has been asked to tell of steps. Whether it then does is not
// tested: nobody steps the machine's clock here.
func TestRealTimerfdAsksForSteps(t *testing.T) {
	clk := System()
	a := clk.NewAlarm(func() {})
	defer a.Close()
	r := clk.Read()
	a.Set(r.Boot+hour, r.Wall+hour)
	fd := a.(*fdAlarm)
	for _, c := range []struct {
		line *fdLine
		want []string
	}{
		{&fd.boot, []string{"clockid: 7", "settime flags: 01"}},
		{&fd.wall, []string{"clockid: 0", "settime flags: 03"}},
	} {
		info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", c.line.fd.(*linuxTimerfd).fd))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(string(info), want+"\n") {
				t.Errorf("timerfd lacks %q:\n%s", want, info)
			}
		}
	}
}

// An alarm that is not set and not reachable leaks nothing.
func TestRealTimerfdUnreachable(t *testing.T) {
	before := openTimerfds(t)
	func() {
		clk := System()
		woken := make(chan struct{}, 10)
		a := clk.NewAlarm(func() { woken <- struct{}{} })
		a.Set(0, 0)
		<-woken
		a.Set(Never, Never)
	}()
	eventually(t, "the collector closes the files", func() bool {
		runtime.GC()
		return openTimerfds(t) <= before
	})
}

// With no descriptor left, alarms still wake.
func TestRealTimerfdExhausted(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	clk := System()
	woken := make(chan struct{}, 10)
	a := clk.NewAlarm(func() { woken <- struct{}{} })
	defer a.Close()
	low := old
	low.Cur = 3
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	a.Set(clk.Read().Boot+int64(time.Millisecond), Never)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	<-woken
	if a.(*fdAlarm).fallback == nil {
		t.Error("there was a descriptor after all")
	}
}

// The kernel takes every deadline that can be set, the farthest ones included.
func TestRealTimerfdExtremes(t *testing.T) {
	clk := System()
	woken := make(chan struct{}, 10)
	a := clk.NewAlarm(func() { woken <- struct{}{} })
	defer a.Close()
	a.Set(hour*24*365*100, hour*24*365*200)
	a.Set(Never-1, Never-1)
	if a.(*fdAlarm).fallback != nil {
		t.Error("fell back for a far deadline")
	}
	for _, at := range []int64{0, -1, -Never} {
		a.Set(at, Never)
		<-woken
		a.Set(Never, at)
		<-woken
	}
	if a.(*fdAlarm).fallback != nil {
		t.Error("fell back for a past deadline")
	}
}
