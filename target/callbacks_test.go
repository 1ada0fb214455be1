package target_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/target"
)

// here allows what tests listen on.
var here = target.Addresses{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}}

// listening returns the URL of a server that answers with h.
func listening(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// called runs one attempt at a callback, and returns what is kept of it and what its handler says.
func called(ctx context.Context, t *testing.T, o target.CallbackOptions, c target.Callback) (a target.Attempt, body string, err error) {
	t.Helper()
	return calledWithin(ctx, t, o, c, 0)
}

// calledWithin does that for an attempt with a timeout, which the test keeps by ctx.
func calledWithin(ctx context.Context, t *testing.T, o target.CallbackOptions, c target.Callback, timeout time.Duration) (a target.Attempt, body string, err error) {
	t.Helper()
	out, openErr := target.OpenOutputs(t.TempDir(), target.OutputOptions{})
	if openErr != nil {
		t.Fatal(openErr)
	}
	defer func() {
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	}()
	o.Outputs = out
	i := info("tea ü.1", 3)
	i.Kind, i.Started, i.Timeout = target.KindHTTP, time.Now(), timeout
	err = target.Callbacks(o)(ctx, &duly.Attempt[target.Callback]{AttemptInfo: i, Payload: c})
	a, body = only(context.WithoutCancel(ctx), t, out, i)
	return a, body, err
}

func TestCallbackRequest(t *testing.T) {
	type request struct {
		Method, Path, Body string
		Header             http.Header
	}
	var got request
	at := listening(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got = request{r.Method, r.URL.RequestURI(), string(b), r.Header}
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "thanks")
	})
	key := bytes.Repeat([]byte{7}, 32)
	o := target.CallbackOptions{Allow: here, Clock: clock.NewManual(epoch), Secrets: func() [][]byte { return [][]byte{key} }, UserAgent: "duly/1.2"}
	a, body, err := called(t.Context(), t, o, target.Callback{
		URL: at + "/a%2Fb?c=d", Body: `{"tea":true}`, Header: map[string]string{"content-type": "application/json", "Authorization": "Bearer hush"},
	})
	if err != nil || body != "thanks" || a.Outcome != target.OutcomeDone || a.Status != 201 || a.Bytes != 6 || a.Omitted != 0 || a.Reason != "" {
		t.Errorf("%v, %q, %+v", err, body, a)
	}
	const id = "ns/tea%20%C3%BC%2E1@1@5"
	mac := hmac.New(sha256.New, key)
	mac.Write(fmt.Appendf(nil, "%s.%d.%s", id, epoch.Unix(), `{"tea":true}`))
	want := request{"POST", "/a%2Fb?c=d", `{"tea":true}`, http.Header{
		"Authorization": {"Bearer hush"}, "Content-Length": {"12"}, "Content-Type": {"application/json"}, "User-Agent": {"duly/1.2"},
		"Duly-Attempt": {"3"}, "Duly-Fence": {"3"}, "Duly-Name": {"tea%20%C3%BC%2E1"}, "Duly-Namespace": {"ns"}, "Duly-Run-Id": {id},
		"Duly-Scheduled-For": {"2027-03-04T05:06:07Z"}, "Idempotency-Key": {id},
		"Webhook-Id": {id}, "Webhook-Timestamp": {strconv.FormatInt(epoch.Unix(), 10)},
		"Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if plain, err := url.PathUnescape(id); err != nil || plain != "ns/tea ü.1@1@5" {
		t.Errorf("%q, %v", plain, err)
	}
	o.Secrets = nil
	if _, _, err := called(t.Context(), t, o, target.Callback{URL: at, Method: http.MethodPut}); err != nil || got.Method != http.MethodPut || got.Header["Webhook-Signature"] != nil {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestCallbackOutcomes(t *testing.T) {
	for name, x := range map[string]struct {
		status  int
		header  string // Retry-After
		outcome string
		after   time.Duration // of the next attempt; 0 is what the policy says, -1 never
	}{
		"200": {200, "", target.OutcomeDone, 0}, "204": {204, "", target.OutcomeDone, 0}, "299": {299, "7", target.OutcomeDone, 0},
		"304": {304, "", target.OutcomeFailed, 0}, "400": {400, "7", target.OutcomeFailed, 0}, "404": {404, "", target.OutcomeFailed, 0},
		"410": {410, "7", target.OutcomePermanent, -1}, "500": {500, "7", target.OutcomeFailed, 0}, "502": {502, "", target.OutcomeFailed, 0},
		"429":              {429, "", target.OutcomeFailed, 0},
		"429 in seconds":   {429, "120", target.OutcomeFailed, 2 * time.Minute},
		"503 in seconds":   {503, " 1 ", target.OutcomeFailed, time.Second},
		"503 at a date":    {503, epoch.Add(90 * time.Second).Format(http.TimeFormat), target.OutcomeFailed, 90 * time.Second},
		"503 then":         {503, epoch.Add(-time.Second).Format(http.TimeFormat), target.OutcomeFailed, 0},
		"503 at once":      {503, "0", target.OutcomeFailed, 0},
		"503 in a week":    {503, "604800", target.OutcomeFailed, 24 * time.Hour},
		"503 next year":    {503, epoch.AddDate(1, 0, 0).Format(http.TimeFormat), target.OutcomeFailed, 24 * time.Hour},
		"503 never":        {503, "99999999999999999999999", target.OutcomeFailed, 24 * time.Hour},
		"503 before":       {503, "-5", target.OutcomeFailed, 0},
		"503 in words":     {503, "soon", target.OutcomeFailed, 0},
		"503 a half":       {503, "1.5", target.OutcomeFailed, 0},
		"503 another date": {503, epoch.Add(time.Hour).Format("Monday, 02-Jan-06 15:04:05 GMT"), target.OutcomeFailed, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := listening(t, func(w http.ResponseWriter, _ *http.Request) {
				if x.header != "" {
					w.Header().Set("Retry-After", x.header)
				}
				w.WriteHeader(x.status)
			})
			a, _, err := called(t.Context(), t, target.CallbackOptions{Allow: here, Clock: clock.NewManual(epoch)}, target.Callback{URL: at})
			if a.Outcome != x.outcome || a.Status != x.status || (err == nil) != (x.outcome == target.OutcomeDone) {
				t.Errorf("%+v, %v", a, err)
			}
			if err == nil {
				return
			}
			if want := "the answer is " + strconv.Itoa(x.status) + " " + http.StatusText(x.status); !strings.HasPrefix(err.Error(), want) || err.Error() != a.Reason {
				t.Errorf("%q, %q; want %q", err, a.Reason, want)
			}
			if got := nextAfter(t, err); got != x.after {
				t.Errorf("the next attempt is in %v, want %v", got, x.after)
			}
		})
	}
}

// nextAfter returns when a scheduler tries again after an error: -1 is never, 0 what its policy says.
func nextAfter(t *testing.T, err error) time.Duration {
	t.Helper()
	m := clock.NewManual(epoch)
	s, newErr := duly.New(duly.Options{Clock: m, Logger: slog.New(slog.DiscardHandler)})
	if newErr != nil {
		t.Fatal(newErr)
	}
	k := duly.Handle(s, "k", func(context.Context, *duly.Attempt[int]) error { return err }, duly.Defaults(duly.Retry(duly.RetryPolicy{Backoff: 1, MaxBackoff: 1})))
	if _, err := k.Put(t.Context(), "x", 0, schedule.After(0)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for e, err := range s.Events(ctx, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if e.To.String() == "dead" {
			return -1
		}
		break
	}
	task, getErr := s.Get(t.Context(), "x")
	if getErr != nil || len(task.Runs) != 1 {
		t.Fatalf("%+v, %v", task, getErr)
	}
	if d := task.Runs[0].Due.Sub(epoch); d > time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return 0
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var followed atomic.Bool
	other := listening(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	at := listening(t, func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.URL.Path[1:])
		http.Redirect(w, r, other+"/there?token=hush", code)
	})
	for _, code := range []string{"301", "302", "303", "307", "308"} {
		a, _, err := called(t.Context(), t, target.CallbackOptions{Allow: here}, target.Callback{URL: at + "/" + code})
		if err == nil || a.Outcome != target.OutcomeFailed || !strings.Contains(a.Reason, "redirects are not followed: it is to \""+other+"/there") || strings.Contains(a.Reason, "hush") {
			t.Errorf("%v, %+v", err, a)
		}
	}
	if followed.Load() {
		t.Error("followed")
	}
}

func TestAnswerIsLimited(t *testing.T) {
	at := listening(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[1:])
		if r.URL.RawQuery == "length" {
			w.Header().Set("Content-Length", strconv.Itoa(n))
		}
		for range n / 1000 {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1000)); err != nil {
				return
			}
		}
	})
	for path, want := range map[string][2]int64{ // kept, left out
		"/0": {}, "/4000": {4000, 0}, "/5000": {5000, 0}, "/6000": {5000, 1}, "/6000?length": {5000, 1000}, "/1000000000": {5000, 1}, "/1000000000?length": {5000, 1e9 - 5000},
	} {
		a, body, err := called(t.Context(), t, target.CallbackOptions{Allow: here}, target.Callback{URL: at + path, OutputLimit: 5000})
		if err != nil || int64(len(body)) != want[0] || a.Omitted != want[1] || a.Bytes != want[0]+want[1] || a.Outcome != target.OutcomeDone {
			t.Errorf("%s: %v, %d bytes, %+v", path, err, len(body), a)
		}
	}
	big := listening(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Big", strings.Repeat("x", 100_000)) })
	if a, _, err := called(t.Context(), t, target.CallbackOptions{Allow: here}, target.Callback{URL: big}); err == nil || a.Outcome != target.OutcomeFailed {
		t.Errorf("%v, %+v", err, a)
	}
}

// An attempt ends with its context, wherever the other side lets it wait; and after Longest without one that ends.
func TestCallbackEndsInTime(t *testing.T) {
	release := make(chan struct{})
	reached := make(chan struct{}, 10)
	at := listening(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "begin")
			w.(http.Flusher).Flush()
		}
		reached <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	for _, path := range []string{"/header", "/body"} {
		for _, cause := range []error{duly.ErrTimeout, duly.ErrStopped, duly.ErrClosing} {
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				<-reached
				cancel(cause)
			}()
			want := target.OutcomeFailed
			if errors.Is(cause, duly.ErrClosing) {
				want = target.OutcomeLater
			}
			a, _, err := called(ctx, t, target.CallbackOptions{Allow: here}, target.Callback{URL: at + path})
			if !errors.Is(err, cause) || a.Outcome != want || a.Reason != cause.Error() {
				t.Errorf("%s, %v: %v, %+v", path, cause, err, a)
			}
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-reached
		cancel(duly.ErrTimeout)
	}()
	if a, _, err := calledWithin(ctx, t, target.CallbackOptions{Allow: here, Longest: 1}, target.Callback{URL: at + "/header"}, 1); !errors.Is(err, duly.ErrTimeout) {
		t.Errorf("with a timeout that is as soon: %v, %+v", err, a)
	}
	const longest = 10 * time.Millisecond
	for _, timeout := range []time.Duration{0, longest + 1, time.Hour} {
		a, _, err := calledWithin(t.Context(), t, target.CallbackOptions{Allow: here, Longest: longest}, target.Callback{URL: at + "/header"}, timeout)
		if err == nil || a.Outcome != target.OutcomeFailed || !strings.Contains(a.Reason, "no whole answer") {
			t.Errorf("with a timeout of %v: %v, %+v", timeout, err, a)
		}
	}
}

// What breaks is told without the URL, in which there may be secrets.
func TestCallbackErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	cut := listening(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "begin")
	})
	tls := httptest.NewUnstartedServer(http.NotFoundHandler())
	tls.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	tls.StartTLS()
	defer tls.Close()
	for u, want := range map[string]string{
		gone: "connection refused", cut: "read the answer, whose status is 200: unexpected EOF", tls.URL: "certificate",
		"http://no-such-host.invalid": "no such host",
	} {
		a, _, err := called(t.Context(), t, target.CallbackOptions{Allow: here}, target.Callback{
			URL: u + "/?token=hush1", Header: map[string]string{"Authorization": "Bearer hush-hush-2"},
		})
		if err == nil || a.Outcome != target.OutcomeFailed || !strings.Contains(a.Reason, want) || err.Error() != a.Reason {
			t.Errorf("%s: %v, %+v", u, err, a)
		}
		if s := fmt.Sprintf("%v %+v", err, a); strings.Contains(s, "hush") {
			t.Error(s)
		}
	}
	if _, err := l.Accept(); err == nil {
		t.Error("accepted")
	}
	handler := target.Callbacks(target.CallbackOptions{})
	err = handler(t.Context(), &duly.Attempt[target.Callback]{AttemptInfo: info("tea", 1), Payload: target.Callback{URL: "http://127.0.0.1/"}})
	if !errors.Is(err, duly.ErrInvalid) || nextAfter(t, err) != -1 {
		t.Errorf("an address that is not allowed: %v", err)
	}
}

// A proxy is asked only if the options say so, and is connected to wherever it is; an address in the URL has to be allowed still.
func TestProxy(t *testing.T) {
	var asked atomic.Value
	proxy := listening(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.String())
		w.WriteHeader(http.StatusAccepted)
	})
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTP_PROXY", proxy)
	c := target.Callback{URL: "http://no-such-host.invalid/a"}
	if a, _, err := called(t.Context(), t, target.CallbackOptions{}, c); err == nil || asked.Load() != nil {
		t.Errorf("%+v", a)
	}
	o := target.CallbackOptions{Proxy: http.ProxyURL(u)}
	if a, _, err := called(t.Context(), t, o, c); err != nil || a.Status != 202 || asked.Load() != "http://no-such-host.invalid/a" {
		t.Errorf("%+v, %v", a, err)
	}
	if err := o.Allow.Check(&target.Callback{URL: "http://169.254.169.254/"}); err == nil {
		t.Error("the address in the URL is not looked at")
	}
	o.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // no proxy for this one
	at := listening(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	o.Resolver = resolver(t, "127.0.0.1")
	if _, _, err := called(t.Context(), t, o, target.Callback{URL: strings.Replace(at, "127.0.0.1", "rebind.test", 1)}); err == nil {
		t.Error("what goes past the proxy is not looked at")
	}
}

// Callbacks of a daemon are run to the end, and tried again when the answer says.
func TestCallbackTask(t *testing.T) {
	var calls atomic.Int64
	at := listening(t, func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		if r.Header.Get("Duly-Attempt") != "2" || r.Header.Get("Idempotency-Key") == "" {
			t.Errorf("%v", r.Header)
		}
	})
	d := serve(t, target.CallbackOptions{Allow: here})
	if _, err := d.callbacks.Put(t.Context(), "tea", target.Callback{URL: at}, schedule.After(0)); err != nil {
		t.Fatal(err)
	}
	var states []string
	for e, err := range d.Events(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if states = append(states, e.To.String()); e.To.String() == "done" {
			break
		}
	}
	if diff := cmp.Diff([]string{"pending", "done"}, states); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	task, err := d.outputs.Attempts(t.Context(), "", "tea", 0)
	if err != nil || len(task) != 2 || task[0].Status != 200 || task[1].Status != 429 || task[0].RunID != task[1].RunID {
		t.Errorf("%+v, %v", task, err)
	}
}

// TestCallbackConnections makes rounds of callbacks at once to one host: each round goes by the connections of the one before, or a burst
// would use up the ports of this machine.
func TestCallbackConnections(t *testing.T) {
	const rounds, atOnce = 5, 100
	var made atomic.Int64
	var together sync.WaitGroup // so that all of a round need a connection at the same time
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		together.Done()
		together.Wait()
		_, _ = io.WriteString(w, "thanks")
	}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			made.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	handle := target.Callbacks(target.CallbackOptions{Allow: here})
	for range rounds {
		together.Add(atOnce)
		var all sync.WaitGroup
		for n := range atOnce {
			all.Go(func() {
				i := info("tea", n)
				i.Kind, i.Started = target.KindHTTP, time.Now()
				if err := handle(t.Context(), &duly.Attempt[target.Callback]{AttemptInfo: i, Payload: target.Callback{URL: s.URL}}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	// A connection is given back a moment after its answer was read, so that a round may need some of its own.
	if n := made.Load(); n < atOnce || n > 2*atOnce {
		t.Errorf("%d connections were made for %d callbacks, %d at once", n, rounds*atOnce, atOnce)
	}
}

// A callback that gets no connection because others, which are not answered, have all there may be, is put off without costing an attempt
// when its time is over; one that was sent has failed then.
func TestCallbackFindsAllConnectionsTaken(t *testing.T) {
	reached := make(chan struct{}, 10)
	at := listening(t, func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	out, err := target.OpenOutputs(t.TempDir(), target.OutputOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := out.Close(); err != nil {
			t.Error(err)
		}
	}()
	handle := target.CallbacksPerHost(target.CallbackOptions{Allow: here, Outputs: out}, 2)
	call := func(ctx context.Context, name string) (target.Attempt, error) {
		i := info(name, 1)
		i.Kind, i.Started = target.KindHTTP, time.Now()
		err := handle(ctx, &duly.Attempt[target.Callback]{AttemptInfo: i, Payload: target.Callback{URL: at}})
		a, _ := only(context.WithoutCancel(ctx), t, out, i)
		return a, err
	}
	hanging, end := context.WithCancelCause(t.Context())
	var all sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		all.Go(func() {
			if a, err := call(hanging, name); a.Outcome != target.OutcomeFailed || !errors.Is(err, duly.ErrTimeout) {
				t.Errorf("one that was sent: %+v, %v", a, err)
			}
		})
	}
	<-reached
	<-reached
	for _, tt := range []struct {
		cause  error
		want   string
		reason string
	}{
		{duly.ErrTimeout, target.OutcomeLater, "all 2 connections to the host were taken by other callbacks"},
		{duly.ErrStopped, target.OutcomeFailed, duly.ErrStopped.Error()},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { cancel(tt.cause) }}) // it is about to wait
		a, err := call(ctx, "waits for "+tt.want)
		if a.Outcome != tt.want || !strings.Contains(a.Reason, tt.reason) {
			t.Errorf("one that waits, with %v: %+v, %v", tt.cause, a, err)
		}
		if tt.want == target.OutcomeLater && nextAfter(t, err) != time.Minute {
			t.Errorf("one that waits is tried again after %v, want a minute", nextAfter(t, err))
		}
	}
	end(duly.ErrTimeout)
	all.Wait()
}

// A callback that waits for a connection when the scheduler is closed begins again when the next one starts, as one does that was sent, and
// as a command that was not started.
func TestCallbacks_ClosingWhileItWaits(t *testing.T) {
	reached := make(chan struct{}, 1)
	at := listening(t, func(_ http.ResponseWriter, r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done()
	})
	handle := target.CallbacksPerHost(target.CallbackOptions{Allow: here}, 1)
	call := func(ctx context.Context, name string, n int) error {
		i := info(name, n)
		i.Kind, i.Started = target.KindHTTP, time.Now()
		return handle(ctx, &duly.Attempt[target.Callback]{AttemptInfo: i, Payload: target.Callback{URL: at}})
	}
	hanging, end := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = call(hanging, "a", 1)
	}()
	<-reached
	for _, n := range []int{1, 8} { // the second one has found no connection before
		ctx, cancel := context.WithCancelCause(t.Context())
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { cancel(duly.ErrClosing) }})
		err := call(ctx, "waits", n)
		if d, ok := duly.Snoozed(err); !ok || d > time.Second {
			t.Errorf("attempt %d, which was not sent: %v, put off for %v; one that was sent is put off for 0s", n, err, d)
		}
	}
	end(duly.ErrClosing)
	<-done
}
