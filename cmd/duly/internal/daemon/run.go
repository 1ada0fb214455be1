package daemon

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/wait"
)

// How long what is under way has when a daemon ends, beside its drain.
const (
	lastAnswers = 5 * time.Second  // for requests that are being answered
	forced      = 10 * time.Second // for attempts, after a second signal
	lastGrace   = 10 * time.Second // for commands that were asked to end, and for which nobody waits any more
	killed      = 2 * time.Second  // for those that are killed
)

// Run answers requests and runs tasks until ctx ends or a signal says so; then it lets what runs finish, for the drain timeout, and
// closes everything. It returns nil if no attempt was cut off.
func (d *Daemon) Run(ctx context.Context) error {
	r := &running{Daemon: d, ran: make(chan error, 1), served: make(chan error, len(d.servers)), serving: len(d.servers)}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	r.stop = end
	from := d.newest(ctx, d.config) // before anything can have died
	go func() { r.ran <- d.scheduler.Run(life) }()
	for _, s := range d.servers {
		go func() { r.served <- s.serve() }()
	}
	watched, unwatch := context.WithCancel(context.WithoutCancel(ctx))
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		d.watch(watched)
	}()
	d.announce(ctx)
	r.telling = d.startTelling(ctx, d.config, from)
	err := r.until(ctx)
	err = errors.Join(err, r.drain(ctx))
	r.telling.stop() // it ends while what is left of commands does
	r.outlive()
	r.telling.end()
	err = errors.Join(err, r.shutdown(ctx))
	unwatch()
	<-kept
	err = errors.Join(err, d.Close()) //nolint:contextcheck // it has to close, whatever ctx is
	switch {
	case err != nil: // it is said
	case r.cut:
		d.log.Info("ended, no attempt was cut off")
	default:
		d.log.Info("ended, nothing was cut off")
	}
	return err
}

// A running daemon is one between Open and Close.
type running struct {
	*Daemon

	stop    context.CancelFunc // ends the scheduler's run
	ran     chan error         // how that has ended
	served  chan error         // how servers have ended
	telling *telling

	serving int  // servers of which that was not received
	over    bool // ran was received
	hurried bool // a second signal has come
	cut     bool // a request or a command was not waited for to its end
}

// announce tells everybody that the daemon is there.
func (d *Daemon) announce(ctx context.Context) {
	_, _ = d.process.Stdout.Write([]byte(d.banner())) // nobody has to read it
	for _, p := range d.ports {
		d.log.Info("listening", "on", p.String())
	}
	d.log.Info("ready", "data", d.config.Data, "store", showStore(d.config), "version", d.process.Version, "pid", d.process.PID)
	d.tell(ctx, "READY=1", "STATUS=runs what is due")
}

func (d *Daemon) tell(ctx context.Context, lines ...string) {
	if err := d.notify.tell(ctx, lines...); err != nil {
		d.log.Warn("the init system can't be told", "error", err)
	}
}

// until returns when the daemon is to end, with the error that ends it.
func (r *running) until(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-r.process.Signals:
			switch {
			case slices.Contains(endSignals, s):
				r.log.Info("told to end", "signal", s.String())
				return nil
			case s == reloadSignal:
				r.reload(ctx)
			}
		case err := <-r.ran:
			r.over = true
			return fmt.Errorf("the scheduler has ended: %w", err)
		case err := <-r.served:
			r.serving--
			return err
		case err := <-r.stuck:
			return fmt.Errorf("the daemon has to be started anew: %w", err)
		}
	}
}

// drain lets what runs finish. Requests are answered until it has: whoever waits for a task sees its end.
func (r *running) drain(ctx context.Context) error {
	r.ending.Store(true)
	r.tell(ctx, "STOPPING=1", "STATUS=lets what runs finish")
	r.stop()
	if r.over {
		return nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	for {
		select {
		case err := <-r.ran:
			r.over = true
			return err
		case s := <-r.process.Signals:
			switch {
			case !slices.Contains(endSignals, s):
			case r.hurried:
				cancel() // a third one does not wait at all
			default:
				r.hurried = true
				r.log.Warn("told again to end, what runs is stopped", "signal", s.String())
				defer r.hurry(ctx)()
			}
		}
	}
}

// outlive lets no command run on when the daemon has exited, beside the one that its successor starts for the same task. All have been
// asked to end by now; they have what is left of their graces, unless somebody is in a hurry.
func (r *running) outlive() {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r.commands.Wait()
	}()
	limit, stop := within(context.WithoutCancel(r.patience), lastGrace)
	defer stop()
	for waits := !r.hurried; waits; {
		select {
		case <-gone:
			return
		case <-limit.Done():
			waits = false
		case s := <-r.process.Signals:
			waits = !slices.Contains(endSignals, s)
		}
	}
	r.kill()
	last, stop := within(context.WithoutCancel(r.patience), killed)
	defer stop()
	select {
	case <-gone:
	case <-last.Done():
		r.cut = true
		r.log.Warn("commands run on that can't be killed")
	}
}

// hurry asks what runs to stop, and returns what waits until that has been heard.
func (r *running) hurry(ctx context.Context) (wait func()) {
	ctx, cancel := within(ctx, forced)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.scheduler.Close(ctx) // what is unfinished, Run says too
	}()
	return func() {
		cancel()
		<-done
	}
}

// shutdown ends the servers: streams at once, requests when they are answered.
func (r *running) shutdown(ctx context.Context) error {
	r.endStreams()
	ctx, cancel := within(context.WithoutCancel(ctx), lastAnswers)
	defer cancel()
	var errs []error
	for _, s := range r.servers {
		if err := s.Shutdown(ctx); err != nil {
			r.cut = true
			r.log.Warn("requests are cut off", "on", s.port.String(), "error", err)
			errs = append(errs, s.Close())
		}
	}
	for range r.serving {
		errs = append(errs, <-r.served)
	}
	return errors.Join(errs...)
}

// reload reads all settings and secrets again, and takes them if all are right.
func (r *running) reload(ctx context.Context) {
	r.tell(ctx, "RELOADING=1", monotonic())
	defer r.tell(ctx, "READY=1")
	c, err := Load(r.config.given)
	if err == nil {
		err = r.renew(c)
	}
	if err != nil {
		r.log.Error("the reload is refused, everything stays as it was", "error", err)
		return
	}
	if tellingOf(c) != r.telling.config {
		r.telling.end()
		r.telling = r.startTelling(ctx, c, r.newest(ctx, c))
	}
}

// renew takes what of a configuration can change while a daemon runs, and says of the rest that it needs a restart.
func (r *running) renew(c *Config) error {
	s, err := c.secrets()
	if err != nil {
		return err
	}
	own, text, err := ownToken(home.Token(r.config.Data))
	if err != nil {
		return err
	}
	var later []string
	for i := range Settings {
		if x := &Settings[i]; !x.Reload && x.show(c) != x.show(r.config) {
			later = append(later, x.Key)
		}
	}
	if (c.TLSCert == "") != (r.config.TLSCert == "") {
		later = append(later, "tls_cert")
	}
	if x := settingOf("store"); x.show(c) == x.show(r.config) && c.Store.URL() != r.config.Store.URL() {
		later = append(later, x.Key) // what has changed of it is not shown
	}
	r.take(c, s, own, text)
	r.log.Info("reloaded", "tokens", len(s.tokens)+1, "webhook_secrets", len(s.webhooks), "level", c.LogLevel)
	if len(later) > 0 {
		r.log.Warn("some settings need a restart", "settings", later)
	}
	return nil
}

// watch tells the init system that all is well, as often as it wants to hear so, while the daemon is not stuck.
func (d *Daemon) watch(ctx context.Context) {
	if d.notify.address == "" || d.notify.watch <= 0 {
		return
	}
	for wait.Sleep(ctx, d.notify.watch/2) == nil {
		if why := d.hangs(ctx); why != nil {
			d.log.Error("the init system is not told that all is well", "error", why)
			continue
		}
		d.tell(ctx, "WATCHDOG=1")
	}
}

// hangs is why another process might do better. A store that fails is no such reason, be it that the disk is full or a database away; a disk
// that has not come back from a write for as long as the init system waits for a word is one.
func (d *Daemon) hangs(ctx context.Context) error {
	if d.shared != nil {
		return nil
	}
	if waits := d.disk.waits(time.Now()); waits >= d.notify.watch {
		return fmt.Errorf("the disk has not come back from a write for %v", waits.Round(time.Second))
	}
	asked, cancel := within(ctx, d.notify.watch/2)
	defer cancel()
	if _, err := d.store.Clock(asked); err != nil && asked.Err() != nil {
		return fmt.Errorf("the store does not answer: %w", err)
	}
	return nil
}
