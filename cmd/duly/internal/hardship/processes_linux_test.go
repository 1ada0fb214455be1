package hardship

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

// nobody is a user that has no other process, if the test may choose one.
func nobody(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	id := uint32(700_000 + os.Getpid()%100_000)
	if err := os.Chown(dir, int(id), int(id)); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: id, Gid: id, Groups: []uint32{}}
}

// processes says how many processes the daemon's user may have while it starts one. Only that user may say so.
func (d *served) processes(user *syscall.Credential, most string) {
	d.t.Helper()
	path, err := exec.LookPath("prlimit")
	if err != nil {
		d.t.Skipf("SKIPPED, NOT TESTED: this machine has no prlimit: %v", err)
	}
	cmd := exec.CommandContext(d.t.Context(), path, "--pid", strconv.Itoa(d.cmd.Process.Pid), "--nproc="+most+":")
	if user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// When the machine gives the daemon no process more, commands are put off and no attempt is spent; the daemon itself, which is threads by
// that count, goes on. As soon as there are processes again commands run.
func TestProcesses(t *testing.T) {
	t.Parallel()
	dir := tempDir(t)
	user := nobody(t, dir)
	d := serve(t, start{dir: dir, user: user, args: []string{"--allow-private"}})
	answers := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(answers.Close)
	d.run("before")
	d.processes(user, "1")
	ctx := t.Context()
	const many = 50
	for i := range many {
		d.put(fmt.Sprintf("later-%d", i), api.Spec{Command: sh("true"), In: in(0)})
	}
	for i := range many {
		d.until("all are put off", func() error {
			task, err := d.Get(ctx, fmt.Sprintf("later-%d", i))
			if err != nil {
				return err
			}
			if len(task.Runs) != 1 || task.Runs[0].Snoozed != 1 || task.Runs[0].State != "pending" {
				return fmt.Errorf("%w: %+v", errNotYet, task.Runs)
			}
			return nil
		})
	}
	since := d.problem("processes", true).Since
	for i := range 100 { // what needs no process
		d.put(fmt.Sprintf("far-%d", i), api.Spec{Command: sh("true"), Cron: "0 0 1 1 *"})
	}
	d.put("callback", api.Spec{HTTP: &target.Callback{URL: answers.URL}, In: in(0)})
	d.until("the callback is answered", func() error {
		s, err := d.Stats(ctx)
		if k := s.Kinds["http"]; err != nil || k.Succeeded != 1 {
			return fmt.Errorf("%w: %+v, %w", errNotYet, k, err)
		}
		return nil
	})
	if still := d.problem("processes", true).Since; !still.Equal(since) {
		t.Errorf("a callback, which needs no process, has ended the problem that stands since %v: it stands since %v", since, still)
	}
	d.lives()
	d.processes(user, "50000")
	d.run("after")
	d.problem("processes", false)
	for i := range many {
		if err := d.RunNow(ctx, fmt.Sprintf("later-%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	d.until("what was put off is done", func() error {
		s, err := d.Stats(ctx)
		if k := s.Kinds["command"]; err != nil || k.Succeeded < many+2 || k.Failed+k.Dead+k.Lost > 0 {
			return fmt.Errorf("%w: %+v, %w", errNotYet, k, err)
		}
		return nil
	})
}
