package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/target"
	"github.com/dulyhq/duly/wait"
)

func newDemo(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "See it work, in ten seconds",
		Long: `See it work: a daemon is started on a directory of its own, gets commands to run later, is killed while some are pending, and started
again. It takes less than ten seconds, and leaves nothing behind.`,
		Example:               "  duly demo",
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
			defer stop()
			// Whoever stops reading what is shown must not leave the daemon behind: the write fails then, and ends no process.
			signal.Ignore(syscall.SIGPIPE)
			defer signal.Reset(syscall.SIGPIPE)
			return s.demo(ctx)
		},
	}
}

// A demo is one showing.
type demo struct {
	s      *session
	p      *printer
	dir    string
	daemon *daemonProcess
	c      *client.Client
	events chan api.Event
	failed chan error // Events has ended

	start time.Time                // when the first task was put
	due   map[string]time.Duration // by name, after start
	ran   map[string]int           // how often
	again time.Duration            // when the second daemon was ready, after start
}

// The demo's time line, in seconds after the first put: C, B and A are due at 1, 2 and 3. Then the daemon is killed; E falls due while it
// is down, D afterwards.
const (
	dueC, dueB, dueA = 1 * time.Second, 2 * time.Second, 3 * time.Second
	dueX             = 2500 * time.Millisecond
	killAt           = 3200 * time.Millisecond
	dueE             = 4 * time.Second
	startAt          = 4200 * time.Millisecond
	dueD             = 7 * time.Second
)

// demo shows it, and takes everything away again.
func (s *session) demo(ctx context.Context) (err error) {
	dir, err := demoDir()
	if err != nil {
		return err
	}
	defer func() {
		if rerr := os.RemoveAll(dir); err == nil {
			err = rerr
		}
	}()
	d := &demo{
		s: s, p: s.printer(), dir: dir, events: make(chan api.Event), failed: make(chan error, 1),
		due: map[string]time.Duration{}, ran: map[string]int{},
	}
	socket, err := home.Socket(filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	if d.c, err = client.New(client.Options{Socket: socket, UserAgent: "duly-demo"}); err != nil {
		return err
	}
	defer d.c.Close()
	defer func() {
		if d.daemon != nil {
			d.daemon.kill()
		}
	}()
	if err = d.show(ctx); ctx.Err() != nil {
		return &failure{status: exitInterrupted}
	}
	return err
}

// demoDir makes a directory whose path is short enough for a socket in it.
func demoDir() (string, error) {
	dir, err := os.MkdirTemp("", "duly-demo-")
	if err != nil || runtime.GOOS == "windows" {
		return dir, err
	}
	if _, err := home.Socket(filepath.Join(dir, "data")); err == nil {
		return dir, nil
	}
	if err := os.Remove(dir); err != nil {
		return "", err
	}
	return os.MkdirTemp("/tmp", "duly-demo-")
}

func (d *demo) show(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.serve, d.put, d.firstRuns, d.crash, d.lastRuns} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return d.count(ctx)
}

// say prints a line of the showing: what is typed, and what comes of it.
func (d *demo) say(typed, format string, args ...any) error {
	const column = 36
	line := d.p.paint(bold, "$ "+typed)
	if what := fmt.Sprintf(format, args...); what != "" {
		line += strings.Repeat(" ", max(1, column-columns(typed))) + what
	}
	return d.p.write(line + "\n")
}

// serve starts the daemon and says how long it took until it was at work.
func (d *demo) serve(ctx context.Context) error {
	begun := d.s.Now()
	var err error
	if d.daemon, err = startDaemon(d.s, d.dir); err != nil {
		return err
	}
	for {
		err := d.c.Ready(ctx)
		if err == nil {
			break
		}
		if d.s.Now().Sub(begun) > 30*time.Second {
			return d.daemon.failure("it did not answer within 30s: " + err.Error())
		}
		if d.daemon.ended() {
			return d.daemon.failure("it has ended at once")
		}
		if err := wait.Sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
	again := ""
	if !d.start.IsZero() {
		again = ", with all that was pending"
	}
	return d.say("duly serve &", "ready after %s%s", lateness(d.s.Now().Sub(begun)), again)
}

// put puts five tasks, and cancels a sixth.
func (d *demo) put(ctx context.Context) error {
	go d.watch(ctx)
	for _, task := range []struct {
		name string
		in   time.Duration
	}{{"A", dueA}, {"B", dueB}, {"C", dueC}, {"D", dueD}, {"E", dueE}, {"X", dueX}} {
		in := target.Duration(task.in)
		command := &target.Command{Args: []string{"echo", task.name}, Env: map[string]string{"PATH": d.s.getenv("PATH")}}
		if runtime.GOOS == "windows" { // where echo is the shell's
			command = &target.Command{Shell: "echo " + task.name}
		}
		e, err := d.c.Put(ctx, task.name, api.Spec{In: &in, Command: command})
		if err != nil {
			return err
		}
		if d.start.IsZero() {
			d.start = e.DueAt.Add(-task.in)
		}
		d.due[task.name] = task.in
		if err := d.say(fmt.Sprintf("duly in %v --name %s -- echo %s", task.in, task.name, task.name), ""); err != nil {
			return err
		}
	}
	answer, err := d.c.Cancel(ctx, "X")
	if err != nil {
		return err
	}
	return d.say("duly cancel X", "%s", clean(answer.Outcome))
}

// watch passes on what becomes of the tasks, also from one daemon to the next.
func (d *demo) watch(ctx context.Context) {
	for e, err := range d.c.Events(ctx, 0, "") {
		if err != nil {
			d.failed <- err
			return
		}
		select {
		case d.events <- e:
		case <-ctx.Done():
			return
		}
	}
}

// firstRuns shows C, B and A.
func (d *demo) firstRuns(ctx context.Context) error {
	if err := d.p.write("\n"); err != nil {
		return err
	}
	return d.runs(ctx, 3)
}

// runs shows so many runs as they end.
func (d *demo) runs(ctx context.Context, n int) error {
	for range n {
		e, err := d.run(ctx)
		if err != nil {
			return err
		}
		if err := d.ranLine(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// run waits for the next end of a run.
func (d *demo) run(ctx context.Context) (*api.Event, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case err := <-d.failed:
			return nil, err
		case e := <-d.events:
			switch {
			case e.To == "dead":
				return nil, fmt.Errorf("the task %s has failed: %s", e.Name, e.Reason)
			case e.To == "done" && e.Lateness != nil:
				d.ran[e.Name]++
				return &e, nil
			}
		}
	}
}

// ranLine says what a run has printed, when it was due and how late it began.
func (d *demo) ranLine(ctx context.Context, e *api.Event) error {
	var text strings.Builder
	for chunk, err := range d.c.Output(ctx, e.Name, "", 0, false) {
		if err != nil {
			return err
		}
		text.WriteString(chunk.Text)
	}
	late, why := time.Duration(*e.Lateness), ""
	if d.due[e.Name] > killAt && d.due[e.Name] < d.again {
		why = ": it was due while nobody was there"
	}
	return d.p.write(fmt.Sprintf("  due after %.1fs  %s  %s late%s\n", d.due[e.Name].Seconds(),
		d.p.paint(green, clean(strings.TrimSpace(text.String()))), lateness(late), why))
}

// crash kills the daemon and starts it again.
func (d *demo) crash(ctx context.Context) error {
	if err := d.until(ctx, killAt); err != nil {
		return err
	}
	pid := d.daemon.cmd.Process.Pid
	d.daemon.kill()
	if err := d.p.write("\n"); err != nil {
		return err
	}
	if err := d.say(fmt.Sprintf("kill -9 %d", pid), "D and E are pending"); err != nil {
		return err
	}
	if err := d.until(ctx, startAt); err != nil {
		return err
	}
	if err := d.serve(ctx); err != nil {
		return err
	}
	d.again = d.s.Now().Sub(d.start)
	return nil
}

func (d *demo) until(ctx context.Context, after time.Duration) error {
	return wait.Sleep(ctx, d.start.Add(after).Sub(d.s.Now()))
}

// lastRuns shows E and D. Where the new daemon took so long that both were due when it was ready, they started together, and either may
// have ended first.
func (d *demo) lastRuns(ctx context.Context) error {
	if err := d.p.write("\n"); err != nil {
		return err
	}
	var ended []*api.Event
	for len(ended) < 2 {
		e, err := d.run(ctx)
		if err != nil {
			return err
		}
		if ended = append(ended, e); len(ended) == 1 && e.Name == "E" {
			if err := d.ranLine(ctx, e); err != nil {
				return err
			}
		}
	}
	if ended[0].Name == "E" {
		return d.ranLine(ctx, ended[1])
	}
	return errors.Join(d.ranLine(ctx, ended[1]), d.ranLine(ctx, ended[0]))
}

// count holds the history to what was promised.
func (d *demo) count(ctx context.Context) error {
	history, err := d.c.History(ctx, client.HistoryQuery{Limit: 1000})
	if err != nil {
		return err
	}
	ends := map[string]string{}
	for _, e := range history {
		if e.To != "pending" && e.To != "running" {
			ends[e.Name] += e.To + " "
		}
	}
	for name := range d.due {
		want := "done "
		if name == "X" {
			want = "cancelled "
		}
		if ends[name] != want || name != "X" && d.ran[name] != 1 {
			return fmt.Errorf("the history of %s is %q, want %q", name, ends[name], want)
		}
	}
	return d.p.write("\nFive tasks ran, once each. X did not: it was cancelled.\n")
}

// A daemonProcess is the daemon of the demo.
type daemonProcess struct {
	cmd  *exec.Cmd
	log  string // a file
	done chan struct{}
}

// startDaemon starts this very program as a daemon.
func startDaemon(s *session, dir string) (*daemonProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // in our own directory
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()                                                                                                                    // the daemon has its own
	d := &daemonProcess{cmd: exec.Command(self, "serve", "--data", filepath.Join(dir, "data"), "--listen", "none"), log: path, done: make(chan struct{})} //nolint:noctx // it is ended by kill
	d.cmd.Args[0] = os.Args[0]                                                                                                                            // a program may go by its name
	for _, e := range s.Environ {
		if !strings.HasPrefix(e, "DULY_") {
			d.cmd.Env = append(d.cmd.Env, e)
		}
	}
	d.cmd.Dir, d.cmd.Stdout, d.cmd.Stderr = dir, log, log
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(d.done)
		_ = d.cmd.Wait() // that it was killed is known
	}()
	return d, nil
}

// kill is kill -9. After it the process is gone.
func (d *daemonProcess) kill() {
	_ = d.cmd.Process.Kill() // it may have ended by itself
	<-d.done
}

func (d *daemonProcess) ended() bool {
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// failure says why the daemon is of no use, with the end of its log.
func (d *daemonProcess) failure(why string) error {
	text, err := os.ReadFile(d.log)
	if err != nil {
		return err
	}
	const most = 2000
	text = text[max(0, len(text)-most):]
	return fmt.Errorf("the daemon is of no use: %s; its log ends with: %s", why, strings.TrimSpace(string(text)))
}
