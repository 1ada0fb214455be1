package proc

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// Where the kernel cannot signal a group through a pidfd, its number must do.
func TestGroup_ByNumber(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: this machine has no bash: %v", err)
	}
	for _, script := range []string{"sleep 60 & sleep 60", "bash -c 'trap : TERM; while :; do sleep 0.02; done' & wait"} {
		p, err := Start(t.Context(), Spec{Args: []string{"bash", "-c", script}, Grace: time.Second / 4})
		if err != nil {
			t.Fatal(err)
		}
		if p.group.handle.fd < 0 {
			t.Log("this kernel has no pidfd at all")
		}
		p.group.handle.release() // nobody uses it before the end begins
		if _, err := p.WaitFor(50 * time.Millisecond); !errors.Is(err, ErrTimeout) {
			t.Error(err)
		}
		if names, _ := os.ReadDir("/proc"); len(names) == 0 {
			t.Skip("SKIPPED, NOT TESTED: no /proc")
		}
		p.Stop()
		if _, err := p.Wait(t.Context()); !errors.Is(err, ErrStopped) {
			t.Error(err)
		}
		if p.group.alive() {
			t.Errorf("%q: the group is alive", script)
		}
	}
}

// What a run opens is closed after it, also when it could not start.
func TestNoFileLeaks(t *testing.T) {
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skipf("SKIPPED, NOT TESTED: %v", err)
		}
		return len(names)
	}
	file := t.TempDir() + "/no-program"
	if err := os.WriteFile(file, []byte("\x7fELF but not really"), 0o700); err != nil {
		t.Fatal(err)
	}
	run := func() {
		if _, err := Run(t.Context(), Spec{Args: Shell("exit 0"), Timeout: time.Hour}); err != nil {
			t.Error(err)
		}
		if r, err := Run(t.Context(), Spec{Args: []string{file}}); err == nil || r != nil {
			t.Errorf("ran what is no program: %+v", r)
		}
	}
	run()
	before := count()
	for range 20 {
		run()
	}
	if after := count(); after > before {
		t.Errorf("%d files are open, there were %d", after, before)
	}
}

// However many processes run, none costs this one a thread.
func TestNoThreadEach(t *testing.T) {
	threads := func() int {
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Skipf("SKIPPED, NOT TESTED: %v", err)
		}
		_, rest, _ := bytes.Cut(b, []byte("\nThreads:"))
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		n, err := strconv.Atoi(string(bytes.TrimSpace(line)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const many = 200
	var all []*Process
	defer func() {
		for _, p := range all {
			p.Kill()
			<-p.Done()
		}
	}()
	before := threads()
	for range many {
		p, err := Start(t.Context(), Spec{Args: Shell("exec sleep 600")})
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, p); p.group.handle.file == nil {
			t.Skip("SKIPPED, NOT TESTED: this kernel has no pidfd that can be polled")
		}
	}
	if after := threads(); after > before+many/4 {
		t.Errorf("with %d processes there are %d threads, there were %d", many, after, before)
	}
}
