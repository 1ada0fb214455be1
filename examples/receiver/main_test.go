package main

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/target"
)

var epoch = time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC)

// A sender is duly, as far as callbacks are concerned.
type sender struct {
	*testing.T

	hand    *clock.Manual
	secrets []string
	url     string
}

// send makes attempt n at a run, and returns what becomes of it.
func (s *sender) send(run string, n int, body string) error {
	s.Helper()
	o := target.CallbackOptions{
		Allow: target.Addresses{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}}, Clock: s.hand,
		Secrets: func() (keys [][]byte) {
			for _, text := range s.secrets {
				key, err := target.ParseSecret(text)
				if err != nil {
					s.Error(err)
				}
				keys = append(keys, key)
			}
			return keys
		},
	}
	a := &duly.AttemptInfo{Name: "tea", RunID: run, Number: n, Fence: int64(n), ScheduledFor: epoch}
	return target.Callbacks(o)(s.Context(), &duly.Attempt[target.Callback]{AttemptInfo: a, Payload: target.Callback{URL: s.url, Body: body}})
}

// seen are the requests that a receiver has got, and what it did.
type seen struct {
	*receiver

	headers []http.Header
	bodies  []string
	does    []string
	fail    error
}

func begin(t *testing.T) (*sender, *seen) {
	t.Helper()
	s := &sender{T: t, hand: clock.NewManual(epoch), secrets: []string{target.NewSecret()}}
	x := &seen{}
	x.receiver = &receiver{now: func() time.Time { return time.Unix(0, s.hand.Read().Wall) }, do: func(id, body string) error {
		x.does = append(x.does, id+" "+body)
		return x.fail
	}}
	x.know(t, s.secrets...)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		x.headers, x.bodies = append(x.headers, maps.Clone(r.Header)), append(x.bodies, string(b))
		r.Body = io.NopCloser(bytes.NewReader(b))
		x.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s, x
}

// know has the receiver know these secrets and no others.
func (x *seen) know(t *testing.T, secrets ...string) {
	t.Helper()
	x.secrets = nil
	for _, text := range secrets {
		key, err := target.ParseSecret(text)
		if err != nil {
			t.Fatal(err)
		}
		x.secrets = append(x.secrets, key)
	}
}

// A run that is tried again has the same id and another timestamp, is signed anew, and is done once.
func TestRetry(t *testing.T) {
	s, x := begin(t)
	x.fail = errors.New("not today")
	if err := s.send("tea@1@5", 1, "brew"); err == nil {
		t.Error("what has failed is done")
	}
	x.fail = nil
	for n := 2; n <= 4; n++ {
		s.hand.Advance(time.Hour) // far beyond the tolerance
		if err := s.send("tea@1@5", n, "brew"); err != nil {
			t.Errorf("attempt %d: %v", n, err)
		}
	}
	if err := s.send("tea@1@6", 1, "brew"); err != nil {
		t.Error(err)
	}
	if got := strings.Join(x.does, ", "); got != "tea@1@5 brew, tea@1@5 brew, tea@1@6 brew" { // one that failed, and one of each run
		t.Errorf("it did %s", got)
	}
	for i, h := range x.headers {
		at := epoch.Add(time.Duration(min(i, 3)) * time.Hour)
		if i < 4 && h.Get("Webhook-Id") != "tea@1@5" || h.Get("Webhook-Timestamp") != strconv.FormatInt(at.Unix(), 10) || h.Get("Idempotency-Key") != h.Get("Webhook-Id") {
			t.Errorf("request %d has %v", i, h)
		}
		for j := range i {
			if h.Get("Webhook-Signature") == x.headers[j].Get("Webhook-Signature") {
				t.Errorf("requests %d and %d have one signature", i, j)
			}
		}
	}
}

// What was sent once is worth nothing changed, later, or to somebody who knows another secret.
func TestForgery(t *testing.T) {
	s, x := begin(t)
	if err := s.send("tea@1@5", 1, `{"n":1}`); err != nil {
		t.Fatal(err)
	}
	good, other := x.headers[0], target.NewSecret()
	signed := good.Get("Webhook-Signature")
	for name, change := range map[string]func(h http.Header, body *string) (after time.Duration){
		"as it was":           func(http.Header, *string) time.Duration { return 0 },
		"four minutes later":  func(http.Header, *string) time.Duration { return 4 * time.Minute },
		"four minutes before": func(http.Header, *string) time.Duration { return -4 * time.Minute },
		"replayed later":      func(http.Header, *string) time.Duration { return 5*time.Minute + time.Second },
		"of the future":       func(http.Header, *string) time.Duration { return -5*time.Minute - time.Second },
		"a new timestamp": func(h http.Header, _ *string) time.Duration {
			h.Set("Webhook-Timestamp", strconv.FormatInt(epoch.Add(time.Hour).Unix(), 10))
			return time.Hour
		},
		"a timestamp with a sign": func(h http.Header, _ *string) time.Duration {
			h.Set("Webhook-Timestamp", "+"+good.Get("Webhook-Timestamp"))
			return 0
		},
		"no timestamp":  func(h http.Header, _ *string) time.Duration { h.Del("Webhook-Timestamp"); return 0 },
		"another body":  func(_ http.Header, body *string) time.Duration { *body = `{"n":2}`; return 0 },
		"no body":       func(_ http.Header, body *string) time.Duration { *body = ""; return 0 },
		"a longer body": func(_ http.Header, body *string) time.Duration { *body += " "; return 0 },
		"another id":    func(h http.Header, _ *string) time.Duration { h.Set("Webhook-Id", "tea@1@6"); return 0 },
		"no id":         func(h http.Header, _ *string) time.Duration { h.Del("Webhook-Id"); return 0 },
		"a moved stop": func(h http.Header, body *string) time.Duration { // id.timestamp.body, cut at other places
			h.Set("Webhook-Id", good.Get("Webhook-Id")+"."+good.Get("Webhook-Timestamp"))
			return 0
		},
		"no signature": func(h http.Header, _ *string) time.Duration { h.Del("Webhook-Signature"); return 0 },
		"an empty one": func(h http.Header, _ *string) time.Duration { h.Set("Webhook-Signature", "v1,"); return 0 },
		"a cut one": func(h http.Header, _ *string) time.Duration {
			h.Set("Webhook-Signature", signed[:len(signed)-4])
			return 0
		},
		"no version": func(h http.Header, _ *string) time.Duration {
			h.Set("Webhook-Signature", signed[len("v1,"):])
			return 0
		},
		"another version": func(h http.Header, _ *string) time.Duration {
			h.Set("Webhook-Signature", "v1a"+signed[len("v1"):])
			return 0
		},
		"another secret": func(http.Header, *string) time.Duration { x.know(t, other); return 0 },
		"no secret":      func(http.Header, *string) time.Duration { x.know(t); return 0 },
		"among others": func(h http.Header, _ *string) time.Duration {
			h.Set("Webhook-Signature", "v1,AAAA v2,x "+signed)
			return 0
		},
	} {
		h, body := good.Clone(), x.bodies[0]
		x.know(t, s.secrets...)
		after := change(h, &body)
		x.now = func() time.Time { return epoch.Add(after) }
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header = h
		w := httptest.NewRecorder()
		x.ServeHTTP(w, r)
		taken := strings.HasSuffix(name, " minutes later") || strings.HasSuffix(name, " minutes before") || name == "as it was" || name == "among others"
		if taken && (w.Code != http.StatusOK || w.Body.String() != "done before\n") || !taken && w.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if len(x.does) != 1 {
		t.Errorf("it did %q", x.does)
	}
}

// Whoever has recorded a request that was not done yet can have it done soon after. They can't have anything else done by what is not
// signed.
func TestForgery_Unsigned(t *testing.T) {
	s, x := begin(t)
	x.fail = errors.New("not today")
	if err := s.send("tea@1@5", 1, "brew"); err == nil {
		t.Error("what has failed is done")
	}
	x.fail = nil
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/coffee?cups=9", strings.NewReader(x.bodies[0]))
	for name := range x.headers[0] {
		r.Header.Set(name, "coffee")
	}
	for _, name := range []string{"Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"} {
		r.Header.Set(name, x.headers[0].Get(name))
	}
	w := httptest.NewRecorder()
	x.ServeHTTP(w, r)
	if w.Code != http.StatusOK || len(x.does) != 2 || x.does[1] != x.does[0] {
		t.Errorf("%d %s: it did %q", w.Code, w.Body, x.does)
	}
}

// While a secret is replaced each side may do it when it likes: what is signed with both is taken by who knows one; and when the old one
// is gone from the sender, who knows it alone takes nothing any more.
func TestRotation(t *testing.T) {
	s, x := begin(t)
	old, next := s.secrets[0], target.NewSecret()
	for i, tt := range []struct {
		signs, knows []string
		taken        bool
	}{
		{[]string{old}, []string{old}, true},
		{[]string{next, old}, []string{old}, true},
		{[]string{next, old}, []string{next}, true},
		{[]string{next}, []string{old, next}, true},
		{[]string{next}, []string{old}, false},
		{nil, []string{old}, false},
	} {
		s.secrets = tt.signs
		x.know(t, tt.knows...)
		if err := s.send("tea@1@"+strconv.Itoa(i), 1, ""); (err == nil) != tt.taken {
			t.Errorf("%d: %v", i, err)
		}
		if got := len(strings.Fields(x.headers[i].Get("Webhook-Signature"))); got != len(tt.signs) {
			t.Errorf("%d: %d signatures", i, got)
		}
	}
	if both, first := x.headers[1].Get("Webhook-Signature"), x.headers[1]; strings.Fields(both)[0] == both {
		t.Errorf("%v", first)
	} else {
		x.know(t, next) // the newest signs first
		first.Set("Webhook-Signature", strings.Fields(both)[0])
		if err := x.verify(first, []byte(x.bodies[1])); err != nil {
			t.Error(err)
		}
	}
}

func TestLargeBody(t *testing.T) {
	s, x := begin(t)
	if err := s.send("tea@1@5", 1, strings.Repeat("x", largest+1)); err == nil || !strings.Contains(err.Error(), "413") || len(x.does) != 0 {
		t.Error(err)
	}
}
