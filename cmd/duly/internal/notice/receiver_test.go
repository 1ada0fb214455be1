package notice

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/target"
)

func example() *Notice {
	at := time.Date(2026, 11, 29, 3, 0, 1, 0, time.UTC)
	return &Notice{
		ID: "dead-0123456789abcdef0123", What: Dead, Text: `"backup" is dead after attempt 3: exit status 1: no space`, Daemon: "here", Name: "backup", Kind: "command",
		RunID: "backup@1@5", DueAt: &at, At: at, Attempts: 3, Error: "exit status 1: no space",
	}
}

// A webhook is signed, known again by its id, JSON, and not redirected. It goes to loopback, because whoever runs the daemon says so.
func TestWebhook(t *testing.T) {
	secret := target.NewSecret()
	key, err := target.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	var got []*http.Request
	var bodies []string
	status := http.StatusNoContent
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // what is missing is seen
		got, bodies = append(got, r), append(bodies, string(b))
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer s.Close()
	w := Webhook{URL: s.URL + "/services/T00/hush", Secrets: func() [][]byte { return [][]byte{key} }, UserAgent: "duly/test"}
	receive := w.Receiver()
	if err := receive(t.Context(), example(), 2); err != nil {
		t.Fatal(err)
	}
	r, h := got[0], got[0].Header
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(h.Get("Webhook-Id") + "." + h.Get("Webhook-Timestamp") + "." + bodies[0]))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); h.Get("Webhook-Signature") != want {
		t.Errorf("signed %s, want %s", h.Get("Webhook-Signature"), want)
	}
	if r.Method != http.MethodPost || r.URL.Path != "/services/T00/hush" || h.Get("Webhook-Id") != example().ID || h.Get("Content-Type") != "application/json" ||
		h.Get("Duly-Attempt") != "2" || h.Get("Duly-Name") != "backup" {
		t.Errorf("%s %s %v", r.Method, r.URL, h)
	}
	var n Notice
	if err := json.Unmarshal([]byte(bodies[0]), &n); err != nil || n.Text != example().Text || n.Error != example().Error {
		t.Errorf("%v: %s", err, bodies[0])
	}
	for _, status = range []int{http.StatusFound, http.StatusGone, http.StatusTooManyRequests, http.StatusInternalServerError} {
		if err := receive(t.Context(), example(), 1); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%d: %v", status, err)
		}
	}
	if len(got) != 5 {
		t.Errorf("%d requests, want 5: no redirect is followed", len(got))
	}
	s.Close()
	if err := receive(t.Context(), example(), 1); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("nobody is there: %v", err)
	}
	sum := example()
	sum.Name, sum.What = "", Summary
	if err := receive(t.Context(), sum, 1); err == nil {
		t.Error("a summary was told to nobody")
	}
}

// A command reads the notice, has it in variables, and has nothing of the daemon's environment. One that fails is a failure of its own.
func TestCommand(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it has no /bin/sh")
	}
	t.Setenv("DULY_STORE", "postgres://u:hush@h/d")
	dir := t.TempDir()
	c := Command{Args: []string{"/bin/sh", "-c", `cat > "$1/in"; env > "$1/env"`, "sh", dir}, Logger: slog.New(slog.DiscardHandler)}
	n := example()
	n.Namespace = "a://b:[redacted]@c" // as a variable that would be refused
	if err := c.Receiver()(t.Context(), n, 1); err != nil {
		t.Fatal(err)
	}
	in, err := os.ReadFile(filepath.Join(dir, "in"))
	if err != nil || string(in) != string(n.JSON()) {
		t.Errorf("read %q, %v", in, err)
	}
	env, err := os.ReadFile(filepath.Join(dir, "env"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"DULY_NOTICE_ID=dead-0123456789abcdef0123", "DULY_NOTICE_WHAT=dead", "DULY_NOTICE_NAME=backup", "DULY_NOTICE_KIND=command",
		"DULY_NOTICE_RUN_ID=backup@1@5", "DULY_NOTICE_AT=2026-11-29T03:00:01Z", "DULY_NOTICE_DUE_AT=2026-11-29T03:00:01Z",
	} {
		if !strings.Contains(string(env), want+"\n") {
			t.Errorf("the environment has no %s:\n%s", want, env)
		}
	}
	if strings.Contains(string(env), "hush") {
		t.Errorf("the environment is the daemon's:\n%s", env)
	}
	for _, script := range []string{"exit 1", "exit 75", "kill -9 $$"} {
		c := Command{Args: []string{"/bin/sh", "-c", script}, Logger: c.Logger}
		if err := c.Receiver()(t.Context(), n, 1); err == nil {
			t.Errorf("%s: no error", script)
		}
	}
	if err := (&Command{Args: []string{"/no/such/program"}, Logger: c.Logger}).Receiver()(t.Context(), n, 1); err == nil {
		t.Error("a program that is not there: no error")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	begun := filepath.Join(dir, "begun")
	go func() {
		for {
			if _, err := os.Stat(begun); err == nil {
				cancel(errors.New("the daemon ends"))
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	c = Command{Args: []string{"/bin/sh", "-c", `touch "$1"; while :; do sleep 0.01; done`, "sh", begun}, Logger: c.Logger}
	if err := c.Receiver()(ctx, n, 1); err == nil {
		t.Error("one that was cut off: no error")
	}
}

func TestCheck(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://example.com/hook": true, "http://127.0.0.1:9/": true, "https://u:p@example.com": false, "ftp://example.com": false, "": false, "example.com": false,
		"https://example.com/#x": false, "https://exa\nmple.com": false,
	} {
		if want := CheckURL(text); (want == "") != ok || strings.Contains(want, "p@") {
			t.Errorf("%q: %q", text, want)
		}
	}
	for _, args := range [][]string{{"logger"}, {""}, {"./x"}, {"/bin/a\x00b"}, nil} {
		if CheckCommand(args) == "" {
			t.Errorf("%q is taken", args)
		}
	}
	abs, err := filepath.Abs("x")
	if err != nil {
		t.Fatal(err)
	}
	if want := CheckCommand([]string{abs, "", "-t"}); want != "" {
		t.Errorf("refused: %s", want)
	}
}
