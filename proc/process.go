package proc

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/timer"
)

// Result is what became of a process.
type Result struct {
	Pid    int
	Code   int       // the exit status; -1 if a signal ended it
	Signal os.Signal // the signal that ended it; nil if it exited, and where there are no signals

	StartedAt, EndedAt time.Time     // their difference is measured, whatever happens to the clock
	User, System       time.Duration // CPU time of the process and of those children that it waited for

	Stdout, Stderr Output // what was captured

	Killed bool // SIGKILL was sent, to the process or to what was left of its group
	Held   bool // the output was held open, or not taken, after the end; see ErrPipesHeld
}

// Run runs a command and waits for its end, that of its output and, where it was made to end, that of its group. It ends the
// command when ctx ends or the Timeout is over. The result is there whenever the command was started, also with an error.
// The error is, in this order:
//
//   - an *[Error] with the reason for which the command was ended: ErrTimeout, the context's cause, an engine's end;
//   - an *[ExitError] if it did not end well by itself;
//   - an *[Error] with what the Stdin or a writer of the output returned, or with ErrPipesHeld.
func Run(ctx context.Context, spec Spec) (*Result, error) {
	p, err := Start(ctx, spec)
	if err != nil {
		return nil, err
	}
	<-p.done
	return p.result, p.err
}

// Process is a command that was started. Make one with [Start]. All methods are safe from several goroutines. It looks after
// itself: who does not wait for it leaves nothing behind.
type Process struct {
	spec   Spec
	engine *timer.Engine
	cmd    *exec.Cmd
	group  group
	pipes  pipes

	begun     time.Duration // on the engine's clock, like ended
	startedAt time.Time
	stop      chan struct{} // closed by Stop
	kill      chan struct{} // closed by Kill
	stopOnce  sync.Once
	killOnce  sync.Once
	killed    bool          // the supervisor's
	exited    chan struct{} // closed when the process was reaped; then ended and waitErr are set
	ended     time.Duration
	waitErr   error
	done      chan struct{} // closed at the end; then result and err are set
	result    *Result
	err       error
}

// Start starts a command and returns at once. The command ends at the latest with ctx or its Timeout, as with [Run]. What is
// wrong with the spec, a program that is not there or may not be run, and a context that has ended are errors before anything
// is started. A nil ctx is context.Background().
func Start(ctx context.Context, spec Spec) (*Process, error) { //nolint:contextcheck // none was given
	if ctx == nil {
		ctx = context.Background()
	}
	if ctx.Err() != nil {
		return nil, &Error{Op: "start", Args: spec.Args, Err: context.Cause(ctx)}
	}
	path, err := spec.prepare()
	if err != nil {
		return nil, err
	}
	p := &Process{
		spec: spec, engine: spec.Engine,
		stop: make(chan struct{}), kill: make(chan struct{}), exited: make(chan struct{}), done: make(chan struct{}),
	}
	if p.engine == nil {
		p.engine = park.Default()
	}
	p.begun = p.engine.Elapsed()
	p.startedAt = p.engine.Now()
	timeout, err := p.bell(spec.Timeout)
	if err != nil {
		return nil, &Error{Op: "start", Args: spec.Args, Err: err}
	}
	p.cmd = &exec.Cmd{Path: path, Args: p.spec.Args, Env: p.spec.Env, Dir: p.spec.Dir, SysProcAttr: p.group.attr(spec.Group)}
	if err := p.launch(); err != nil {
		timeout.stop()
		return nil, &Error{Op: "start", Args: spec.Args, Err: err}
	}
	wait := p.group.exit()
	go func() {
		wait()
		p.waitErr = p.cmd.Wait()
		p.ended = p.engine.Elapsed()
		close(p.exited)
	}()
	go p.supervise(ctx, timeout)
	return p, nil
}

// launch makes the pipes and starts the process.
func (p *Process) launch() error {
	if err := p.pipes.open(&p.spec, p.cmd); err != nil {
		p.pipes.abandon()
		return err
	}
	if err := p.cmd.Start(); err != nil {
		p.pipes.abandon()
		p.group.release()
		if e, ok := errors.AsType[*os.PathError](err); ok && e.Op == "fork/exec" {
			return e.Err // the command is named already
		}
		return err
	}
	p.group.started(p.cmd.Process, p.spec.Group)
	p.pipes.copy(p.spec.Stdin)
	return nil
}

// Pid returns the number of the process.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed when everything has ended that Run waits for.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end and returns what [Run] returns. If ctx ends before, the process goes on and the error, with a nil
// result, is the context's cause. Any number may wait, as often as they like. A nil ctx is
// context.Background().
func (p *Process) Wait(ctx context.Context) (*Result, error) { //nolint:contextcheck // none was given
	if ctx == nil {
		ctx = context.Background()
	}
	if ctx.Err() != nil {
		return nil, &Error{Op: "wait", Args: p.spec.Args, Err: context.Cause(ctx)}
	}
	select {
	case <-p.done:
		return p.result, p.err
	case <-ctx.Done():
		return nil, &Error{Op: "wait", Args: p.spec.Args, Err: context.Cause(ctx)}
	}
}

// WaitFor waits for d at most. If the time is up the process goes on and the error is ErrTimeout, with a nil result. If d
// is not positive it does not wait.
func (p *Process) WaitFor(d time.Duration) (*Result, error) {
	select {
	case <-p.done:
		return p.result, p.err
	default:
	}
	err := ErrTimeout
	if d > 0 {
		b, ringErr := p.bell(d)
		if ringErr != nil {
			return nil, &Error{Op: "wait", Args: p.spec.Args, Err: ringErr}
		}
		select {
		case <-p.done:
			b.stop()
			return p.result, p.err
		case <-b.c:
			if b.err != nil {
				err = b.err
			}
		}
	}
	return nil, &Error{Op: "wait", Args: p.spec.Args, After: max(d, 0), Err: err}
}

// Signal sends a signal to the process, not to its group. On Windows only os.Kill is known.
func (p *Process) Signal(sig os.Signal) error {
	err := p.cmd.Process.Signal(sig)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrProcessDone):
		err = ErrNotRunning
	}
	return &Error{Op: "signal", Args: p.spec.Args, Err: err}
}

// Stop begins to end the process and its group: SIGTERM, Grace, SIGKILL. It does not wait; Wait then returns ErrStopped,
// unless the process and its output have ended before, or are being ended for another reason.
func (p *Process) Stop() { p.stopOnce.Do(func() { close(p.stop) }) }

// Kill is Stop without grace, also after a Stop: SIGKILL to the process and its group, now. Nor is output that others hold
// open waited for any longer, but for what is in the pipes already.
func (p *Process) Kill() {
	p.killOnce.Do(func() { close(p.kill) })
	p.Stop()
}

// supervise sees the process through to its end. It alone decides what the outcome is.
func (p *Process) supervise(ctx context.Context, timeout *bell) {
	reason := p.listen(ctx, timeout, p.exited, nil, nil)
	if reason != nil || p.spec.Sweep && p.group.alive() {
		p.end()
	}
	reason, held := p.drain(ctx, timeout, reason)
	timeout.stop()
	p.group.release()
	p.finish(reason, held)
	close(p.done)
}

// listen waits for what is to come, for a reason to end the process, which it returns, or until one of the others is over.
func (p *Process) listen(ctx context.Context, timeout *bell, come, over, again <-chan struct{}) *Error {
	reason := &Error{Op: "run", Args: p.spec.Args}
	select {
	case <-come:
		return nil
	case <-over:
		return nil
	case <-again:
		return nil
	case <-timeout.c:
		if reason.Err = timeout.err; reason.Err == nil {
			reason.Err, reason.After = ErrTimeout, p.spec.Timeout
		}
	case <-ctx.Done():
		reason.Err = context.Cause(ctx)
	case <-p.stop:
		reason.Err = ErrStopped
	}
	if rang(come) { // at the same moment: then by itself
		return nil
	}
	return reason
}

const (
	firstLook = time.Millisecond
	lastLook  = 50 * time.Millisecond
	goneWait  = time.Second            // how long what was killed is waited for
	lastRead  = 250 * time.Millisecond // and its output after Kill
)

// end ends the process and its group, and returns when they are gone.
func (p *Process) end() {
	if p.spec.Grace > 0 && p.group.terminate() == nil && p.gone(p.spec.Grace, p.kill) {
		return
	}
	select {
	case <-p.exited:
		if !p.group.alive() { // just now, or there is nobody who could be asked
			return
		}
	default:
	}
	p.killed = true
	p.group.kill()
	<-p.exited
	p.gone(goneWait, nil)
}

// gone waits for d at most, and until hurry is closed, until the process has ended and its group is empty. Nobody tells when a
// group is empty: after the end of the leader it is looked at.
func (p *Process) gone(d time.Duration, hurry <-chan struct{}) bool {
	over, err := p.sureBell(d)
	if err != nil {
		return false
	}
	defer over.stop()
	select {
	case <-p.exited:
	case <-over.c:
		return false
	case <-hurry:
		return false
	}
	for look := firstLook; p.group.alive(); look = min(2*look, lastLook) {
		again, err := p.sureBell(look)
		if err != nil {
			return false
		}
		select {
		case <-again.c:
		case <-over.c:
			again.stop()
			return !p.group.alive()
		case <-hurry:
			again.stop()
			return false
		}
	}
	return true
}

// drain waits for the rest of the output. It says whether somebody withheld it, and returns the reason why the command was
// ended, which may come only now.
func (p *Process) drain(ctx context.Context, timeout *bell, reason *Error) (_ *Error, held bool) {
	defer p.pipes.closeStdin()
	for _, giveUp := range [...]func(){p.pipes.closeOutput, p.pipes.detach} {
		if rang(p.pipes.copied) {
			return reason, held
		}
		if reason == nil {
			reason = p.hold(ctx, timeout)
		}
		if reason != nil {
			p.await()
		}
		if rang(p.pipes.copied) {
			return reason, held
		}
		held = true
		giveUp()
	}
	return reason, held
}

// hold waits for the output for PipeDelay, or for a reason not to, for which it ends what is left of the group. Where only its
// number names that, it is looked at meanwhile: the number of one that was empty for a while may mean another one.
func (p *Process) hold(ctx context.Context, timeout *bell) *Error {
	over, err := p.sureBell(p.spec.PipeDelay)
	if err != nil {
		return nil
	}
	defer over.stop()
	for left := p.group.alive(); ; left = left && p.group.alive() {
		var delay time.Duration
		if left && !p.group.sure() {
			delay = lastLook
		}
		look, err := p.sureBell(delay)
		if err != nil {
			return nil
		}
		reason := p.listen(ctx, timeout, p.pipes.copied, over.c, look.c)
		look.stop()
		switch {
		case reason != nil:
			if left && p.group.alive() {
				p.end()
			}
			return reason
		case rang(p.pipes.copied), rang(over.c):
			return nil
		}
	}
}

// await waits for the output of what was ended: for PipeDelay, and hardly at all after Kill.
func (p *Process) await() {
	over, err := p.sureBell(p.spec.PipeDelay)
	if err != nil {
		return
	}
	defer over.stop()
	select {
	case <-p.pipes.copied:
		return
	case <-over.c:
		return
	case <-p.kill:
	}
	last, err := p.sureBell(lastRead)
	if err != nil {
		return
	}
	defer last.stop()
	select {
	case <-p.pipes.copied:
	case <-over.c:
	case <-last.c:
	}
}

// rang says whether c is closed.
func rang(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// finish writes down the outcome.
func (p *Process) finish(reason *Error, held bool) {
	r := &Result{Pid: p.Pid(), Code: -1, Killed: p.killed, Held: held, StartedAt: p.startedAt}
	r.EndedAt = r.StartedAt.Add(p.ended - p.begun)
	r.Stdout, r.Stderr = p.pipes.captured()
	p.result = r
	fail := func(err error) { p.err = &Error{Op: "run", Args: p.spec.Args, Err: err} }
	state := p.cmd.ProcessState
	if state != nil {
		r.Code, r.Signal = state.ExitCode(), signalOf(state)
		r.User, r.System = state.UserTime(), state.SystemTime()
	}
	pipeErr := p.pipes.firstErr()
	switch {
	case reason != nil:
		p.err = reason
	case state == nil: // somebody else has reaped it
		fail(p.waitErr)
	case !state.Success():
		p.err = &ExitError{Args: p.spec.Args, Code: r.Code, Signal: r.Signal, Last: r.Stderr.lastLine()}
	case pipeErr != nil:
		fail(pipeErr)
	case held:
		fail(ErrPipesHeld)
	}
}

// A bell rings once, when a time of the engine has come, or with the reason why it does not.
type bell struct {
	c    chan struct{}
	err  error                // set before c is closed
	left func() time.Duration // of one that must not ring early, also if the engine is closed

	mu      sync.Mutex
	x       timer.Expiry
	stopped bool
}

// Expire implements timer.Expirer.
func (b *bell) Expire(err error) {
	if err != nil && b.left != nil {
		left := b.left
		b.left = nil
		go b.instead(left) // not here, where an engine has its lock
		return
	}
	b.err = err
	close(b.c)
}

// instead has the default engine ring.
func (b *bell) instead(left func() time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return
	}
	e := park.Default()
	var err error
	if b.x, err = e.Expire(e.Elapsed()+left(), b); err != nil {
		b.Expire(err)
	}
}

func (b *bell) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.x.Stop()
}

// bell returns a bell that rings after d; never, if d is 0.
func (p *Process) bell(d time.Duration) (*bell, error) {
	return p.newBell(d, false)
}

// sureBell is a bell also when the engine is closed, before or meanwhile: then the default engine rings it.
func (p *Process) sureBell(d time.Duration) (*bell, error) {
	b, err := p.newBell(d, true)
	if err != nil {
		b = &bell{c: make(chan struct{})}
		e := park.Default()
		b.x, err = e.Expire(e.Elapsed()+d, b)
	}
	return b, err
}

func (p *Process) newBell(d time.Duration, sure bool) (*bell, error) {
	b := &bell{c: make(chan struct{})}
	if d <= 0 {
		return b, nil
	}
	at := p.engine.Elapsed() + d
	if at < 0 { // overflowed, or across a bubble's edge, of which Expire tells
		at = math.MaxInt64
	}
	if sure {
		b.left = func() time.Duration { return at - p.engine.Elapsed() }
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	b.x, err = p.engine.Expire(at, b)
	return b, err
}
