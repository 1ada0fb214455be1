package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/target"
	dulyprom "github.com/dulyhq/duly/telemetry/prometheus"
)

// A Process is what a daemon has of the process that it is.
type Process struct {
	Stdout, Stderr io.Writer
	Signals        <-chan os.Signal    // those of Signals; nil: it is ended by its context alone
	Getenv         func(string) string // nil: nothing is set
	PID            int
	Name           string // by which whoever started it calls the command; "" is "duly"
	Version        string
}

// A Daemon has everything open and bound, and runs when Run is called.
type Daemon struct {
	config  *Config
	process Process
	limits  limits

	log      *slog.Logger
	level    slog.LevelVar
	veil     *veil
	guard    guard
	health   *health
	cert     atomic.Pointer[certificate]
	webhooks atomic.Pointer[[][]byte]
	notify   notifier
	notices  *prometheus.CounterVec
	pings    *prometheus.CounterVec
	ending   atomic.Bool

	ports     []*port
	servers   []*server
	places    *places // of connections over TCP, at all ports
	store     store.Store
	shared    *sharing // nil: the store is in the directory
	disk      disk     // of the directory, as far as the store writes there
	usage     func(dir string) (vfs.DiskUsage, error)
	looks     chan struct{} // has room for one, who looks at the disk
	stuck     chan error    // gets why the store in the directory can't go on in this process; it is told of once
	lock      io.Closer     // of the directory
	outputs   *target.Outputs
	scheduler *duly.Scheduler

	streams    context.Context //nolint:containedctx // it ends answers that have no end of their own
	endStreams context.CancelFunc
	patience   context.Context //nolint:containedctx // when it ends, commands are killed
	kill       context.CancelFunc
	commands   sync.WaitGroup // that run
	copying    sync.Mutex     // held while a backup is taken
	closing    sync.Once
	closed     error
}

// Run opens a daemon and runs it until ctx ends or it is told to end by a signal.
func Run(ctx context.Context, c *Config, p Process) error {
	makeThreads(spareThreads)
	return runFitted(ctx, c, p, readKernel)
}

// runFitted fits the memory before anything is opened: what holds much asks how much there is when it is made.
func runFitted(ctx context.Context, c *Config, p Process, read func(name string) string) error {
	most, limit := fitMemory(p.Getenv, read)
	d, err := Open(ctx, c, p)
	if err != nil {
		return err
	}
	defer d.takeLog()()
	if most > 0 {
		d.log.Info("memory is limited by the control group", "bytes", most, "collects_garbage_at", limit)
	}
	return d.Run(ctx)
}

// Open binds and opens all that a daemon needs. It is to be followed by Run or Close. After an error nothing is left open or bound.
func Open(ctx context.Context, c *Config, p Process) (d *Daemon, err error) {
	return open(ctx, c, p, usualLimits)
}

func open(ctx context.Context, c *Config, p Process, l limits) (d *Daemon, err error) {
	if p.Getenv == nil {
		p.Getenv = func(string) string { return "" }
	}
	if p.Name == "" {
		p.Name = "duly"
	}
	d = &Daemon{config: c, process: p, limits: l, stuck: make(chan error, 1), veil: &veil{to: p.Stderr}, notify: newNotifier(p.Getenv, p.PID)}
	d.usage, d.looks = vfs.Default.GetDiskUsage, make(chan struct{}, 1)
	d.log = newLogger(d.veil, c.LogFormat, &d.level)
	d.health = newHealth(d.log)
	d.streams, d.endStreams = context.WithCancel(context.WithoutCancel(ctx))
	d.patience, d.kill = context.WithCancel(context.WithoutCancel(ctx))
	defer func(h *health) {
		if err != nil {
			h.close()
		}
	}(d.health)
	s, err := c.secrets()
	if err != nil {
		return nil, err
	}
	keepDescriptors()
	handed, err := handedOver(p.Getenv, p.PID)
	if err != nil {
		return nil, err
	}
	if d.ports, err = c.bindTCP(ctx, handed); err != nil {
		return nil, err
	}
	if c.socketGiven {
		err = d.bindUnix(ctx)
	}
	undo := func() {}
	if err == nil {
		undo, err = makeDir(c.Data)
	}
	if err == nil {
		if err = d.fill(ctx, s); err != nil {
			err = errors.Join(err, d.Close()) //nolint:contextcheck // it has to close, whatever ctx is
			undo()
		}
	}
	if err != nil {
		closePorts(d.ports)
		d.endStreams()
		d.kill()
		return nil, err
	}
	return d, nil
}

// bindUnix binds the socket, if there is to be one.
func (d *Daemon) bindUnix(ctx context.Context) error {
	if d.config.Socket == "" {
		return nil
	}
	p, err := d.config.bindUnix(ctx)
	if err == nil {
		d.ports = slices.Insert(d.ports, 0, p)
	}
	return err
}

// fill opens what is in the data directory.
func (d *Daemon) fill(ctx context.Context, s *secrets) error {
	c := d.config
	if err := d.openStore(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(home.Copying(c.Data)); err != nil { // of a backup in whose middle a daemon was killed
		return err
	}
	own, text, err := ownToken(home.Token(c.Data))
	if err != nil {
		return err
	}
	d.take(c, s, own, text)
	d.outputs, err = target.OpenOutputs(home.Output(c.Data), target.OutputOptions{MaxAge: c.OutputAge, MaxBytes: c.OutputBytes, Logger: d.log})
	if err != nil {
		return err
	}
	if d.scheduler, err = duly.New(duly.Options{
		Store: d.store, Workers: c.Workers, DrainTimeout: c.DrainTimeout, Logger: d.log, Retention: duly.Retention{History: c.HistoryAge},
	}); err != nil {
		return err
	}
	d.handle()
	if d.Socket() == "" { // that of the directory, which is ours from the moment on at which the store is
		if err := d.bindUnix(ctx); err != nil {
			return err
		}
	}
	d.serveAll()
	return nil
}

// take puts what is secret in place, all of it new.
func (d *Daemon) take(c *Config, s *secrets, own credential, text string) {
	if d.guard.replace(append([]credential{own}, s.tokens...)) {
		d.places.forget()
	}
	d.webhooks.Store(&s.webhooks)
	if s.cert != nil {
		d.cert.Store(s.cert)
	}
	d.veil.keep(slices.Concat(s.texts, []string{text}, c.Store.Secrets(), d.config.Store.Secrets(), c.addressSecrets(), d.config.addressSecrets()))
	d.level.Set(level(c.LogLevel))
}

// handle ties the daemon's kinds to what runs them.
func (d *Daemon) handle() {
	c := d.config
	command := target.Commands(target.CommandOptions{Outputs: d.outputs, Kill: d.patience, Scarce: d.health.scarce(unstarted), Logger: d.log})
	duly.Handle(d.scheduler, target.KindCommand, func(ctx context.Context, a *duly.Attempt[target.Command]) error {
		d.commands.Add(1)
		defer d.commands.Done()
		return command(ctx, a)
	})
	o := target.CallbackOptions{
		Outputs: d.outputs, Secrets: func() [][]byte { return *d.webhooks.Load() }, Allow: c.addresses(), UserAgent: "duly/" + d.process.Version,
		Scarce: d.health.scarce(unsent),
	}
	if c.CallbackProxy {
		o.Proxy = http.ProxyFromEnvironment
	}
	duly.Handle(d.scheduler, target.KindHTTP, target.Callbacks(o), duly.WithCodec(target.CallbackCodec{}), duly.Use(roomy))
}

// roomy is for handlers that use more of the stack than a new goroutine has: it makes room for them while there is hardly anything on it.
// Otherwise it is found to be too small again and again, deep in a request, and each time all that is on it is copied.
func roomy(next duly.HandlerFunc) duly.HandlerFunc {
	return func(ctx context.Context, a *duly.AttemptInfo) error {
		room(a.Number)
		return next(ctx, a)
	}
}

// room uses more than 4 KiB of the stack.
//
//go:noinline
func room(i int) byte {
	var frame [6 << 10]byte
	return frame[i%len(frame)]
}

func (c *Config) addresses() target.Addresses {
	return target.Addresses{Private: c.AllowPrivate, Allow: c.AllowAddresses}
}

// serveAll makes a server for each port. What may be done there is what differs.
func (d *Daemon) serveAll() {
	o := api.Options{
		Outputs: d.outputs, Commands: true, Callbacks: true, CheckCallback: d.config.addresses().Check, Defaults: target.Defaults,
		Metrics: d.metrics(), Ready: d.ready, Problems: d.problems, Backup: d.backup, Store: d.state, Version: d.process.Version, Logger: d.log,
	}
	d.places = newPlaces(d.limits.conns)
	for _, p := range d.ports {
		o := o
		var g *guard
		if !p.socket {
			g = &d.guard
			o.Authorize, o.Hosts = d.guard.allow, d.config.names(p)
			o.Commands = !p.beyond || d.config.AllowCommands
		}
		s := newServer(d.streams, p, api.New(d.scheduler, o), g, d.limits, d.log)
		s.health, s.places = d.health, d.places
		if p.secure {
			s.TLSConfig = tlsConfig(&d.cert)
		}
		d.servers = append(d.servers, s)
	}
}

func (d *Daemon) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		dulyprom.New(d.scheduler, dulyprom.Logger(d.log)), newProblemMetric(d),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	r.MustRegister(d.tellings()...)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelWarn)})
}

// ready says whether the daemon takes new work.
func (d *Daemon) ready(ctx context.Context) error {
	if d.ending.Load() {
		return fmt.Errorf("%w: the daemon is ending", api.ErrUnavailable)
	}
	return d.answers(ctx)
}

// Socket is the path of the unix socket that requests are answered on; "" is none.
func (d *Daemon) Socket() string {
	for _, p := range d.ports {
		if p.socket {
			return p.Addr().String()
		}
	}
	return ""
}

// Addrs are the addresses of TCP that requests are answered on.
func (d *Daemon) Addrs() (all []net.Addr) {
	for _, p := range d.ports {
		if !p.socket {
			all = append(all, p.Addr())
		}
	}
	return all
}

// Close closes what Open has opened. Run does so itself.
func (d *Daemon) Close() error {
	d.closing.Do(func() { d.closed = d.close() })
	return d.closed
}

func (d *Daemon) close() error {
	d.endStreams()
	d.kill()
	closePorts(d.ports)
	d.health.close()
	var errs []error
	if d.scheduler != nil {
		ctx, cancel := within(context.WithoutCancel(d.streams), time.Second)
		defer cancel()
		errs = append(errs, d.scheduler.Close(ctx))
	}
	if d.outputs != nil {
		errs = append(errs, d.outputs.Close())
	}
	if d.store != nil {
		errs = append(errs, d.store.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close())
	}
	return errors.Join(errs...)
}
