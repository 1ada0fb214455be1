package proc

import (
	"errors"
	"os"
	"os/exec"
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
