package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/proc"
	"github.com/dulyhq/duly/timer"
)

// CommandOptions are those of [Commands]. The zero value is right, but keeps no output.
type CommandOptions struct {
	// Outputs keep what commands print. Nil keeps nothing.
	Outputs *Outputs
	// Engine keeps the times of graces. Nil is a default engine, shared by all.
	Engine *timer.Engine
	// Kill, when it ends, makes an end of what runs without its grace: for a process that is about to exit, and would leave commands to
	// run on beside those that its successor starts for the same tasks. Nil never ends.
	Kill context.Context //nolint:containedctx // it is not of an attempt, but of all
	// Scarce, if not nil, is told of each start how the machine is: with the error where it had no process, memory or descriptor left for
	// the command, which is put off then, and with nil where the command was started.
	Scarce func(error)
	// Logger is told what goes wrong beside a command, and that is not its failure. Nil is slog.Default().
	Logger *slog.Logger
}

const (
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

	// How long a command that is to be run later waits, by how often it was put off already.
	firstLater = time.Minute
	lastLater  = time.Hour
	// notBegun is how long one waits that lost its lease before it was started: whoever is so late has too much to do. So does one for
	// which the scheduler's end came before.
	notBegun = time.Second
)

// defaultLater is what LaterCodes are if they are nil: EX_TEMPFAIL.
var defaultLater = []int{75}

// Defaults returns the options that tasks of a kind have if they say nothing else: for [duly.Defaults]. A command is run once, as cron
// and at do: one that has failed is not run again unless that is asked for. A callback is tried 10 times, for 30 s each time.
func Defaults(kind string) []duly.PutOption {
	switch kind {
	case KindCommand:
		return []duly.PutOption{duly.Retry(duly.RetryPolicy{Attempts: 1})}
	case KindHTTP:
		return []duly.PutOption{duly.Retry(duly.RetryPolicy{Attempts: 10}), duly.Timeout(DefaultTimeout)}
	}
	return nil
}

// Commands returns the handler of tasks of KindCommand.
//
// A status of 0 is done. One of LaterCodes puts the run off, for a minute first and twice as long each time, up to an hour; it does not
// count as an attempt, nor does a machine that has no process or descriptor left. Every other end is a failure, whose error is one line:
// the status or the signal, and the last line of the standard error. A program that is not there, or may not be run, is a failure for
// good. When the attempt's context ends, by the task's timeout, because somebody asks it to stop, because its lease is lost or the
// scheduler is closed, the process and all of its group end too: SIGTERM, the grace, SIGKILL; the handler returns when they are gone.
//
// What a command has left in its group when it ends by itself is not harmed. If that holds the output open, it is read for a second more.
func Commands(o CommandOptions) func(context.Context, *duly.Attempt[Command]) error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return func(ctx context.Context, a *duly.Attempt[Command]) error {
		c := &a.Payload
		if err := c.Check(); err != nil {
			return duly.Permanent(err)
		}
		r := commandRun{o: &o, a: a.AttemptInfo, c: c, hidden: newScrubber(c.secrets())}
		limit := c.OutputLimit
		if limit == 0 {
			limit = DefaultCommandOutput
		}
		r.out = o.Outputs.begin(a.AttemptInfo, limit, false)
		err := r.run(ctx)
		r.out.end(&r.ending)
		return err
	}
}

// A commandRun is one attempt at a command.
type commandRun struct {
	ending

	o      *CommandOptions
	a      *duly.AttemptInfo
	c      *Command
	hidden scrubber
	out    *recording
	last   lastLine
}

// run runs the command, and writes down how it ended.
func (r *commandRun) run(ctx context.Context) error {
	spec, err := r.spec()
	if err != nil {
		return r.failed(ctx, nil, err)
	}
	p, err := proc.Start(ctx, spec)
	if err != nil {
		return r.failed(ctx, nil, startError(err))
	}
	r.scarce(nil)
	if r.o.Kill != nil {
		defer context.AfterFunc(r.o.Kill, p.Kill)() //nolint:contextcheck // Kill is of all attempts
	}
	res, err := p.Wait(context.WithoutCancel(ctx)) // it ends with ctx, but not before it is gone
	return r.failed(ctx, res, err)
}

// startError names what a start has failed by. The new process copies its descriptors to numbers above all that it was given, and one
// beyond the limit is EBADF to dup3(2) and not EMFILE. All that it was given was open.
func startError(err error) error {
	if errors.Is(err, syscall.EBADF) {
		return syscall.EMFILE
	}
	return err
}

// spec says what is to be started.
func (r *commandRun) spec() (proc.Spec, error) {
	c := r.c
	s := proc.Spec{
		Engine: r.o.Engine, Dir: c.Dir, Env: r.env(), Grace: time.Duration(c.Grace), Group: proc.NewSession,
		Stdout: r.out.stream(streamOut), Stderr: io.MultiWriter(r.out.stream(streamErr), &r.last),
	}
	if s.Dir == "" {
		s.Dir = string(filepath.Separator)
	}
	if c.Stdin != "" {
		s.Stdin = strings.NewReader(c.Stdin)
	}
	if c.Shell != "" {
		s.Args = shell(c.Shell)
		return s, nil
	}
	path, err := r.program(s.Dir)
	s.Args = append([]string{path}, c.Args[1:]...)
	return s, err
}

// shell returns what has the system's shell run a line.
func shell(line string) []string {
	if runtime.GOOS == "windows" {
		return []string{filepath.Join(os.Getenv("SystemRoot"), "System32", "cmd.exe"), "/C", line}
	}
	return proc.Shell(line)[:3]
}

// env returns the environment, in the order of names.
func (r *commandRun) env() []string {
	a := r.a
	env := make([]string, 0, len(r.c.Env)+len(given)+1)
	for _, name := range slices.Sorted(maps.Keys(r.c.Env)) {
		env = append(env, name+"="+r.c.Env[name])
	}
	if _, ok := r.c.Env["PATH"]; !ok {
		env = append(env, "PATH="+standardPath())
	}
	if a.Namespace != "" {
		env = append(env, "DULY_NAMESPACE="+a.Namespace)
	}
	return append(env,
		"DULY_NAME="+a.Name, "DULY_RUN_ID="+a.RunID, "DULY_FENCE="+strconv.FormatInt(a.Fence, 10), "DULY_ATTEMPT="+strconv.Itoa(a.Number),
		"DULY_SCHEDULED_FOR="+a.ScheduledFor.UTC().Format(time.RFC3339Nano))
}

func standardPath() string {
	if runtime.GOOS == "windows" {
		return os.Getenv("PATH")
	}
	return defaultPath
}

// program looks the program up, as a shell would do with the command's own PATH. In the daemon's PATH directories count that are
// absolute: a "." in it was not meant for the directories of tasks, and whoever may write there.
func (r *commandRun) program(dir string) (string, error) {
	name := r.c.Args[0]
	if filepath.Base(name) != name {
		return name, nil
	}
	path, own := r.c.Env["PATH"]
	if !own {
		path = os.Getenv("PATH")
	}
	var denied error
	for _, d := range filepath.SplitList(path) {
		if !filepath.IsAbs(d) {
			if !own {
				continue
			}
			d = filepath.Join(dir, d)
		}
		found, err := exec.LookPath(filepath.Join(d, name))
		if err == nil {
			return found, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			denied = fmt.Errorf("%s may not be run: %w", filepath.Join(d, name), fs.ErrPermission)
		}
	}
	if denied != nil {
		return name, denied
	}
	return name, fmt.Errorf("%s is not in the PATH %s: %w", quote(name), quote(path), fs.ErrNotExist)
}

// failed says what the end of a command means, which may be that it has not failed.
func (r *commandRun) failed(ctx context.Context, res *proc.Result, err error) error {
	if res != nil {
		if res.Signal != nil {
			r.signal = res.Signal.String()
		} else if res.Code >= 0 {
			r.code = &res.Code
		}
	}
	var exit *proc.ExitError
	switch cause := context.Cause(ctx); {
	case err == nil:
		return r.done("")
	case ctx.Err() != nil && (errors.Is(err, cause) || errors.Is(err, proc.ErrStopped)): // by Kill, which came before the end of ctx was seen
		return r.ended(res, cause)
	case errors.As(err, &exit):
		return r.exited(exit)
	case res != nil && res.Code == 0: // it has ended well; what follows is about its pipes
		return r.done(reasonOf(err))
	case res == nil && exhausted(err):
		r.scarce(err)
		return r.later(reasonOf(err))
	case res == nil && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, exec.ErrNotFound) ||
		errors.Is(err, syscall.ENOEXEC)) && !aboutDir(err):
		r.outcome = OutcomePermanent
		return duly.Permanent(r.because(reasonOf(err), err))
	}
	r.outcome = OutcomeFailed
	return r.because(reasonOf(err), err)
}

// reasonOf returns what package proc says, without the command, which everybody knows who reads it and which may be long.
func reasonOf(err error) string {
	var e *proc.Error
	if !errors.As(err, &e) {
		return err.Error()
	}
	s := ""
	if e.Field != "" {
		s = strings.ToLower(e.Field) + " is " + e.Value + ", want " + e.Want + ": "
	}
	return s + e.Err.Error()
}

// aboutDir says whether it is the directory that is not there.
func aboutDir(err error) bool {
	var e *proc.Error
	return errors.As(err, &e) && e.Field == "Dir"
}

// exhausted says whether the machine had no process, memory or descriptor left.
func exhausted(err error) bool {
	for _, e := range []error{syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (r *commandRun) done(remark string) error {
	r.outcome, r.reason = OutcomeDone, remark
	return nil
}

// because makes an error whose text has no secret, and that wraps err.
func (r *commandRun) because(reason string, err error) error {
	r.reason = oneLine(r.hidden.scrub(reason))
	return &failure{r.reason, err}
}

// ended is the end by the attempt's context.
func (r *commandRun) ended(res *proc.Result, cause error) error {
	r.outcome = OutcomeFailed
	if errors.Is(cause, duly.ErrClosing) && !r.a.AtMostOnce {
		r.outcome = OutcomeLater
	}
	reason := cause.Error()
	switch {
	case res == nil && (errors.Is(cause, duly.ErrLeaseLost) || errors.Is(cause, duly.ErrClosing)): // and so nothing was attempted
		r.outcome, r.reason = OutcomeLater, reason+", before the command was started"
		return duly.Snooze(notBegun)
	case res == nil:
		reason += ", before the command was started"
	case res.Killed:
		reason += ", and the command was killed"
	default:
		reason += ", and the command was ended"
	}
	return r.because(reason, cause)
}

// exited is the end by itself, and not well.
func (r *commandRun) exited(exit *proc.ExitError) error {
	reason := "exit status " + strconv.Itoa(exit.Code)
	if exit.Signal != nil {
		reason = "ended by the signal " + strconv.Quote(exit.Signal.String())
	}
	line := r.last.text()
	if line != "" {
		reason += ": " + r.hidden.scrub(line)
	}
	codes := r.c.LaterCodes
	if codes == nil {
		codes = defaultLater
	}
	if exit.Signal == nil && slices.Contains(codes, exit.Code) {
		return r.later(reason)
	}
	r.outcome = OutcomeFailed
	r.reason = oneLine(reason)
	return &failure{r.reason, nil}
}

// scarce says how the machine is. Where nobody wants to know that it goes to the log.
func (r *commandRun) scarce(err error) {
	if r.o.Scarce != nil {
		r.o.Scarce(err)
	} else if err != nil {
		r.o.Logger.Warn("a command could not be started for want of resources, it is tried later", "task", r.a.Name, "error", reasonOf(err))
	}
}

// later puts the run off.
func (r *commandRun) later(reason string) error {
	r.outcome, r.reason = OutcomeLater, oneLine(r.hidden.scrub(reason))
	return putOff(r.a)
}

// putOff returns what has a run tried later, at no cost to its attempts.
func putOff(a *duly.AttemptInfo) error {
	snoozed := a.Number - a.Failed - a.Lost - 1
	return duly.Snooze(min(firstLater<<min(max(snoozed, 0), 6), lastLater))
}

// A failure is the error of an attempt: one line.
type failure struct {
	reason string
	err    error
}

// Error returns the line.
func (e *failure) Error() string { return e.reason }

// Unwrap returns what is known beside the line.
func (e *failure) Unwrap() error { return e.err }
