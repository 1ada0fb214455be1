//go:build unix

package target_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/target"
)

// need skips the test, and says so, where a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("SKIPPED, NOT TESTED: this machine has no %s: %v", p, err)
		}
	}
}

// mark is a variable by which a command and all that it starts are told from everybody else.
const mark = "DULY_TARGET_TEST"

func marked(t *testing.T, c target.Command) target.Command {
	t.Helper()
	c.Env = map[string]string{mark: fmt.Sprintf("%d-%s", os.Getpid(), strings.ReplaceAll(t.Name(), "/", "-")), "PATH": os.Getenv("PATH")}
	return c
}

// survivors returns the processes that carry the test's mark and are no zombies.
func survivors(t *testing.T) (pids []int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED, NOT TESTED: survivors are looked for in /proc, which only Linux has in this form")
	}
	names, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil || len(names) == 0 {
		t.Fatal("no /proc", err)
	}
	want := mark + "=" + marked(t, target.Command{}).Env[mark]
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err == nil && slices.Contains(strings.Split(string(b), "\x00"), want) { // a zombie's is empty
			var pid int
			if _, err := fmt.Sscan(filepath.Base(filepath.Dir(name)), &pid); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// handled runs one attempt at a command, and returns what its handler does and what is kept of it.
func handled(ctx context.Context, t *testing.T, c target.Command, change ...func(a *duly.AttemptInfo)) (a target.Attempt, output string, err error) {
	t.Helper()
	o, openErr := target.OpenOutputs(t.TempDir(), target.OutputOptions{})
	if openErr != nil {
		t.Fatal(openErr)
	}
	defer func() {
		if err := o.Close(); err != nil {
			t.Error(err)
		}
	}()
	i := info("tea", 1)
	i.Started = time.Now()
	for _, f := range change {
		f(i)
	}
	err = target.Commands(target.CommandOptions{Outputs: o})(ctx, &duly.Attempt[target.Command]{AttemptInfo: i, Payload: c})
	a, output = only(context.WithoutCancel(ctx), t, o, i)
	return a, output, err
}

// sh is a command that the shell runs.
func sh(line string) target.Command { return target.Command{Shell: line} }

func TestCommandOutcomes(t *testing.T) {
	need(t, "sh")
	notToRun := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(notToRun, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("\x00\x01"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		c       target.Command
		outcome string
		err     string // of the handler, and the reason
		output  string
		code    int // -1: none
		signal  string
	}{
		"done":           {sh("echo out; echo err >&2"), target.OutcomeDone, "", "out\nerr\n", 0, ""},
		"failed":         {sh("echo out; echo one >&2; printf 'two\\n\\n  \\n' >&2; exit 3"), target.OutcomeFailed, "exit status 3: two", "out\none\ntwo\n\n  \n", 3, ""},
		"silent":         {sh("exit 1"), target.OutcomeFailed, "exit status 1", "", 1, ""},
		"no line end":    {sh("printf 'oh no' >&2; exit 1"), target.OutcomeFailed, "exit status 1: oh no", "oh no", 1, ""},
		"terminal":       {sh(`printf '\033[31mred\007\n' >&2; exit 1`), target.OutcomeFailed, "exit status 1:  [31mred", "\x1b[31mred\a\n", 1, ""},
		"signal":         {sh("kill -KILL $$"), target.OutcomeFailed, `ended by the signal "killed"`, "", -1, "killed"},
		"later":          {sh("echo busy >&2; exit 75"), target.OutcomeLater, "exit status 75: busy", "busy\n", 75, ""},
		"other later":    {target.Command{Shell: "exit 4", LaterCodes: []int{3, 4}}, target.OutcomeLater, "exit status 4", "", 4, ""},
		"no later":       {target.Command{Shell: "exit 75", LaterCodes: []int{}}, target.OutcomeFailed, "exit status 75", "", 75, ""},
		"not there":      {target.Command{Args: []string{"no-such-program"}, Env: map[string]string{"PATH": "/nowhere"}}, target.OutcomePermanent, `"no-such-program" is not in the PATH "/nowhere": file does not exist`, "", -1, ""},
		"not there, /":   {target.Command{Args: []string{"/no/such/program"}}, target.OutcomePermanent, "no such file or directory", "", -1, ""},
		"not to be run":  {target.Command{Args: []string{notToRun}}, target.OutcomePermanent, "permission denied", "", -1, ""},
		"no program":     {target.Command{Args: []string{garbage}}, target.OutcomePermanent, "exec format error", "", -1, ""},
		"no directory":   {target.Command{Args: []string{"true"}, Dir: "/no/such/dir"}, target.OutcomeFailed, `dir is "/no/such/dir", want a directory`, "", -1, ""},
		"the directory":  {target.Command{Shell: "pwd", Dir: "/usr"}, target.OutcomeDone, "", "/usr\n", 0, ""},
		"the root":       {sh("pwd"), target.OutcomeDone, "", "/\n", 0, ""},
		"stdin":          {target.Command{Shell: "cat", Stdin: "tea\n"}, target.OutcomeDone, "", "tea\n", 0, ""},
		"no stdin":       {sh("cat"), target.OutcomeDone, "", "", 0, ""},
		"stdin not read": {target.Command{Shell: "exit 0", Stdin: strings.Repeat("x", 1<<20)}, target.OutcomeDone, "", "", 0, ""},
		"as given":       {target.Command{Args: []string{"printf", "<%s>", "$HOME", "*", "", "a b", "ü"}}, target.OutcomeDone, "", "<$HOME><*><><a b><ü>", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := x.c.Check(); err != nil {
				t.Fatal(err)
			}
			a, output, err := handled(t.Context(), t, x.c)
			d, snoozed := duly.Snoozed(err)
			switch {
			case a.Outcome != x.outcome || !strings.Contains(a.Reason, x.err) || (a.Reason == "") != (x.err == ""):
				t.Errorf("got %s, %q; want %s, %q", a.Outcome, a.Reason, x.outcome, x.err)
			case snoozed != (x.outcome == target.OutcomeLater) || snoozed && d != time.Minute:
				t.Errorf("snoozed: %t, for %v", snoozed, d)
			case !snoozed && err != nil && err.Error() != a.Reason, (err == nil) != (x.outcome == target.OutcomeDone):
				t.Errorf("the handler says %v, its reason is %q", err, a.Reason)
			}
			if strings.ContainsAny(a.Reason, "\n\x1b\a") {
				t.Errorf("%q is not one plain line", a.Reason)
			}
			if sorted(output) != sorted(x.output) { // of two streams
				t.Errorf("got %q, want %q", output, x.output)
			}
			if (a.ExitCode == nil) != (x.code < 0) || a.ExitCode != nil && *a.ExitCode != x.code || a.Signal != x.signal || a.Ended.Before(a.Started) {
				t.Errorf("%+v", a)
			}
		})
	}
}

func sorted(s string) string {
	lines := strings.SplitAfter(s, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// A program is looked up in the PATH of the command, relative directories in its directory.
func TestProgramIsLookedUp(t *testing.T) {
	need(t, "sh")
	dir := t.TempDir()
	for _, d := range []string{"one", "two"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "one", "prog"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "two", "prog"), []byte("#!/bin/sh\necho found\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "one") + ":" + filepath.Join(dir, "two"): "", "one:two": "", "/nowhere::two": "",
		filepath.Join(dir, "one"): filepath.Join(dir, "one", "prog") + " may not be run: permission denied", "": "is not in the PATH",
	} {
		a, output, err := handled(t.Context(), t, target.Command{Args: []string{"prog"}, Dir: dir, Env: map[string]string{"PATH": path}})
		if want == "" && (err != nil || output != "found\n") || want != "" && (a.Outcome != target.OutcomePermanent || !strings.Contains(a.Reason, want)) {
			t.Errorf("%q: %v, %q, %+v", path, err, output, a)
		}
	}
	if _, output, err := handled(t.Context(), t, target.Command{Args: []string{"./two/prog"}, Dir: dir}); err != nil || output != "found\n" {
		t.Errorf("%q, %v", output, err)
	}
	if _, _, err := handled(t.Context(), t, target.Command{Args: []string{"true"}}); err != nil { // in the daemon's PATH
		t.Error(err)
	}
}

// A command has the environment that it declares, what each attempt adds, and nothing else of ours.
func TestCommandEnvironment(t *testing.T) {
	need(t, "env")
	t.Setenv("OURS", "ours")
	_, output, err := handled(t.Context(), t, target.Command{Args: []string{"env"}, Env: map[string]string{"B": "b=\"c\"", "A": ""}}, func(a *duly.AttemptInfo) {
		a.Fence, a.Number, a.ScheduledFor = 7, 3, time.Date(2027, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := sorted(`A=
B=b="c"
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
DULY_NAME=tea
DULY_NAMESPACE=ns
DULY_RUN_ID=ns/tea@1@5
DULY_FENCE=7
DULY_ATTEMPT=3
DULY_SCHEDULED_FOR=2027-01-02T02:04:05.000006Z
`)
	if diff := cmp.Diff(want, sorted(output)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	_, output, err = handled(t.Context(), t, target.Command{Args: []string{"env"}}, func(a *duly.AttemptInfo) { a.Namespace = "" })
	if err != nil || strings.Contains(output, "DULY_NAMESPACE") {
		t.Errorf("%q, %v", output, err)
	}
}

func TestNoDescriptorIsInherited(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED, NOT TESTED: descriptors are looked for in /proc, which only Linux has in this form")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "ours"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // nothing was written
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody has called
	_, output, err := handled(t.Context(), t, sh("ls -l /proc/self/fd"))
	if err != nil || strings.Contains(output, "ours") || strings.Contains(output, "socket:") || !strings.Contains(output, "pipe:") {
		t.Errorf("%v\n%s", err, output)
	}
}

// What is put off waits twice as long each time, up to an hour, by how often it was put off.
func TestLaterDoubles(t *testing.T) {
	need(t, "sh")
	for snoozed, want := range map[int]time.Duration{0: time.Minute, 1: 2 * time.Minute, 5: 32 * time.Minute, 6: time.Hour, 7: time.Hour, 1000: time.Hour} {
		_, _, err := handled(t.Context(), t, sh("exit 75"), func(a *duly.AttemptInfo) { a.Failed, a.Lost, a.Number = 2, 1, snoozed+4 })
		if d, ok := duly.Snoozed(err); !ok || d != want {
			t.Errorf("put off %d times before: %v, %v", snoozed, d, err)
		}
	}
}

// Nothing that a command is told in secret comes back in an error, however it comes to be printed.
func TestSecretsOfCommands(t *testing.T) {
	need(t, "sh")
	key := "-----BEGIN PRIVATE KEY-----\nAAAABBBBCCCC\nDDDDEEEEFFFF\n-----END PRIVATE KEY-----"
	for line, want := range map[string]string{
		`echo "bad token $MY_TOKEN, really" >&2; exit 1`:                       "exit status 1: bad token [redacted], really",
		`echo "bad $DB" >&2; exit 1`:                                           "exit status 1: bad pg://me:[redacted]@db",
		`printf '%s' "$PRIVATE_KEY" | head -n 2 >&2; exit 1`:                   "exit status 1: [redacted]",
		`echo "$PRIVATE_KEY" | tr '\n' ' ' >&2; exit 1`:                        "exit status 1: [redacted] PRIVATE [redacted] [redacted] [redacted] [redacted] PRIVATE [redacted]",
		`echo "busy: $MY_TOKEN" >&2; exit 75`:                                  "exit status 75: busy: [redacted]",
		`head -c 8190 /dev/zero | tr '\0' x >&2; echo "$MY_TOKEN" >&2; exit 1`: "exit status 1: (a line that is too long to be repeated)",
	} {
		a, _, err := handled(t.Context(), t, target.Command{Shell: line, Env: map[string]string{
			"MY_TOKEN": "hush-hush", "DB": "pg://me:hush@db", "PRIVATE_KEY": key,
		}})
		if a.Reason != want {
			t.Errorf("%s\ngot  %q\nwant %q", line, a.Reason, want)
		}
		if s := fmt.Sprintf("%v %+v %#v", err, err, a); strings.Contains(s, "hush") || strings.Contains(s, "AAAA") {
			t.Error(s)
		}
	}
	a, _, err := handled(t.Context(), t, target.Command{Args: []string{"hush-hush"}, Env: map[string]string{"MY_TOKEN": "hush-hush", "PATH": "/nowhere"}})
	if strings.Contains(a.Reason+err.Error(), "hush") {
		t.Error(err)
	}
}

// Nor does it come into the log of the scheduler, or into its history.
func TestSecretsAreNotLogged(t *testing.T) {
	need(t, "sh")
	var log bytes.Buffer
	s, err := duly.New(duly.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	k := duly.Handle(s, target.KindCommand, target.Commands(target.CommandOptions{}), duly.Defaults(target.Defaults(target.KindCommand)...))
	d := &daemon{Scheduler: s, commands: k}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	d.now(t, "tea", target.Command{Shell: `echo "no $MY_TOKEN" >&2; exit 1`, Env: map[string]string{"MY_TOKEN": "hush-hush"}})
	e := d.await(t, "tea")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s := log.String() + fmt.Sprintf("%+v", e); strings.Contains(s, "hush") || strings.Count(s, "exit status 1: no [redacted]") != 2 {
		t.Error(s)
	}
}

// What was never started was not attempted: it does not cost the only attempt that a command has.
func TestEndBeforeTheStart(t *testing.T) {
	for _, cause := range []error{duly.ErrLeaseLost, duly.ErrClosing} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		a, _, err := handled(ctx, t, sh("exit 1"), func(a *duly.AttemptInfo) { a.AtMostOnce = true })
		if d, ok := duly.Snoozed(err); !ok || d != time.Second || a.Outcome != target.OutcomeLater || a.Reason != cause.Error()+", before the command was started" {
			t.Errorf("%v: %v, %+v", cause, err, a)
		}
	}
}

// What the scheduler's end has cut off is to be run again later, unless it must not be.
func TestClosing_AtMostOnce(t *testing.T) {
	for once, want := range map[bool]string{false: target.OutcomeLater, true: target.OutcomeFailed} {
		ctx, cancel := context.WithCancelCause(t.Context())
		c := marked(t, target.Command{Args: []string{"sleep", "1000"}})
		a, _, err := handled(ctx, t, c, func(a *duly.AttemptInfo) {
			a.AtMostOnce = once
			go func() {
				for len(survivors(t)) == 0 {
					time.Sleep(time.Millisecond) // until it has begun
				}
				cancel(duly.ErrClosing)
			}()
		})
		if !errors.Is(err, duly.ErrClosing) || a.Outcome != want {
			t.Errorf("at most once %t: %v, %+v; want %s", once, err, a, want)
		}
	}
}

// A command that forks children, all of which ignore SIGTERM, is gone when the handler returns, whatever ends its context.
func TestGroupEndsWithContext(t *testing.T) {
	need(t, "bash", "sleep")
	for name, cause := range map[string]error{
		"stopped": duly.ErrStopped, "lease": duly.ErrLeaseLost, "closing": duly.ErrClosing, "timeout": duly.ErrTimeout,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			c := marked(t, target.Command{
				Args:  []string{"bash", "-c", "trap '' TERM; (sleep 1000 & sleep 1000 &) & sleep 1000 & echo ready; while :; do sleep 0.1; done"},
				Grace: target.Duration(50 * time.Millisecond),
			})
			o, err := target.OpenOutputs(t.TempDir(), target.OutputOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close() //nolint:errcheck // nothing is read any more
			done := make(chan error, 1)
			i := info("tea", 1)
			i.Started = time.Now()
			go func() {
				done <- target.Commands(target.CommandOptions{Outputs: o})(ctx, &duly.Attempt[target.Command]{AttemptInfo: i, Payload: c})
			}()
			(&daemon{outputs: o}).printingOf(t, i)
			for len(survivors(t)) < 4 {
				time.Sleep(time.Millisecond) // until all have forked
			}
			cancel(cause)
			if err = <-done; !errors.Is(err, cause) || !strings.Contains(err.Error(), "was killed") {
				t.Errorf("got %v", err)
			}
			if s := survivors(t); len(s) > 0 {
				t.Errorf("%v are left", s)
			}
			want := target.OutcomeFailed
			if name == "closing" {
				want = target.OutcomeLater
			}
			if all, err := o.Attempts(t.Context(), i.Namespace, i.Name, 0); err != nil || len(all) != 1 || all[0].Outcome != want || all[0].Signal != "killed" {
				t.Errorf("%+v, %v", all, err)
			}
		})
	}
}

// A command that is asked to end has its grace for that, and not more.
func TestGrace(t *testing.T) {
	need(t, "bash", "sleep")
	for name, x := range map[string]struct {
		grace time.Duration
		first string // what it does when it is asked, before it cleans up
		want  string
		clean bool
	}{
		"enough":    {time.Minute, "", "the command was ended", true},
		"too short": {50 * time.Millisecond, "sleep 2;", "the command was killed", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := serve(t, target.CallbackOptions{})
			d.now(t, "tea", marked(t, target.Command{
				Args:  []string{"bash", "-c", "trap '" + x.first + " echo cleaned up; exit 0' TERM; echo ready; while :; do sleep 0.02; done"},
				Grace: target.Duration(x.grace),
			}))
			if s := d.printing(t, "tea"); s != "ready\n" {
				t.Errorf("printed %q", s)
			}
			if _, err := d.CancelRunning(t.Context(), "tea"); err != nil {
				t.Error(err)
			}
			if err := d.Await(t.Context(), "tea"); err != nil {
				t.Error(err)
			}
			a := d.attempt(t, "tea")
			_, output := only(t.Context(), t, d.outputs, &duly.AttemptInfo{Name: "tea", RunID: a.RunID, Number: a.Number})
			if !strings.HasSuffix(a.Reason, x.want) || strings.Contains(output, "cleaned up") != x.clean {
				t.Errorf("%+v, %q", a, output)
			}
			if s := survivors(t); len(s) > 0 {
				t.Errorf("%v are left", s)
			}
		})
	}
}

// A command that has ended and left somebody who holds its output open is done, and what it left is not harmed.
func TestOutputHeldOpen(t *testing.T) {
	need(t, "bash", "sleep")
	a, output, err := handled(t.Context(), t, marked(t, target.Command{Args: []string{"bash", "-c", "sleep 1000 & echo out"}}))
	if err != nil || output != "out\n" || a.Outcome != target.OutcomeDone || !strings.Contains(a.Reason, "held open") {
		t.Errorf("%v, %q, %+v", err, output, a)
	}
	left := survivors(t)
	if len(left) != 1 {
		t.Errorf("%v are left, want one", left)
	}
	for _, pid := range left {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}

// A gigabyte of output costs time, and no more memory than its limit.
func TestGigabyteOfOutput(t *testing.T) {
	need(t, "head")
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	a, output, err := handled(t.Context(), t, target.Command{Args: []string{"head", "-c", "1000000000", "/dev/zero"}})
	runtime.ReadMemStats(&after)
	if err != nil || a.Bytes != 1e9 || a.Bytes-a.Omitted != 1<<20 || len(output) != 1<<20 {
		t.Errorf("%v, %+v, %d bytes", err, a, len(output))
	}
	if more := int64(after.Sys - before.Sys); more > 64<<20 {
		t.Errorf("it took %d bytes", more)
	}
}

func Test64AtOnce(t *testing.T) {
	need(t, "sh")
	o, err := target.OpenOutputs(t.TempDir(), target.OutputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	handler := target.Commands(target.CommandOptions{Outputs: o})
	var all sync.WaitGroup
	for n := 1; n <= 64; n++ {
		all.Go(func() {
			i := info(fmt.Sprintf("tea-%d", n), n)
			i.Started = time.Now()
			c := sh(fmt.Sprintf("for i in 1 2 3 4 5 6 7 8 9 10; do echo %d; done; cat", n))
			c.Stdin = strings.Repeat(fmt.Sprintf("%d\n", n), 20_000)
			if err := handler(t.Context(), &duly.Attempt[target.Command]{AttemptInfo: i, Payload: c}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for n := 1; n <= 64; n++ {
		var b strings.Builder
		for c, err := range o.Chunks(t.Context(), "ns", fmt.Sprintf("tea-%d", n), info(fmt.Sprintf("tea-%d", n), n).RunID, n, false) {
			if err != nil {
				t.Fatal(err)
			}
			b.Write(c.Data)
		}
		if want := strings.Repeat(fmt.Sprintf("%d\n", n), 20_010); b.String() != want {
			t.Errorf("%d: %d bytes, want %d", n, b.Len(), len(want))
		}
	}
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

// Requirement P28: a timeout of a task that is a process is forcible. It ends the whole group, also one that does not listen.
func TestTaskTimeoutForcible(t *testing.T) {
	need(t, "bash", "sleep")
	d := serve(t, target.CallbackOptions{})
	d.now(t, "deaf", marked(t, target.Command{
		Args:  []string{"bash", "-c", "trap '' TERM; (sleep 1000 & sleep 1000 &) & while :; do sleep 0.1; done"},
		Grace: target.Duration(50 * time.Millisecond),
	}), duly.Timeout(500*time.Millisecond))
	e := d.await(t, "deaf")
	if e.To.String() != "dead" || !strings.HasPrefix(e.Reason, duly.ErrTimeout.Error()) {
		t.Errorf("%+v", e)
	}
	if s := survivors(t); len(s) > 0 {
		t.Errorf("%v are left", s)
	}
	if a := d.attempt(t, "deaf"); a.Outcome != target.OutcomeFailed || a.Signal == "" || a.Reason != e.Reason {
		t.Errorf("%+v", a)
	}
}

// A command that fails is run once; more often if that is asked for, but not one that is not there.
func TestCommandAttempts(t *testing.T) {
	need(t, "sh")
	d := serve(t, target.CallbackOptions{})
	d.now(t, "once", sh("exit 3"))
	d.now(t, "twice", sh("exit 3"), duly.Retry(duly.RetryPolicy{Attempts: 2, Backoff: time.Millisecond}))
	d.now(t, "missing", target.Command{Args: []string{"/no/such/program"}}, duly.Retry(duly.RetryPolicy{Attempts: 5}))
	d.now(t, "later", sh("exit 75"))
	for name, want := range map[string]string{"once": "dead", "twice": "pending", "missing": "dead", "later": "pending"} {
		if e := d.await(t, name); e.To.String() != want {
			t.Errorf("%s: %+v, want %s", name, e, want)
		}
	}
	task, err := d.Get(t.Context(), "later")
	if err != nil || len(task.Runs) != 1 || task.Runs[0].Snoozed != 1 {
		t.Errorf("%+v, %v", task, err)
	}
}

// A command that runs ends when its task is cancelled with what runs, and when the scheduler is closed, after which it is pending.
func TestCommandIsAskedToStop(t *testing.T) {
	need(t, "bash", "sleep")
	d := serve(t, target.CallbackOptions{})
	line := target.Command{Args: []string{"bash", "-c", "echo ready; sleep 1000"}}
	d.now(t, "cancelled", marked(t, line))
	d.now(t, "closed", marked(t, line))
	for _, name := range []string{"cancelled", "closed"} {
		if s := d.printing(t, name); s != "ready\n" {
			t.Errorf("%s printed %q", name, s)
		}
	}
	if x, err := d.CancelRunning(t.Context(), "cancelled"); err != nil || x != duly.Running {
		t.Errorf("%v, %v", x, err)
	}
	if err := d.Await(t.Context(), "cancelled"); err != nil {
		t.Error(err)
	}
	if a := d.attempt(t, "cancelled"); !strings.HasPrefix(a.Reason, duly.ErrStopped.Error()) || a.Signal != "terminated" {
		t.Errorf("%+v", a)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := d.attempt(t, "closed"); a.Outcome != target.OutcomeLater || a.Signal != "terminated" {
		t.Errorf("%+v", a)
	}
	if s := survivors(t); len(s) > 0 {
		t.Errorf("%v are left", s)
	}
}

func TestWrongCommandIsPermanent(t *testing.T) {
	handler := target.Commands(target.CommandOptions{})
	err := handler(t.Context(), &duly.Attempt[target.Command]{AttemptInfo: info("tea", 1)})
	if !errors.Is(err, duly.ErrInvalid) || !strings.Contains(err.Error(), "args is empty") {
		t.Error(err)
	}
}

// Whoever is about to exit waits for no grace, and leaves nothing behind.
func TestKill(t *testing.T) {
	need(t, "bash", "sleep")
	patience, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	ctx, stop := context.WithCancelCause(t.Context())
	ready := filepath.Join(t.TempDir(), "ready")
	c := marked(t, target.Command{
		Args: []string{"bash", "-c", "trap '' TERM; touch " + ready + "; while :; do sleep 0.02; done"}, Grace: target.Duration(time.Hour),
	})
	handler := target.Commands(target.CommandOptions{Kill: patience})
	ended := make(chan error, 1)
	go func() { ended <- handler(ctx, &duly.Attempt[target.Command]{AttemptInfo: info("tea", 1), Payload: c}) }()
	for {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
			runtime.Gosched()
		}
	}
	stop(duly.ErrClosing)
	kill()
	if err := <-ended; !errors.Is(err, duly.ErrClosing) || !strings.HasSuffix(err.Error(), "the command was killed") {
		t.Error(err)
	}
	if s := survivors(t); len(s) > 0 {
		t.Errorf("%v are left", s)
	}
}
