package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dulyhq/duly/cmd/duly/internal/deadman"
	"github.com/dulyhq/duly/cmd/duly/internal/notice"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/target"
)

// tellSettings say whom the daemon tells of what went wrong, and that it lives.
var tellSettings = []Setting{
	address("notify_url", "post a notice to `URL` when a task dies, expires, or is late as --notify-late says", func(c *Config) *string { return &c.NotifyURL }),
	{
		Key: "notify_command", Arg: "PROGRAM", Reload: true, list: true, whole: true, set: setNotifyCommand, show: showNotifyCommand,
		What: "run `PROGRAM`, an absolute path, with the notice as its standard input; repeat for its arguments",
	},
	{
		Key: "notify_late", Arg: "DURATION", Reload: true, set: setNotifyLate, show: func(c *Config) string {
			if c.NotifyLate == 0 {
				return none
			}
			return target.Duration(c.NotifyLate).String()
		},
		What: "tell also of what has not begun `DURATION` after it was due, or none (default: none)",
	},
	reloaded(duration("notify_interval", time.Second, "tell of one task once in `DURATION`, and sum up the rest (default: 1h)",
		func(c *Config) *time.Duration { return &c.NotifyInterval })),
	{
		Key: "notify_limit", Arg: "N", Reload: true, set: setNotifyLimit, show: func(c *Config) string { return strconv.Itoa(c.NotifyLimit) },
		What: "send at most `N` notices in that time, and sum up the rest (default: " + strconv.Itoa(notice.DefaultLimit) + ")",
	},
	address("ping_url", "call `URL` again and again while all is well, so that somebody outside notices when the calls stay out",
		func(c *Config) *string { return &c.PingURL }),
	reloaded(duration("ping_interval", time.Second, "call it every `DURATION` (default: 1m)", func(c *Config) *time.Duration { return &c.PingInterval })),
}

func reloaded(s Setting) Setting {
	s.Reload = true
	return s
}

// address is a setting that is a URL to be called. Who knows the URL may do what it is for, so it is shown without what comes after the host.
func address(key, what string, of func(*Config) *string) Setting {
	return Setting{
		Key: key, Arg: "URL", What: what, Reload: true, secret: true,
		show: func(c *Config) string { return showAddress(*of(c)) },
		set: func(c *Config, values []string) string {
			*of(c) = ""
			if values[0] == none {
				return ""
			}
			want := notice.CheckURL(values[0])
			if want == "" {
				*of(c) = values[0]
			}
			return want
		},
	}
}

func showAddress(text string) string {
	if text == "" {
		return none
	}
	u, err := url.Parse(text)
	if err != nil {
		return target.Redaction
	}
	shown := u.Scheme + "://" + u.Host
	if u.RequestURI() != "/" {
		shown += "/" + target.Redaction
	}
	return shown
}

// leastHidden is how long a path is that may be a secret.
const leastHidden = 8

// addressSecrets are what must not be in a log of the URLs that are called.
func (c *Config) addressSecrets() (texts []string) {
	for _, text := range [...]string{c.NotifyURL, c.PingURL} {
		u, err := url.Parse(text)
		if text == "" || err != nil || u.RequestURI() == "/" {
			continue
		}
		texts = append(texts, text)
		if path := u.RequestURI(); len(path) >= leastHidden {
			texts = append(texts, path, path[1:])
		}
	}
	return texts
}

func setNotifyCommand(c *Config, values []string) string {
	c.NotifyCommand = nil
	if len(values) == 1 && values[0] == none {
		return ""
	}
	if want := notice.CheckCommand(values); want != "" {
		return want
	}
	c.NotifyCommand = values
	return ""
}

func showNotifyCommand(c *Config) string {
	words := make([]string, len(c.NotifyCommand))
	for i, w := range c.NotifyCommand {
		words[i] = wording.Quote(w)
	}
	return orNone(strings.Join(words, " "))
}

func setNotifyLate(c *Config, values []string) string {
	c.NotifyLate = 0
	if values[0] == none {
		return ""
	}
	d, err := target.ParseDuration(values[0])
	if err != nil || time.Duration(d) < time.Second {
		return "a length of time such as 1m30s, at least 1s, or none"
	}
	c.NotifyLate = time.Duration(d)
	return ""
}

func setNotifyLimit(c *Config, values []string) string {
	n, err := strconv.Atoi(values[0])
	if err != nil || n < 1 || n > notice.MostLimit {
		return fmt.Sprintf("a whole number from 1 to %d", notice.MostLimit)
	}
	c.NotifyLimit = n
	return ""
}

// checkTelling refuses what says how to tell and not whom, and a program that is not there.
func (c *Config) checkTelling() error {
	if c.NotifyURL == "" && c.NotifyCommand == nil {
		for _, key := range [...]string{"notify_late", "notify_interval", "notify_limit"} {
			if c.from[key] != "" {
				return &ConfigError{Where: c.where(key), Want: "also --notify-url or --notify-command: nobody is told"}
			}
		}
	}
	if c.PingURL == "" && c.from["ping_interval"] != "" {
		return &ConfigError{Where: c.where("ping_interval"), Want: "also --ping-url: nothing is called"}
	}
	if len(c.NotifyCommand) > 0 {
		if _, err := exec.LookPath(c.NotifyCommand[0]); err != nil {
			if e, ok := errors.AsType[*exec.Error](err); ok {
				err = e.Err
			}
			return &ConfigError{Where: c.where("notify_command"), Value: c.NotifyCommand[0], Want: "a program that is there and may be run: " + err.Error()}
		}
	}
	return nil
}

// A telling is what tells others, as one configuration says.
type telling struct {
	config string // what it depends on
	from   *int64 // the entry of the history behind which it begins if nothing was told before
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// tellingOf is what a telling depends on, of a configuration.
func tellingOf(c *Config) string {
	return fmt.Sprintf("%q %q %v %v %v %q %v", c.NotifyURL, c.NotifyCommand, c.NotifyLate, c.NotifyInterval, c.NotifyLimit, c.PingURL, c.PingInterval)
}

// newest is the newest entry of the history, behind which telling begins as a configuration says; nil if nobody is to be told, or the
// store does not say.
func (d *Daemon) newest(ctx context.Context, c *Config) *int64 {
	if c.NotifyURL == "" && len(c.NotifyCommand) == 0 {
		return nil
	}
	ctx, stop := within(ctx, answering)
	defer stop()
	seq, err := notice.Newest(ctx, d.scheduler)
	if err != nil {
		return nil
	}
	return &seq
}

// startTelling tells others what went wrong behind an entry of the history, and that all is well, until end is called.
func (d *Daemon) startTelling(ctx context.Context, c *Config, from *int64) *telling {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &telling{config: tellingOf(c), from: from, stop: stop}
	d.warnOfAddresses(c)
	agent := "duly/" + d.process.Version
	var proxy func(*http.Request) (*url.URL, error)
	if d.config.CallbackProxy {
		proxy = http.ProxyFromEnvironment
	}
	if c.NotifyURL != "" {
		w := &notice.Webhook{URL: c.NotifyURL, Secrets: func() [][]byte { return *d.webhooks.Load() }, Proxy: proxy, UserAgent: agent}
		d.notifies(ctx, t, c, "url", w.Receiver())
	}
	if len(c.NotifyCommand) > 0 {
		x := &notice.Command{Args: c.NotifyCommand, Kill: d.patience, Logger: d.log}
		d.notifies(ctx, t, c, "command", x.Receiver())
	}
	if c.PingURL != "" {
		o := deadman.Options{
			URL: c.PingURL, Interval: c.PingInterval, Healthy: (&pulse{d: d}).healthy, Proxy: proxy, UserAgent: agent, Logger: d.log,
			Count: func(outcome string) { d.pings.WithLabelValues(outcome).Inc() },
		}
		t.done.Go(func() { deadman.Run(ctx, o) })
	}
	return t
}

// notifies has a receiver told.
func (d *Daemon) notifies(ctx context.Context, t *telling, c *Config, receiver string, r notice.Receiver) {
	notes, ok := d.store.(store.Noter)
	if !ok {
		panic("the store keeps no notes") // both sorts of stores do
	}
	o := notice.Options{
		Scheduler: d.scheduler, Notes: notes, Note: "notices-" + receiver, From: t.from, Receiver: r, Late: c.NotifyLate, Interval: c.NotifyInterval, Limit: c.NotifyLimit,
		Hide: d.veil.hide, Count: func(outcome string) { d.notices.WithLabelValues(receiver, outcome).Inc() }, Logger: d.log, Daemon: hostname(),
		Failing: func(fails bool) { d.health.deaf("--notify-"+receiver, fails) },
	}
	if d.shared != nil {
		o.Self = fmt.Sprintf("%.100s:%d:%08x", o.Daemon, d.process.PID, rand.Uint32())
	}
	t.done.Go(func() { notice.Run(ctx, o) })
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// end ends it, and waits for that.
func (t *telling) end() {
	t.stop()
	t.done.Wait()
}

// tellings are the counters of what was told.
func (d *Daemon) tellings() []prometheus.Collector {
	d.notices = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "duly_notices_total", Help: "Notices that the receiver took (told), that were left to a summary (held_back), and tries that failed (failed).",
	}, []string{"receiver", "outcome"})
	d.pings = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "duly_pings_total", Help: "Calls of the ping URL that were answered (sent), that were not (failed), and that were not made because the daemon was not well (withheld).",
	}, []string{"outcome"})
	if d.config.NotifyURL != "" {
		begin(d.notices, notice.Outcomes, "url")
	}
	if len(d.config.NotifyCommand) > 0 {
		begin(d.notices, notice.Outcomes, "command")
	}
	if d.config.PingURL != "" {
		begin(d.pings, deadman.Outcomes)
	}
	return []prometheus.Collector{d.notices, d.pings}
}

// begin lets counters begin at 0.
func begin(v *prometheus.CounterVec, outcomes []string, labels ...string) {
	for _, o := range outcomes {
		v.WithLabelValues(append(slices.Clone(labels), o)...)
	}
}

// warnOfAddresses tells of addresses that stand where others can read them: whoever knows one can speak in the daemon's place. One may be no
// secret, so that it is not refused.
func (d *Daemon) warnOfAddresses(c *Config) {
	path := cmp.Or(c.given.Config, c.given.Getenv("DULY_CONFIG"))
	info, err := os.Stat(path)
	if path == "" || err != nil {
		return // it is in no file, or that has gone since it was read
	}
	mode := tooOpen(info, notOwners(path))
	if mode == "" {
		return
	}
	for _, key := range [...]string{"notify_url", "ping_url"} {
		if strings.HasPrefix(c.from[key], path+":") {
			d.log.Warn("others can read the configuration file, and with it an address that may be a secret: chmod 600, or give it by a variable",
				"setting", key, "file", path, "mode", mode)
		}
	}
}

// A pulse says whether the daemon is well, in the sense in which a scheduler can be dead.
type pulse struct {
	d       *Daemon
	felt    bool
	started uint64 // attempts, when it was felt last
}

// pulsing is the note that is written for that.
const pulsing = "ping"

// stalled is for how long a task has been due, at least, where nothing starts and nothing runs any more.
const stalled = time.Minute

// healthy is nil if the store can be written and read, the scheduler is at work, and what is due begins.
func (p *pulse) healthy(ctx context.Context) error {
	d := p.d
	if d.ending.Load() {
		return errors.New("the daemon is ending")
	}
	notes, ok := d.store.(store.Noter)
	if ok {
		if err := notes.SetNote(ctx, pulsing, strconv.FormatInt(time.Now().Unix(), 10)); err != nil {
			return fmt.Errorf("the store can't be written: %w", d.config.Store.Hide(err))
		}
	}
	s, err := d.scheduler.Stats(ctx)
	if err != nil {
		return fmt.Errorf("the store can't be read: %w", d.config.Store.Hide(err))
	}
	var started uint64
	var running int64
	for _, k := range s.Kinds {
		started += k.Started
		running += k.Running
	}
	felt, before := p.felt, p.started
	p.felt, p.started = true, started
	// After a restart nothing may have started yet of what fell due while no daemon ran: that is nothing to compare with.
	if felt && s.Overdue.Oldest >= stalled && running == 0 && started == before {
		return fmt.Errorf("nothing starts, and the oldest of %d tasks has been due for %v", s.Overdue.Tasks, s.Overdue.Oldest.Round(time.Second))
	}
	return nil
}
