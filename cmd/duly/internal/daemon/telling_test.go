package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/database"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/memory"
	"github.com/dulyhq/duly/store/storetest"
)

func TestLoad_Telling(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Load(given(t, "notify_command: ["+program+`, "-a,b", "", "two words"]
notify_late: PT5M
notify_interval: 10m
notify_limit: 5
`, "DULY_NOTIFY_URL=https://hooks.example.com/services/T0/hush-hush?x=1", "ping_url=https://hc.example.com/1b8f3c2e-hush", "ping_interval=30s"))
	if err != nil {
		t.Fatal(err)
	}
	if c.NotifyURL != "https://hooks.example.com/services/T0/hush-hush?x=1" || strings.Join(c.NotifyCommand, "|") != program+"|-a,b||two words" ||
		c.NotifyLate != 5*time.Minute || c.NotifyInterval != 10*time.Minute || c.NotifyLimit != 5 || c.PingInterval != 30*time.Second {
		t.Errorf("read %+v", c)
	}
	report := c.Report()
	for _, want := range []string{"https://hooks.example.com/[redacted]", "https://hc.example.com/[redacted]", "-a,b '' 'two words'", "duly.yaml:2: notify_late"} {
		if !strings.Contains(report, want) {
			t.Errorf("the report does not say %q:\n%s", want, report)
		}
	}
	if strings.Contains(report, "hush") {
		t.Errorf("the report shows a secret:\n%s", report)
	}
	if c, err = Load(given(t, "notify_url: none\nnotify_command: none\nping_url: none\nnotify_interval: 1m\n", "notify_url=http://127.0.0.1:1")); err != nil || c.NotifyURL == "" {
		t.Errorf("%v", err)
	}
	for name, tt := range map[string]struct {
		yaml string
		more []string
		want []string
	}{
		"nobody who is told":          {"notify_late: 5m\n", nil, []string{"duly.yaml:1: notify_late", "--notify-url or --notify-command"}},
		"nothing that is called":      {"", []string{"ping_interval=5m"}, []string{"--ping-interval", "--ping-url"}},
		"a URL with a password":       {"notify_url: https://u:hush@h/\n", nil, []string{"duly.yaml:1: notify_url", "no user or password"}},
		"no URL":                      {"", []string{"ping_url=hush"}, []string{"--ping-url", "an absolute URL"}},
		"a program by its name":       {"notify_command: mail\n", nil, []string{"duly.yaml:1: notify_command", `"mail"`, "absolute path"}},
		"a program that is not there": {"", []string{"notify_command=/no/such/program"}, []string{"--notify-command", `"/no/such/program"`, "no such file"}},
		"a limit of none":             {"notify_limit: 0\n", nil, []string{"duly.yaml:1: notify_limit", "1 to 50"}},
		"a limit that is too great":   {"notify_limit: 51\n", nil, []string{"1 to 50"}},
		"a bare number for late":      {"notify_late: 5\n", nil, []string{"duly.yaml:1: notify_late", `"5"`, "1m30s"}},
		"too often":                   {"ping_interval: 1ms\n", nil, []string{"duly.yaml:1: ping_interval", "at least 1s"}},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.Contains(name, "not there") {
				t.Skip("its absolute paths begin otherwise")
			}
			_, err := Load(given(t, tt.yaml, tt.more...))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("%v: shows a secret", err)
			}
		})
	}
}

// posted is a receiver that hands on what it was sent.
func posted(t *testing.T) (s *httptest.Server, got chan string) {
	t.Helper()
	got = make(chan string, 16)
	s = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b := make([]byte, 64<<10)
		n, _ := r.Body.Read(b) // a notice of a test is short
		got <- r.URL.Path + " " + string(b[:n])
	}))
	t.Cleanup(s.Close)
	return s, got
}

// heard returns what comes next.
func heard(t *testing.T, got <-chan string) string {
	t.Helper()
	select {
	case text := <-got:
		return text
	case <-time.After(time.Minute):
		t.Fatal("nothing was told")
		return ""
	}
}

// A webhook and a command are told of a death, a ping comes, SIGHUP takes another receiver, metrics count, and no secret is shown.
func TestTelling(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no /bin/sh")
	}
	sink, got := posted(t)
	dir := shortDir(t)
	file := filepath.Join(dir, "told")
	yaml := "notify_command: [/bin/sh, -c, 'cat >> \"$0.part\"; mv \"$0.part\" \"$0\"', " + file + "]\n"
	f := serveIn(t, dir, usualLimits, yaml+"notify_url: "+sink.URL+"/hush-hush-1\nping_url: "+sink.URL+"/hush-hush-2\n")
	if text := heard(t, got); text != "/hush-hush-2 " {
		t.Errorf("called %q", text)
	}
	put := func(name string) {
		t.Helper()
		if _, err := f.socketClient().Put(t.Context(), name, api.Spec{Command: sh("echo no room >&2; exit 3"), In: in(0)}); err != nil {
			t.Fatal(err)
		}
	}
	put("backup")
	text := heard(t, got)
	for _, want := range []string{"/hush-hush-1 ", `"what":"dead"`, `"name":"backup"`, `"error":"exit status 3: no room"`, `"attempts":1`} {
		if !strings.Contains(text, want) {
			t.Errorf("told %s, want %s", text, want)
		}
	}
	until(t, file)
	if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), `"name":"backup"`) {
		t.Errorf("the command was told %q, %v", b, err)
	}
	if err := os.WriteFile(f.d.config.given.Config, []byte("notify_url: "+sink.URL+"/hush-hush-3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.signals <- reloadSignal
	f.log.Has(t, "msg=reloaded")
	put("restore")
	text = heard(t, got)
	if strings.Contains(text, `"name":"backup"`) { // told again: it was not kept yet that it had been
		text = heard(t, got)
	}
	if !strings.HasPrefix(text, "/hush-hush-3 ") || !strings.Contains(text, `"name":"restore"`) {
		t.Errorf("told %s", text)
	}
	_, metrics := f.ask(http.MethodGet, "/metrics", "", "Authorization: Bearer "+f.token())
	for _, want := range []string{`duly_notices_total{outcome="told",receiver="url"}`, `duly_notices_total{outcome="held_back",receiver="command"} 0`, `duly_pings_total{outcome="sent"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
	sink.Close()
	put("another")
	f.log.Has(t, "notices are not told for now")
	h, err := f.socketClient().Health(t.Context())
	if err != nil || h.Status != "degraded" || len(h.Problems) != 1 || h.Problems[0].Slug != "notices" || !strings.Contains(h.Problems[0].Detail, "by --notify-url,") {
		t.Errorf("%+v, %v", h, err)
	}
	if err := os.WriteFile(f.d.config.given.Config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.signals <- reloadSignal
	f.log.Has(t, "the problem is over")
	if h, err := f.socketClient().Health(t.Context()); err != nil || h.Status != "ok" {
		t.Errorf("%+v, %v", h, err)
	}
	if text := f.log.String() + metrics + f.out.String(); strings.Contains(text, "hush-hush") {
		t.Errorf("a secret is shown:\n%s", text)
	}
}

// No ping is due while the store fails or hangs, or nothing starts any more; and all is well again when that is over.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := storetest.NewFaulty(memory.New(memory.Options{}))
		s, err := duly.New(duly.Options{Store: st})
		if err != nil {
			t.Fatal(err)
		}
		kind := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { return nil })
		p := pulse{d: &Daemon{config: &Config{Store: database.Address{}}, store: st, scheduler: s}}
		feel := func(want string) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			err := p.healthy(ctx)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%v, want %q", err, want)
			}
		}
		feel("")
		st.Plant(storetest.Fault{Kind: storetest.Fail, Method: "SetNote"})
		feel("can't be written")
		feel("")
		st.Plant(storetest.Fault{Kind: storetest.Fail, Method: "Stats"})
		feel("can't be read")
		st.Plant(storetest.Fault{Kind: storetest.Hang, Method: "SetNote"})
		feel("can't be written")
		feel("")
		if _, err := kind.Put(t.Context(), "a", "", schedule.After(0)); err != nil {
			t.Fatal(err)
		}
		p.d.ending.Store(true)
		feel("ending")
		if err := errors.Join(s.Close(t.Context()), st.Close()); err != nil {
			t.Error(err)
		}
		p.d.ending.Store(false)
		feel("can't be written")
	})
}

// No ping is due either while what is due does not begin and nothing runs, although the store answers.
func TestPulse_Stalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := storetest.NewFaulty(memory.New(memory.Options{}), storetest.Fault{Kind: storetest.Fail, Method: "Claim", Always: true})
		s, err := duly.New(duly.Options{Store: st, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		kind := duly.Handle(s, "k", func(context.Context, *duly.Attempt[string]) error { return nil })
		ended := make(chan error)
		go func() { ended <- s.Run(t.Context()) }()
		p := pulse{d: &Daemon{config: &Config{}, store: st, scheduler: s}}
		if _, err := kind.Put(t.Context(), "a", "", schedule.After(0)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second)
		if err := p.healthy(t.Context()); err != nil {
			t.Errorf("after half a minute: %v", err)
		}
		time.Sleep(time.Minute)
		if err := p.healthy(t.Context()); err == nil || !strings.Contains(err.Error(), "nothing starts, and the oldest of 1 tasks has been due for 1m") {
			t.Errorf("after a minute and a half: %v", err)
		}
		again := pulse{d: p.d} // as after a restart
		if err := again.healthy(t.Context()); err != nil {
			t.Errorf("when it is felt first: %v", err)
		}
		if err := again.healthy(t.Context()); err == nil {
			t.Error("when it is felt again all is well")
		}
		if err := errors.Join(s.Close(t.Context()), <-ended, st.Close()); err != nil {
			t.Error(err)
		}
	})
}
