// Package deadman lets somebody outside notice that a scheduler is dead: a URL is called again and again while all is well, and whoever is
// there raises the alarm when the calls stay out.
//
// It is not for telling what went wrong with a task, which is package notice's. Its central function is [Run].
//
// # What is promised
//
//   - No call is made unless Healthy has just said that all is well. What hangs makes no call either: the question is asked on the way to it,
//     and the pause between two calls is kept by the engine that all waits of this process share.
//   - A call has ten seconds, follows no redirect, and is not repeated before its next turn.
//   - That calls fail, or are withheld, is logged when it begins and when it ends.
package deadman

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/dulyhq/duly/internal/park"
	"github.com/dulyhq/duly/wait"
)

// DefaultInterval is how often a call is made.
const DefaultInterval = time.Minute

// The outcomes that are counted.
const (
	Sent     = "sent"
	Failed   = "failed"
	Withheld = "withheld" // all was not well
)

// Outcomes are all that Options.Count may be told.
var Outcomes = []string{Sent, Failed, Withheld}

const (
	callMost  = 10 * time.Second
	askMost   = 10 * time.Second // for Healthy
	maxHeader = 64 << 10
)

// Options of [Run].
type Options struct {
	URL       string // where calls go; all of it may be secret
	Interval  time.Duration
	Healthy   func(ctx context.Context) error
	Proxy     func(*http.Request) (*url.URL, error)
	UserAgent string
	Count     func(outcome string)
	Logger    *slog.Logger
}

// Run makes calls until ctx ends, the first at once.
func Run(ctx context.Context, o Options) {
	if o.Count == nil {
		o.Count = func(string) {}
	}
	p := pinger{o: &o, client: &http.Client{
		Transport: &http.Transport{
			Proxy: o.Proxy, DisableKeepAlives: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: maxHeader, TLSHandshakeTimeout: callMost,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for ctx.Err() == nil {
		p.turn(ctx)
		_ = wait.Sleep(ctx, o.Interval) // the loop looks at ctx
	}
}

type pinger struct {
	o      *Options
	client *http.Client
	last   string // the outcome of the turn before
}

// turn makes a call if all is well.
func (p *pinger) turn(ctx context.Context) {
	outcome, err := Sent, p.ask(ctx)
	if err != nil {
		outcome = Withheld
	} else if err = p.call(ctx); err != nil {
		outcome = Failed
	}
	if ctx.Err() != nil {
		return
	}
	p.o.Count(outcome)
	if outcome == p.last {
		return
	}
	switch was := p.last; {
	case outcome == Withheld:
		p.o.Logger.WarnContext(ctx, "no pings are sent: the daemon is not well", "error", err)
	case outcome == Failed:
		p.o.Logger.WarnContext(ctx, "pings fail", "error", err)
	case was != "":
		p.o.Logger.InfoContext(ctx, "pings are sent again")
	}
	p.last = outcome
}

func (p *pinger) ask(ctx context.Context) error {
	ctx, stop := park.Within(ctx, askMost, context.DeadlineExceeded)
	defer stop()
	return p.o.Healthy(ctx)
}

// call asks for the URL. GET is what all services of this sort take. The error does not show the URL.
func (p *pinger) call(ctx context.Context) error {
	ctx, stop := park.Within(ctx, callMost, errTooLong)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.o.URL, nil)
	if err != nil {
		return withoutURL(err)
	}
	req.Header.Set("User-Agent", p.o.UserAgent)
	resp, err := p.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return withoutURL(err)
	}
	_ = resp.Body.Close() // the status says it all
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the answer is %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	return nil
}

var errTooLong = errors.New("no answer within " + callMost.String())

func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
