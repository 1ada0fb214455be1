package notice

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/target"
)

const (
	webhookMost = 10 * time.Second // for a whole answer
	commandMost = time.Minute      // for a command
)

// A Webhook is where notices are posted to.
type Webhook struct {
	URL       string
	Secrets   func() [][]byte // sign, as those of callbacks do
	Proxy     func(*http.Request) (*url.URL, error)
	UserAgent string
}

// CheckURL says what is wrong with a URL that a webhook is to have, "" if nothing is.
func CheckURL(text string) (want string) {
	err := target.Callback{URL: text}.Check()
	if e, ok := errors.AsType[*target.Error](err); ok {
		return e.Want
	}
	return ""
}

// callback is the request without what belongs to one notice.
func (w *Webhook) callback() target.Callback {
	return target.Callback{URL: w.URL, Header: map[string]string{"Content-Type": "application/json"}}
}

// everywhere allows all addresses: whoever says where notices go may reach from this machine what they like. A task's owner has no say in
// it, no redirect is followed, and nobody is shown the answer.
var everywhere = target.Addresses{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}}

// Receiver posts notices as callbacks are: signed, with the notice's id for the receiver to know one again by.
func (w *Webhook) Receiver() Receiver {
	call := target.Callbacks(target.CallbackOptions{
		Secrets: w.Secrets, Allow: everywhere, Proxy: w.Proxy, UserAgent: w.UserAgent, Longest: webhookMost,
	})
	return func(ctx context.Context, n *Notice, try int) error {
		c := w.callback()
		c.Body = string(n.JSON())
		return call(ctx, &duly.Attempt[target.Callback]{AttemptInfo: attempt(n, target.KindHTTP, try), Payload: c})
	}
}

// attempt is what a handler of tasks is told of a try.
func attempt(n *Notice, kind string, try int) *duly.AttemptInfo {
	a := &duly.AttemptInfo{Namespace: n.Namespace, Name: n.Name, Kind: kind, RunID: n.ID, Number: try, ScheduledFor: n.At, Due: n.At, Started: n.At}
	if a.Name == "" {
		a.Name = n.What
	}
	return a
}

// CheckCommand says what is wrong with a program and its arguments, "" if nothing is.
func CheckCommand(args []string) (want string) {
	err := target.Command{Args: args}.Check()
	if e, ok := errors.AsType[*target.Error](err); ok {
		return e.Want
	}
	if !filepath.IsAbs(args[0]) {
		return "a program by its absolute path"
	}
	return ""
}

// A Command is a program that is told: the notice is its standard input, and what is most needed of it is in variables. It runs as a command
// of a task does, in a group of its own and without the daemon's environment. It has a minute.
type Command struct {
	Args   []string
	Kill   context.Context //nolint:containedctx // when it ends, what runs is killed; it is not of a call
	Logger *slog.Logger
}

// Receiver runs the program for each notice.
func (c *Command) Receiver() Receiver {
	run := target.Commands(target.CommandOptions{Kill: c.Kill, Logger: c.Logger})
	return func(ctx context.Context, n *Notice, try int) error {
		ctx, stop := park.Within(ctx, commandMost, errTooLong)
		defer stop()
		what := target.Command{Args: c.Args, Stdin: string(n.JSON()), Env: variables(n)}
		return run(ctx, &duly.Attempt[target.Command]{AttemptInfo: attempt(n, target.KindCommand, try), Payload: what})
	}
}

var errTooLong = errors.New("it has not ended within " + commandMost.String())

// variables are those of a command. None has what an attempt has printed: that is in the standard input alone.
func variables(n *Notice) map[string]string {
	all := map[string]string{
		"DULY_NOTICE_ID": n.ID, "DULY_NOTICE_WHAT": n.What, "DULY_NOTICE_NAME": n.Name, "DULY_NOTICE_NAMESPACE": n.Namespace, "DULY_NOTICE_KIND": n.Kind,
		"DULY_NOTICE_RUN_ID": n.RunID, "DULY_NOTICE_AT": n.At.Format(time.RFC3339Nano),
	}
	if n.DueAt != nil {
		all["DULY_NOTICE_DUE_AT"] = n.DueAt.Format(time.RFC3339Nano)
	}
	for name, v := range all {
		if v == "" || strings.Contains(v, target.Redaction) { // a name of the latter sort is refused as a variable
			delete(all, name)
		}
	}
	return all
}
