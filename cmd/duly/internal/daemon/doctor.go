package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/schedule"
)

// A Verdict is what a check has come to.
type Verdict string

// The verdicts.
const (
	Fine Verdict = "ok"
	Warn Verdict = "warn" // it works, but not as it should
	Fail Verdict = "fail" // it does not work
)

// A Check is one thing that was looked at.
type Check struct {
	Name    string  `json:"name"` // such as "data directory"; stable
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`           // what was found
	Hint    string  `json:"hint,omitempty"` // what to do about it; empty where it is fine
}

// A Patient is what Examine looks at.
type Patient struct {
	Data    string         // the daemon's directory; "" is one that is not known, or on another machine, and can't be looked into
	Client  *client.Client // of the daemon
	Version string         // of the command line
	Now     func() time.Time

	Patience time.Duration // for each answer of the daemon's; 0 is 10 s
}

// patience is how long a daemon may take for an answer: one that stands still takes connections, and says nothing.
const patience = 10 * time.Second

// Within limits what the daemon is asked.
func (p *Patient) Within(ctx context.Context) (asked context.Context, stop func()) {
	return within(ctx, cmp.Or(p.Patience, patience))
}

// Silence is what is wrong with a daemon that was asked and has not answered in time, and what to do about it. If that is not what err
// says, ok is false.
func (p *Patient) Silence(ctx, asked context.Context, err error) (text, hint string, ok bool) {
	if err == nil || asked.Err() == nil || ctx.Err() != nil {
		return "", "", false
	}
	return fmt.Sprintf("no answer from %s within %v", p.Client.Address(), cmp.Or(p.Patience, patience)),
		"something is there, and stands still: is the process stopped, the machine out of memory, its disk hanging? its log says more", true
}

// little are the bytes below which free space is worth a warning, nothing those below which new tasks are refused if nothing else was said.
const (
	little  = 1 << 30
	nothing = 64 << 20
)

// judged has the daemon's own word on free space counted, if it answers: it knows how much is to be kept free, and where its tasks are.
func judged(space *Check, health []Check) {
	refuses := func(c Check) bool { return c.Name == healthCheck && strings.HasPrefix(c.Text, noSpace+" ") }
	switch {
	case slices.ContainsFunc(health, refuses):
		space.Verdict, space.Hint = Fail, "free some space: no new tasks are taken"
	case space.Verdict == Fail:
		space.Verdict, space.Hint = Warn, "free some space: new tasks are taken as yet"
	}
}

// Examine looks at all that a daemon depends on, and changes nothing. Checks come in the order in which they are to be read: what a
// later one says may follow from an earlier one.
func Examine(ctx context.Context, p Patient) []Check {
	var all []Check
	if p.Data != "" {
		all = append(all, p.directory())
		if all[0].Verdict != Fail {
			all = append(all, p.files(), p.space())
		}
	}
	asked := p.daemon(ctx)
	switch {
	case p.Data == "":
	case !Answers(asked):
		p.owner(&all[0])
	case len(all) > 1:
		judged(&all[len(all)-1], asked)
	}
	all = append(all, asked...)
	return append(all, p.clock(ctx, Answers(all)), zones())
}

// The names of checks that others go by: of whether the daemon answers, and of what it says itself of how it is.
const (
	daemonCheck = "daemon"
	healthCheck = "health"
)

// Answers says whether the daemon did, by what was looked at.
func Answers(checks []Check) bool {
	return !slices.ContainsFunc(checks, func(c Check) bool { return c.Name == daemonCheck && c.Verdict == Fail })
}

func (p *Patient) directory() Check {
	c := Check{Name: "data directory", Verdict: Fine, Text: p.Data}
	info, err := os.Stat(p.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Verdict, c.Text, c.Hint = Fail, p.Data+" is not there", "duly serve makes it"
	case err != nil:
		c.Verdict, c.Text, c.Hint = Fail, err.Error(), "is it another user's?"
	case !info.IsDir():
		c.Verdict, c.Text, c.Hint = Fail, p.Data+" is a file", "--data or DULY_DATA says which directory"
	case tooOpen(info, 0o022) != "":
		c.Verdict, c.Text, c.Hint = Fail, p.Data+" can be written to by others, mode "+tooOpen(info, 0o022), "chmod 700 "+wording.Quote(p.Data)
	case tooOpen(info, 0o077) != "":
		c.Verdict, c.Text, c.Hint = Warn, p.Data+" can be looked into by others, mode "+tooOpen(info, 0o077), "chmod 700 "+wording.Quote(p.Data)
	}
	return c
}

// owner looks whose a directory is for which no daemon answers: one that is started by another user does not take it. Of one that answers
// there is nothing to say, because whoever looks at it may be another user, such as root.
func (p *Patient) owner(c *Check) {
	info, err := os.Stat(p.Data)
	if c.Verdict == Fail || err != nil {
		return // that is said
	}
	if owner := foreign(info, os.Geteuid()); owner != "" {
		c.Verdict, c.Text = Warn, fmt.Sprintf("%s is that of %s, and this user is uid %d", p.Data, owner, os.Geteuid())
		c.Hint = "start the daemon as its owner, or chown -R it: a daemon takes no directory of another user"
	}
}

// files looks for what others can read.
func (p *Patient) files() Check {
	c := Check{Name: "permissions", Verdict: Fine}
	seen, open, first := 0, 0, ""
	err := filepath.WalkDir(p.Data, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the daemon has taken it away meanwhile
			return nil
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		seen++
		if path != p.Data && e.Type()&fs.ModeSymlink == 0 && tooOpen(info, 0o077) != "" {
			if open++; first == "" {
				first = path
			}
		}
		return nil
	})
	c.Text = fmt.Sprintf("%d files, none of which others can read", seen)
	switch {
	case err != nil:
		c.Verdict, c.Text, c.Hint = Fail, err.Error(), "is it another user's?"
	case open > 0:
		c.Verdict, c.Hint = Warn, "chmod -R go= "+wording.Quote(p.Data)
		c.Text = fmt.Sprintf("%d files can be read or used by others, such as %s", open, first)
	}
	return c
}

func (p *Patient) space() Check {
	c := Check{Name: "free space", Verdict: Fine}
	u, err := vfs.Default.GetDiskUsage(p.Data)
	if err != nil {
		c.Verdict, c.Text = Warn, "it can't be told: "+err.Error()
		return c
	}
	free := int64(min(u.AvailBytes, 1<<62))
	c.Text = roughly(free)
	switch {
	case free < nothing:
		c.Verdict, c.Hint = Fail, "free some space: no new tasks are taken, unless --min-free says less"
	case free < little:
		c.Verdict, c.Hint = Warn, "free some space: below --min-free, "+roughly(nothing)+" if it is not said, no new tasks are taken"
	}
	return c
}

// roughly is a number of bytes as people say it.
func roughly(n int64) string {
	for _, u := range []struct {
		name  string
		bytes int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= u.bytes {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.bytes), u.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

// Ready looks at nothing but whether the daemon is ready, which costs it next to nothing, however much is pending.
func (p *Patient) Ready(ctx context.Context) Check {
	c := Check{Name: daemonCheck, Verdict: Fine, Text: "answers at " + p.Client.Address()}
	asked, stop := p.Within(ctx)
	defer stop()
	if err := p.Client.Ready(asked); err != nil {
		c.Verdict, c.Text, c.Hint = Fail, err.Error(), "duly serve starts one; its log says more"
		if errors.Is(err, api.ErrUnavailable) {
			c.Hint = "it is there, and goes on by itself when what it waits for is back; its log says more"
		}
		if text, hint, ok := p.Silence(ctx, asked, err); ok {
			c.Text, c.Hint = text, hint
		}
	}
	return c
}

// daemon looks at whoever answers.
func (p *Patient) daemon(ctx context.Context) []Check {
	c := p.Ready(ctx)
	if c.Verdict == Fail {
		return append([]Check{c}, p.socket()...)
	}
	v := Check{Name: "version", Verdict: Fine, Text: p.Version}
	st := Check{Name: "store", Verdict: Fine, Text: "nothing has failed"}
	asked, stop := p.Within(ctx)
	defer stop()
	s, err := p.Client.Stats(asked)
	switch {
	case err != nil:
		c.Verdict, c.Text = Fail, err.Error()
		if text, hint, ok := p.Silence(ctx, asked, err); ok {
			c.Text, c.Hint = text, hint
		}
		return []Check{c}
	case s.Version != p.Version:
		v.Verdict, v.Text = Warn, fmt.Sprintf("the daemon is %s, this is %s", s.Version, p.Version)
		v.Hint = "restart the daemon with this version: it drains first, and loses nothing"
	}
	if s.StoreErrors > 0 {
		st.Verdict, st.Text, st.Hint = Warn, fmt.Sprintf("%d calls have failed since the daemon started", s.StoreErrors), "the daemon's log says why"
	}
	all := append(append([]Check{c}, p.socket()...), v, st)
	if s.Store != nil && s.Store.Node != "" {
		all[len(all)-1].Text += "; " + storeText(s.Store)
		all = append(all, nodes(s.Store), serverClock(s.Store))
	}
	return append(all, healthChecks(s.Problems)...)
}

// healthHints say what to do about the problems that a daemon tells of.
var healthHints = map[string]string{
	storeFails:    "look at the disk, and at what the kernel says of it: the daemon goes on by itself when the disk comes back",
	noSpace:       "free some space: what is there goes on, and new tasks are taken again by themselves",
	noOutput:      "free some space, or look at who may write to the data directory: tasks run all the same",
	noDescriptors: "let the daemon have more descriptors (ulimit -n, LimitNOFILE=), or fewer attempts at a time (--workers)",
	noProcesses:   "let the daemon have more processes (ulimit -u, TasksMax=) or memory, or fewer attempts at a time (--workers)",
	notTold:       "look at the receiver, and in the daemon's log for what it answers: what it has missed is told when it takes notices again",
	clockWasSet:   "if it is right now there is nothing to do: tasks follow it",
}

// healthChecks are the daemon's own words about how it is.
func healthChecks(problems []api.HealthProblem) (all []Check) {
	for _, w := range problems {
		c := Check{Name: healthCheck, Verdict: Warn, Text: w.Slug + " since " + w.Since.Format(time.RFC3339) + ": " + w.Detail, Hint: healthHints[w.Slug]}
		if c.Hint == "" {
			c.Hint = "the daemon's log says more"
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		all = []Check{{Name: healthCheck, Verdict: Fine, Text: "the daemon knows of no problem"}}
	}
	return all
}

// storeText says which database it is.
func storeText(s *api.StoreState) string {
	return fmt.Sprintf("tasks are in %s, schema %s of version %d, PostgreSQL %s", s.At, s.Schema, s.Version, s.Server)
}

// nodes looks at how daemons divide the work of a database.
func nodes(s *api.StoreState) Check {
	c := Check{Name: "nodes", Verdict: Fine}
	live := 0
	for i := range s.Nodes {
		if s.Nodes[i].State == "live" {
			live++
		}
	}
	c.Text = fmt.Sprintf("this one, %s, has %d of 256 shards; %d of %d live", s.Node, s.Shards, live, len(s.Nodes))
	switch {
	case s.StandsDown != "":
		c.Verdict, c.Text, c.Hint = Warn, "this one stands down and starts nothing: "+s.StandsDown, "set this machine's clock right"
	case !s.Connected:
		c.Verdict, c.Text, c.Hint = Warn, "this one has no connection and starts nothing", "it tries again by itself; the daemon's log says more"
	case s.Shards == 0:
		c.Verdict, c.Hint = Warn, "if that stays so, the daemon's log says why: others have all the work"
	}
	return c
}

// standDown is how far off a node's clock may be.
const standDown = time.Second

// serverClock compares this machine's clock with the one that tasks follow (contract H4).
func serverClock(s *api.StoreState) Check {
	off := time.Duration(s.ClockOffset)
	side := "ahead of"
	if off < 0 {
		side = "behind"
	}
	c := Check{Name: "server clock", Verdict: Fine, Text: fmt.Sprintf("this machine's is %v %s the database's, ± %v", off.Abs().Round(time.Microsecond), side, time.Duration(s.Uncertainty).Round(time.Microsecond))}
	if off.Abs() > standDown {
		c.Verdict, c.Hint = Warn, "set this machine's clock: tasks follow the database's, and a node that is more than a second off takes no part"
	}
	return c
}

// socket looks at the file by which the owner's command line finds the daemon.
func (p *Patient) socket() []Check {
	if p.Data == "" {
		return nil
	}
	c := Check{Name: "socket", Verdict: Fine}
	path, err := home.Socket(p.Data)
	if err != nil {
		c.Verdict, c.Text = Warn, err.Error()
		return []Check{c}
	}
	if asked := p.Client.Address(); filepath.IsAbs(asked) && asked != path {
		return nil // it listens elsewhere, as under systemd
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Verdict, c.Text, c.Hint = Warn, path+" is not there", "no daemon runs, or it was given another --socket"
	case err != nil:
		c.Verdict, c.Text = Fail, err.Error()
	case info.Mode()&fs.ModeSocket == 0:
		c.Verdict, c.Text, c.Hint = Fail, path+" is no socket", "move it away: the daemon does not"
	case tooOpen(info, 0o077) != "":
		c.Verdict, c.Text, c.Hint = Fail, "others may use it, mode "+tooOpen(info, 0o077), "chmod 600 "+wording.Quote(path)
	default:
		c.Text = path
	}
	return []Check{c}
}

// clock looks for what makes tasks late or early without anybody's fault.
func (p *Patient) clock(ctx context.Context, answers bool) Check {
	c := Check{Name: "clock", Verdict: Fine, Text: "kept by the network"}
	now := p.Now()
	switch keeping := clockKept(); {
	case now.Year() < 2025:
		c.Verdict, c.Text, c.Hint = Fail, "it says "+now.UTC().Format(time.RFC3339), "set it"
		return c
	case keeping == unkept:
		c.Verdict, c.Text, c.Hint = Warn, "nobody keeps it right", "start chronyd, ntpd or systemd-timesyncd: calendar times follow this clock"
	case keeping == unknown:
		c.Text = "it says " + now.UTC().Format(time.RFC3339) + "; whether anybody keeps it right is not known"
	}
	if !answers {
		return c
	}
	asked, stop := p.Within(ctx)
	defer stop()
	// What has happened can't be in the future, unless the clock was set back since.
	events, err := p.Client.History(asked, client.HistoryQuery{Newest: true, Limit: 1})
	if err == nil && len(events) > 0 {
		if ahead := events[0].At.Sub(now); ahead > time.Second {
			c.Verdict, c.Text = Warn, "it was set back: the last thing that happened is "+ahead.Round(time.Second).String()+" ahead of it"
			c.Hint = "what is due waits for it: set it right if it is not"
		}
	}
	return c
}

// A keeping says whether somebody keeps the clock right.
type keeping uint8

const (
	unknown keeping = iota
	kept
	unkept
)

func zones() Check {
	c := Check{Name: "time zones", Verdict: Fine, Text: schedule.TZData()}
	if _, err := time.LoadLocation("Europe/Berlin"); err != nil {
		c.Verdict, c.Text, c.Hint = Fail, err.Error(), "install tzdata"
	} else if strings.HasPrefix(c.Text, "the copy of ") {
		c.Verdict, c.Hint = Warn, "install tzdata: what was decided about daylight saving since this was built is not known here"
	}
	return c
}
