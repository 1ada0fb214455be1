package daemon

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

// verdicts are those of all checks by name, without those that depend on the machine: its clock, its disk.
func verdicts(checks []Check) string {
	var b strings.Builder
	for _, c := range checks {
		if c.Name != "clock" && c.Name != "free space" && c.Name != "time zones" {
			b.WriteString(c.Name + " " + string(c.Verdict) + "; ")
		}
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func TestExamine(t *testing.T) {
	f := serve(t)
	p := Patient{Data: f.d.config.Data, Client: f.socketClient(), Version: "v1.2.3-test", Now: time.Now}
	const well = "data directory ok; permissions ok; daemon ok; socket ok; version ok; store ok; health ok"
	look := func(want string) []Check {
		t.Helper()
		checks := Examine(t.Context(), p)
		if got := verdicts(checks); got != want {
			t.Errorf("got  %s\nwant %s\n%+v", got, want, checks)
		}
		for _, c := range checks {
			if c.Text == "" || c.Verdict == Fine && c.Hint != "" {
				t.Errorf("%+v", c)
			}
		}
		return checks
	}
	look(well)
	p.Version = "v2"
	look(strings.Replace(well, "version ok", "version warn", 1))
	p.Version = "v1.2.3-test"

	e, err := p.Client.Put(t.Context(), "x", api.Spec{Command: sh("true"), In: in(0)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Client.Await(t.Context(), "x", e.Generation); err != nil {
		t.Fatal(err)
	}
	p.Now = func() time.Time { return time.Now().Add(-24 * time.Hour) }
	for _, c := range look(well) {
		if c.Name == "clock" && (c.Verdict != Warn || !strings.Contains(c.Text, "set back")) {
			t.Errorf("a clock that was set back by a day: %+v", c)
		}
	}
	p.Now = time.Now
	if runtime.GOOS != "windows" {
		if err := os.Chmod(f.d.Socket(), 0o666); err != nil {
			t.Fatal(err)
		}
		look("data directory ok; permissions warn; daemon ok; socket fail; version ok; store ok; health ok")
		if err := os.Chmod(f.d.Socket(), 0o600); err != nil {
			t.Fatal(err)
		}
		for mode, want := range map[os.FileMode]string{0o755: "data directory warn", 0o777: "data directory fail"} {
			if err := os.Chmod(p.Data, mode); err != nil {
				t.Fatal(err)
			}
			if got := verdicts(Examine(t.Context(), p)); !strings.HasPrefix(got, want) {
				t.Errorf("mode %v: %s, want %s", mode, got, want)
			}
		}
		if err := os.Chmod(p.Data, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	f.signals <- endSignals[0]
	if err := f.wait(); err != nil {
		t.Fatal(err)
	}
	look("data directory ok; permissions ok; daemon fail; socket warn")
	p.Data = filepath.Join(f.dir, "other")
	var err2 error
	if p.Client, err2 = client.New(client.Options{Socket: filepath.Join(p.Data, "duly.sock")}); err2 != nil {
		t.Fatal(err2)
	}
	t.Cleanup(p.Client.Close)
	look("data directory fail; daemon fail; socket warn")
}

// How much is to be kept free, and where tasks are, the daemon knows.
func TestJudged(t *testing.T) {
	refuses := []Check{{Name: healthCheck, Verdict: Warn, Text: noSpace + " since 2026-11-30T00:00:00Z: 500 MiB are free"}}
	others := []Check{{Name: healthCheck, Verdict: Warn, Text: noOutput + " since 2026-11-30T00:00:00Z: it fails"}}
	for _, tt := range []struct {
		was    Verdict
		health []Check
		want   Verdict
	}{{Fine, others, Fine}, {Fine, refuses, Fail}, {Warn, nil, Warn}, {Warn, refuses, Fail}, {Fail, others, Warn}, {Fail, refuses, Fail}} {
		c := Check{Name: "free space", Verdict: tt.was}
		if judged(&c, tt.health); c.Verdict != tt.want || strings.Contains(c.Hint, "no new tasks") != (tt.want == Fail) {
			t.Errorf("%s with %+v: %+v, want %s", tt.was, tt.health, c, tt.want)
		}
	}
}

// A daemon that stands still takes connections and says nothing: that is found, and not waited for.
func TestExamine_StandsStill(t *testing.T) {
	dir := shortDir(t)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(dir, "duly.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody has been served
	p := Patient{Version: "v1", Now: time.Now, Patience: 50 * time.Millisecond}
	if p.Client, err = client.New(client.Options{Socket: l.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Client.Close)
	checks := Examine(t.Context(), p)
	if got := verdicts(checks); got != "daemon fail" || Answers(checks) {
		t.Errorf("%s\n%+v", got, checks)
	}
	if c := checks[0]; c.Text != "no answer from "+l.Addr().String()+" within 50ms" || !strings.Contains(c.Hint, "stands still") {
		t.Errorf("%+v", c)
	}
}
