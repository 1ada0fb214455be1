package cli

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
)

// TestDoctor prints a line for each check, and what to do about it; what does not work is its status.
func TestDoctor(t *testing.T) {
	w := newWorld(t)
	stdout, stderr, status := w.run("doctor")
	if status != exitOK || stderr != "" || !strings.Contains(stdout, "ok\tdaemon\tanswers at "+w.socket()+"\t\n") {
		t.Errorf("doctor: status %d, standard error %q:\n%s", status, stderr, stdout)
	}
	if !strings.Contains(stdout, "ok\tlate tasks\tnone\t\nok\tdead runs\tnone\t\n") {
		t.Errorf("doctor says nothing of the tasks:\n%s", stdout)
	}
	if stdout, stderr, status = w.run("doctor", "--ready"); status != exitOK || stderr != "" || stdout != "ok\tdaemon\tanswers at "+w.socket()+"\t\n" {
		t.Errorf("doctor --ready: status %d, standard error %q:\n%s", status, stderr, stdout)
	}
	w.put("bad", now("exit 3"))
	w.run("logs", "-f", "bad")
	if stdout, _, _ = w.run("doctor"); !strings.Contains(stdout, "warn\tdead runs\t1 has failed for good\tduly ls --state dead") {
		t.Errorf("doctor says nothing of a dead run:\n%s", stdout)
	}
	w.hangUp()
	stdout, stderr, status = w.run("doctor")
	if status != exitFailed || stderr != "" || !strings.Contains(stdout, "fail\tdaemon\t") || !strings.Contains(stdout, "duly serve starts one") {
		t.Errorf("doctor without a daemon: status %d, standard error %q:\n%s", status, stderr, stdout)
	}
	if stdout, stderr, status = w.run("doctor", "--ready"); status != exitFailed || stderr != "" || !strings.HasPrefix(stdout, "fail\tdaemon\t") || strings.Count(stdout, "\n") != 1 {
		t.Errorf("doctor --ready without a daemon: status %d, standard error %q:\n%s", status, stderr, stdout)
	}
	stdout, _, _ = w.run("doctor", "-o", "jsonl")
	if !strings.HasPrefix(stdout, `{"name":"data directory","verdict":"ok","text":"`) {
		t.Errorf("doctor -o jsonl: %s", stdout)
	}
}

// Whoever names the socket may mean any directory: it is looked into if it is named as well.
func TestDoctor_WhoseDirectory(t *testing.T) {
	w := newWorld(t)
	doctor := func(environ []string, args ...string) string {
		t.Helper()
		var out, errs strings.Builder
		p := w.process(append([]string{"doctor"}, args...)...)
		p.Environ, p.Stdout, p.Stderr = environ, &out, &errs
		if status := Run(p); status != exitOK || errs.String() != "" {
			t.Errorf("doctor %q with %q: status %d, standard error %q:\n%s", args, environ, status, errs.String(), out.String())
		}
		return out.String()
	}
	data, home := "DULY_DATA="+w.dir, "HOME="+filepath.Join(w.dir, "nobody") // in which is no directory of a daemon
	for _, tt := range []struct {
		environ, args []string
		want          bool
	}{
		{[]string{data}, nil, true},
		{[]string{home}, []string{"--socket", w.socket()}, false},
		{[]string{home, "DULY_SOCKET=" + w.socket()}, nil, false},
		{[]string{data, "DULY_SOCKET=" + w.socket()}, nil, true},
		{[]string{home}, []string{"--socket", w.socket(), "--data", w.dir}, true},
	} {
		out := doctor(tt.environ, tt.args...)
		if got := strings.Contains(out, "data directory\t"); got != tt.want {
			t.Errorf("doctor %q with %q looks into a directory: %t, want %t\n%s", tt.args, tt.environ, got, tt.want, out)
		}
	}
	elsewhere := newWorld(t) // whose socket is not in the directory, as under systemd
	if out := doctor([]string{data}, "--socket", elsewhere.socket()); strings.Contains(out, "socket\t") {
		t.Errorf("doctor looks at a socket that is not meant:\n%s", out)
	}
}

// A standing daemon tells its counters, and then stands still.
type standing struct{}

func (standing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/v1/stats" {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"dead":1}`))}, nil
	}
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

// A daemon that stands still while its tasks are looked through is not waited for.
func TestDoctor_StandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := client.New(client.Options{URL: "http://127.0.0.1:4280", Wrap: func(http.RoundTripper) http.RoundTripper { return standing{} }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		begun := time.Now()
		checks := newSession(Process{Now: time.Now}).tasksChecked(ctx, &daemon.Patient{Client: c})
		if took := time.Since(begun); took != 10*time.Second {
			t.Errorf("it has taken %v", took)
		}
		if len(checks) != 2 || checks[0].Verdict != daemon.Warn || !strings.HasPrefix(checks[0].Text, "no answer from ") || checks[1].Verdict != daemon.Warn {
			t.Errorf("%+v", checks)
		}
	})
}
