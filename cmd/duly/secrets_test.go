//go:build unix

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/target"
)

// A leak is a daemon that was given a secret in each place where it takes one, and all that it has shown of itself since.
type leak struct {
	*testing.T
	*served

	config  string
	hidden  map[string]string // secrets that nothing shows, by where they were given
	inTasks map[string]string // what those see who may look at a task, and nobody else
	shown   map[string]string // by where
}

// random returns a text that is nowhere else, of letters and digits.
func random(where string) string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails
	return "canary" + strings.ReplaceAll(where, " ", "") + hex.EncodeToString(b)
}

// hide makes a secret known as one.
func (l *leak) hide(where string) string {
	l.hidden[where] = random(where)
	return l.hidden[where]
}

func (l *leak) holds(where string) string {
	l.inTasks[where] = random(where)
	return l.inTasks[where]
}

func (l *leak) file(dir, name, text string) string {
	l.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		l.Fatal(err)
	}
	return path
}

// settings writes the configuration, with all the files that it names, and the environment.
func (l *leak) settings() {
	l.Helper()
	dir := l.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		l.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		l.Fatal(err)
	}
	l.hidden["TLS key"] = base64.StdEncoding.EncodeToString(private)[40:64] // of its one long text, which has line ends
	l.hidden["TLS number"] = key.D.String()                                 //nolint:staticcheck // it is looked for as anything could print it
	hook := target.NewSecret()
	l.hidden["webhook secret"] = strings.TrimPrefix(hook, "whsec_")
	var yaml strings.Builder
	for name, path := range map[string]string{
		"webhook_secrets": l.file(dir, "hooks", hook+"\n"),
		"tls_cert":        l.file(dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		"tls_key":         l.file(dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))),
	} {
		fmt.Fprintf(&yaml, "%s: %s\n", name, path)
	}
	fmt.Fprintf(&yaml, "tokens:\n- {name: ci, scopes: [read], file: %s}\n", l.file(dir, "ci", l.hide("token")))
	yaml.WriteString("log_level: debug\nallow_private: true\ncallback_proxy: true\n")
	l.config = l.file(dir, "duly.yaml", yaml.String())
	l.Setenv("PGPASSWORD", l.hide("PGPASSWORD"))
	l.Setenv("DULY_TOKEN", l.hide("DULY_TOKEN"))
	l.Setenv("AWS_SECRET_ACCESS_KEY", l.hide("environment"))
	l.Setenv("HTTPS_PROXY", "http://me:"+l.hide("proxy")+"@127.0.0.1:1") // where nobody is
	l.Setenv("NO_PROXY", "127.0.0.1")
}

func (l *leak) spec(s api.Spec) api.Spec {
	now := api.Duration(0)
	s.In, s.Attempts = &now, 1
	return s
}

// tasks puts tasks that hold secrets, and lets them fail in ways that could tell of them.
func (l *leak) tasks() {
	l.Helper()
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://me:"+l.hidden["redirect"]+"@h/?token="+r.URL.Query().Get("api_key"))
		w.WriteHeader(http.StatusFound)
	}))
	l.Cleanup(echo.Close)
	bad, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = bad.Close() })
	l.hide("redirect")
	go func() { // answers with the header of the request, as what is no HTTP
		for {
			c, err := bad.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 4<<10)
			n, _ := c.Read(b)
			_, _ = io.WriteString(c, strings.Join(strings.Fields(string(b[:n])), "_")+"\r\n\r\n")
			_ = c.Close()
		}
	}()
	call := func(at string) *target.Callback {
		return &target.Callback{URL: at + "?api_key=" + l.hidden["query"], Body: l.inTasks["body"], Header: map[string]string{"Authorization": "Bearer " + l.hidden["header"], "X-Api-Key": l.hidden["api key"]}}
	}
	for _, where := range ofTasks {
		l.hide(where)
	}
	l.holds("body")
	c := command(l.T, "sh", "-c", `env; cat >/dev/null; n=3; while [ $n -lt 256 ]; do [ -e /proc/$$/fd/$n ] && echo descriptor $n; n=$((n+1)); done; echo "no $MY_TOKEN at $DATABASE, really" >&2; exit 3`, l.holds("argument"))
	c.Stdin = l.holds("input")
	c.Env["MY_TOKEN"], c.Env["DATABASE"] = l.hidden["variable"], "postgres://me:"+l.hidden["database URL"]+"@db/x"
	specs := map[string]api.Spec{
		"command": {Command: c}, "redirected": {HTTP: call(echo.URL)}, "reflected": {HTTP: call("http://" + bad.Addr().String() + "/")}, "proxied": {HTTP: call("https://h.example/")},
		"missing": {Command: &target.Command{Args: []string{"no-such-program", l.inTasks["argument"]}, Env: map[string]string{"MY_TOKEN": l.hidden["variable"]}}},
	}
	for name, s := range specs {
		e, err := l.Put(l.Context(), name, l.spec(s))
		if err != nil {
			l.Fatal(err)
		}
		l.end(l.T, name, e.Generation, "dead")
	}
	hour := api.Duration(time.Hour)
	for name, s := range specs {
		s.In = &hour
		if _, err := l.Put(l.Context(), "later-"+name, s); err != nil {
			l.Fatal(err)
		}
	}
	l.shown["what a command sees"] = strings.NewReplacer(l.hidden["variable"], "", l.hidden["database URL"], "").Replace(l.printed(l.T, "command")) // its own
	if !strings.Contains(l.shown["what a command sees"], "DULY_RUN_ID=") || strings.Contains(l.shown["what a command sees"], "descriptor") {
		l.Errorf("the command printed %q", l.shown["what a command sees"])
	}
}

// refusals makes mistakes that hold secrets.
func (l *leak) refusals() {
	l.Helper()
	for what, body := range map[string]string{
		"variable":  `{"in": "1h", "command": {"args": ["true"], "env": {"MY_TOKEN": "` + l.hidden["variable"] + `\u0000"}}}`,
		"header":    `{"in": "1h", "http": {"url": "https://h.example/", "header": {"Authorization": "` + l.hidden["header"] + `\n"}}}`,
		"user":      `{"in": "1h", "http": {"url": "https://me:` + l.hidden["query"] + `@h.example/"}}`,
		"half user": `{"in": "1h", "http": {"url": "https://me:` + l.hidden["query"] + `%zz@h.example/"}}`,
		"query":     `{"in": "1h", "http": {"url": "http://127.1/?token=` + l.hidden["query"] + `"}}`,
		"fragment":  `{"in": "1h", "http": {"url": "https://h.example/?token=` + l.hidden["query"] + `#x"}}`,
	} {
		status, answer := l.ask(l.T, http.MethodPut, "/v1/tasks/wrong", body)
		if status != http.StatusBadRequest && status != http.StatusUnprocessableEntity && status != http.StatusForbidden {
			l.Errorf("%s: %d %s", what, status, answer)
		}
		l.shown["the problem of a wrong "+what] = answer
	}
	port := regexp.MustCompile(`https://(127\.0\.0\.1:\d+)`).FindStringSubmatch(l.said())
	if port == nil {
		l.Fatalf("it does not say where it listens:\n%s", l.said())
	}
	strange := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	plain, err := http.NewRequestWithContext(l.Context(), http.MethodGet, "http://"+port[1]+"/?token="+l.hide("query in the clear"), nil)
	if err != nil {
		l.Fatal(err)
	}
	if res, err := strange.Do(plain); err == nil { // that somebody does so is logged, at the level debug
		_ = res.Body.Close() // nothing of it matters
	}
	for _, query := range []string{"", "?token=" + l.hide("query of a request")} {
		req, err := http.NewRequestWithContext(l.Context(), http.MethodGet, "https://"+port[1]+"/v1/tasks"+query, nil)
		if err != nil {
			l.Fatal(err)
		}
		if query == "" {
			req.Header.Set("Authorization", "Bearer "+l.hide("wrong token"))
		} else {
			req.Header.Set("Authorization", "Bearer "+l.hidden["token"])
		}
		res, err := strange.Do(req)
		if err != nil {
			l.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode < 400 {
			l.Errorf("%d %s, %v", res.StatusCode, b, err)
		}
		_ = res.Body.Close() // it was read
		l.shown["the answer to a stranger"+query[:min(len(query), 6)]] = string(b)
	}
}

// look asks everything that tells of the daemon itself.
func (l *leak) look() {
	l.Helper()
	for _, path := range []string{
		"/metrics", "/v1/stats", "/openapi.json", "/v1/history?limit=1000", "/v1/tasks/command/why", "/v1/tasks/redirected/history", "/v1/tasks/reflected/attempts", "/v1/tasks/later-command/preview",
		"/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1", "/debug/pprof/threadcreate?debug=1", "/debug/pprof/cmdline",
	} {
		status, answer := l.ask(l.T, http.MethodGet, path, "")
		if status != http.StatusOK || answer == "" {
			l.Errorf("%s: %d %s", path, status, answer)
		}
		l.shown[path] = answer
	}
	_, packed := l.ask(l.T, http.MethodGet, "/debug/pprof/heap", "")
	z, err := gzip.NewReader(strings.NewReader(packed))
	if err != nil {
		l.Fatal(err)
	}
	heap, err := io.ReadAll(z)
	if err != nil {
		l.Fatal(err)
	}
	l.shown["the heap's profile"] = string(heap)
	for e, err := range l.Events(l.Context(), 0, "command") {
		if err != nil {
			l.Fatal(err)
		}
		l.shown["events"] += fmt.Sprintf("%+v", e)
		if e.To == "dead" {
			break
		}
	}
	if runtime.GOOS == "linux" {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", l.cmd.Process.Pid))
		if err != nil {
			l.Error(err)
		}
		l.shown["the process's title"] = string(b)
	}
	for _, args := range [][]string{
		{"ls"},
		{"doctor"},
		{"stats", "-o", "json"},
		{"history", "-o", "jsonl"},
		{"why", "reflected"},
		{"why", "proxied"},
		{"logs", "--list", "-o", "jsonl", "redirected"},
		{"serve", "--check", "--config", l.config},
		{"serve", "--config", l.config},
		{"--url", "https://me:" + l.hidden["query"] + "@127.0.0.1:1", "ls"},
	} {
		cmd := program(l.Context(), l.T, l.dir, args...)
		out, _ := cmd.CombinedOutput() // some of them fail
		if len(out) == 0 {
			l.Errorf("duly %q says nothing", args)
		}
		l.shown["duly "+strings.Join(args[:min(2, len(args))], " ")] += string(out)
	}
}

// tell looks for the secrets in all that was shown.
func (l *leak) tell() {
	l.Helper()
	for where, text := range l.shown {
		for what, secret := range l.hidden {
			if strings.Contains(text, secret) {
				l.Errorf("%s shows the %s: %s", where, what, around(text, secret))
			}
		}
		for what, held := range l.inTasks {
			if strings.Contains(text, held) && where != "duly ls" {
				l.Errorf("%s shows the %s of a task: %s", where, what, around(text, held))
			}
		}
	}
}

func around(text, part string) string {
	i := strings.Index(text, part)
	return text[max(0, i-100):min(len(text), i+len(part)+50)]
}

// TestSecrets gives a daemon a secret of its own in every place where it takes one, and looks for them in everything that it shows: to
// itself, to strangers, and to whoever may look at tasks. Where they have to be kept, only the owner can read.
func TestSecrets(t *testing.T) {
	l := &leak{T: t, hidden: map[string]string{}, inTasks: map[string]string{}, shown: map[string]string{}}
	l.settings()
	old := syscall.Umask(0) // what is made is its owner's alone, even so
	defer syscall.Umask(old)
	l.served = launch(t, dataDir(t), "--config", l.config, "--listen", "127.0.0.1:0")
	l.ready(t)
	own, err := os.ReadFile(home.Token(l.dir))
	if err != nil {
		t.Fatal(err)
	}
	l.hidden["daemon's token"] = strings.TrimSpace(string(own))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { // whose connection no command has
		for _, err := range l.Events(ctx, 0, "") {
			if err != nil {
				return
			}
		}
	}()
	l.tasks()
	l.refusals()
	l.look()

	// Whoever may look at a task sees what it is to do, but for what looks like a secret.
	for _, args := range [][]string{{"show", "later-command"}, {"show", "-o", "json", "later-command"}, {"show", "-o", "json", "later-redirected"}, {"ls", "-o", "jsonl"}} {
		text := l.run(t, args...)
		for what, secret := range l.hidden {
			if strings.Contains(text, secret) {
				t.Errorf("duly %q shows the %s: %s", args, what, around(text, secret))
			}
		}
		if !strings.Contains(text, "redacted") || len(args) > 3 && args[3] == "later-command" && !strings.Contains(text, l.inTasks["argument"]) {
			t.Errorf("duly %q says %s", args, text)
		}
	}
	l.kept(t)

	l.signal(t, syscall.SIGQUIT) // the dump of a crash
	<-l.ended
	if l.shown["the log, and the dump"] = l.said(); !strings.Contains(l.said(), "goroutine 1 ") || !strings.Contains(l.said(), "level=DEBUG") || !strings.Contains(l.said(), "proxyconnect") {
		t.Errorf("it says\n%.10000s", l.said())
	}
	l.tell()
}

// ofTasks are the secrets that the tasks hold.
var ofTasks = []string{"query", "header", "api key", "variable", "database URL"}

// kept looks at the daemon's directory and at a backup of it: what has to be there, for tasks need it, is its owner's alone.
func (l *leak) kept(t *testing.T) {
	t.Helper()
	found := l.secretsIn(l.dir)
	for _, where := range []string{"header in store", "query in store", "variable in store", "variable in output", "daemon's token in token"} {
		if !found[where] {
			t.Errorf("there is no %s: this test does not see what is there", where)
		}
		delete(found, where)
	}
	for _, where := range []string{"api key in store", "database URL in store", "database URL in output"} {
		delete(found, where)
	}
	for where := range found {
		t.Errorf("there is the %s", where)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	l.run(t, "backup", backup)
	for where := range l.secretsIn(backup) {
		if what, _, _ := strings.Cut(where, " in "); !slices.Contains(ofTasks, what) {
			t.Errorf("in a backup there is the %s", where)
		}
	}
	if _, err := os.Stat(home.Token(backup)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a backup has a token: %v", err)
	}
}

// secretsIn returns which secrets are in files of a directory, and in which of its entries. Everything in it is its owner's alone.
func (l *leak) secretsIn(dir string) (found map[string]bool) {
	l.Helper()
	found = map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[e.IsDir()]; info.Mode().Perm() != want {
			l.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		if !e.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		for what, secret := range l.hidden {
			if bytes.Contains(b, []byte(secret)) {
				found[what+" in "+strings.Split(rel, string(filepath.Separator))[0]] = true
			}
		}
		return err
	})
	if err != nil {
		l.Fatal(err)
	}
	return found
}
