package daemon

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/logtest"
)

// A fixture is a daemon that a test has started.
type fixture struct {
	*testing.T

	d       *Daemon
	dir     string
	out     logtest.Log
	log     logtest.Log
	signals chan os.Signal
	ended   chan error
	once    sync.Once
	err     error
}

// shortDir returns a directory whose path leaves room for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "d") //nolint:usetesting // that of a test is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// serve starts a daemon on port 0, with the settings "key=value" beside.
func serve(t *testing.T, more ...string) *fixture {
	t.Helper()
	return serveIn(t, shortDir(t), usualLimits, "", more...)
}

func serveIn(t *testing.T, dir string, l limits, yaml string, more ...string) *fixture {
	t.Helper()
	f := newFixture(t, dir)
	g := given(t, yaml, more...)
	g.Data = filepath.Join(dir, "data")
	if _, ok := g.Flags["listen"]; !ok {
		g.Flags["listen"] = []string{"127.0.0.1:0"}
	}
	c, err := Load(g)
	if err != nil {
		t.Fatal(err)
	}
	if f.d, err = open(t.Context(), c, f.process(g.Getenv), l); err != nil {
		t.Fatal(err)
	}
	f.run()
	return f
}

func newFixture(t *testing.T, dir string) *fixture {
	t.Helper()
	f := &fixture{T: t, dir: dir, signals: make(chan os.Signal, 8), ended: make(chan error, 1)}
	return f
}

func (f *fixture) process(getenv func(string) string) Process {
	return Process{Stdout: &f.out, Stderr: &f.log, Signals: f.signals, Getenv: getenv, PID: os.Getpid(), Version: "v1.2.3-test"}
}

func (f *fixture) run() {
	ctx, stop := context.WithCancel(context.WithoutCancel(f.Context()))
	go func() { f.ended <- f.d.Run(ctx) }()
	f.Cleanup(func() {
		stop()
		if err := f.wait(); err != nil {
			f.Errorf("Run: %v\n%s", err, f.log.String())
		}
	})
	f.log.Has(f.T, "msg=ready")
}

// wait returns what Run does, once it has.
func (f *fixture) wait() error {
	f.once.Do(func() { f.err = <-f.ended })
	return f.err
}

func (f *fixture) token() string {
	f.Helper()
	b, err := os.ReadFile(home.Token(f.d.config.Data))
	if err != nil {
		f.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func (f *fixture) tcp() string { return f.d.Addrs()[0].String() }

// socketClient is the owner's way in.
func (f *fixture) socketClient() *client.Client {
	f.Helper()
	c, err := client.New(client.Options{Socket: f.d.Socket()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	return c
}

// ask makes a request over TCP, with headers "Name: value".
func (f *fixture) ask(method, path, body string, headers ...string) (status int, answer string) {
	f.Helper()
	req, err := http.NewRequestWithContext(f.Context(), method, "http://"+f.tcp()+path, strings.NewReader(body))
	if err != nil {
		f.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	return do(f.T, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, req)
}

func do(t *testing.T, c *http.Client, req *http.Request) (status int, answer string) {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err := res.Body.Close(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func (f *fixture) bearer() string { return "Authorization: Bearer " + f.token() }

// in is a delay.
func in(d time.Duration) *api.Duration { return (*api.Duration)(&d) }

func slug(answer string) string {
	var p api.Problem
	if json.Unmarshal([]byte(answer), &p) != nil {
		return ""
	}
	return p.Slug
}

func TestServe_RunsWhatIsPut(t *testing.T) {
	f := serve(t)
	c := f.socketClient()
	e, err := c.Put(t.Context(), "tea", api.Spec{Command: sh("echo ready"), In: in(0)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Await(t.Context(), "tea", e.Generation); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for chunk, err := range c.Output(t.Context(), "tea", "", 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		said.WriteString(chunk.Text)
	}
	if said.String() != "ready\n" {
		t.Errorf("it printed %q", said.String())
	}
	if s, err := c.Stats(t.Context()); err != nil || s.Version != "v1.2.3-test" {
		t.Errorf("stats: %+v, %v", s, err)
	}
	if status, answer := f.ask("GET", "/metrics", "", f.bearer()); status != 200 || !strings.Contains(answer, "duly_") || !strings.Contains(answer, "go_goroutines") {
		t.Errorf("/metrics: %d %.200s", status, answer)
	}
	banner := f.out.String()
	for _, want := range []string{f.d.Socket(), "http://" + f.tcp(), f.d.config.Data, " in 5s ", " ls\n", "curl "} {
		if !strings.Contains(banner, want) {
			t.Errorf("the banner does not say %q:\n%s", want, banner)
		}
	}
}

func TestToken(t *testing.T) {
	f := serve(t)
	if n := len(f.token()) - len(tokenPrefix); n < leastToken {
		t.Errorf("the token has %d characters", n)
	}
	good := f.token()
	for name, tt := range map[string]struct {
		header string
		status int
	}{
		"none":              {"X: y", 401},
		"right":             {"Authorization: Bearer " + good, 200},
		"lower case":        {"Authorization: bearer " + good, 200},
		"wrong":             {"Authorization: Bearer " + tokenPrefix + strings.Repeat("x", 43), 401},
		"cut":               {"Authorization: Bearer " + good[:len(good)-1], 401},
		"with more":         {"Authorization: Bearer " + good + "x", 401},
		"empty":             {"Authorization: Bearer ", 401},
		"of another scheme": {"Authorization: Basic " + good, 401},
		"alone":             {"Authorization: " + good, 401},
	} {
		if status, answer := f.ask("GET", "/v1/tasks", "", tt.header); status != tt.status || strings.Contains(answer, good) {
			t.Errorf("token %s: %d %s, want %d", name, status, answer, tt.status)
		}
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if status, answer := f.ask("GET", path, ""); status != 200 {
			t.Errorf("%s without a token: %d %s", path, status, answer)
		}
	}
	if status, _ := f.ask("GET", "/metrics", ""); status != 401 {
		t.Errorf("/metrics without a token: %d", status)
	}
	if strings.Contains(f.log.String()+f.out.String(), good) {
		t.Error("the token was printed")
	}
}

func TestToken_StaysAfterARestart(t *testing.T) {
	dir := shortDir(t)
	f := serveIn(t, dir, usualLimits, "")
	first := f.token()
	f.signals <- endSignals[0]
	if err := f.wait(); err != nil {
		t.Fatal(err)
	}
	if second := serveIn(t, dir, usualLimits, "").token(); second != first {
		t.Error("another token after a restart")
	}
}

func TestToken_Scopes(t *testing.T) {
	dir := t.TempDir()
	var yaml strings.Builder
	yaml.WriteString("tokens:\n")
	tokens := map[string]string{"reader": "[read]", "writer": "[read, write]", "runner": "[read, write, exec]"}
	for name, scopes := range tokens {
		path := write(t, dir, name, strings.Repeat(name, 5))
		yaml.WriteString("- {name: " + name + ", scopes: " + scopes + ", file: " + path + "}\n")
	}
	f := serveIn(t, shortDir(t), usualLimits, yaml.String())
	put := `{"in":"24h","command":{"args":["true"]}}`
	call := `{"in":"24h","http":{"url":"https://example.com/"}}`
	for _, tt := range []struct {
		who, method, path, body string
		status                  int
	}{
		{"reader", "GET", "/v1/tasks", "", 200},
		{"reader", "PUT", "/v1/tasks/a", call, 403},
		{"reader", "PUT", "/v1/tasks/b", put, 403},
		{"writer", "PUT", "/v1/tasks/a", call, 201},
		{"writer", "PUT", "/v1/tasks/b", put, 403},
		{"runner", "PUT", "/v1/tasks/b", put, 201},
		{"reader", "DELETE", "/v1/tasks/b", "", 403},
		{"writer", "DELETE", "/v1/tasks/b", "", 200},
	} {
		status, answer := f.ask(tt.method, tt.path, tt.body, "Authorization: Bearer "+strings.Repeat(tt.who, 5))
		if status != tt.status {
			t.Errorf("%s: %s %s: %d %s, want %d", tt.who, tt.method, tt.path, status, answer, tt.status)
		}
	}
}

// A request ends when a scope that it was allowed is taken back, and when another one is it goes on.
func TestToken_TakenBack(t *testing.T) {
	token := strings.Repeat("x", leastToken)
	credentials := func(scopes ...api.Scope) []credential {
		return []credential{{name: "x", sum: sha256.Sum256([]byte(token)), scopes: scopes}}
	}
	for _, tt := range []struct {
		name  string
		after []credential
		want  error
	}{
		{"nothing", credentials(api.Backup, api.Read), nil},
		{"a scope that was not asked for", credentials(api.Backup), nil},
		{"the scope", credentials(api.Read), api.ErrForbidden},
		{"the token", nil, api.ErrUnauthenticated},
	} {
		g := &guard{}
		g.replace(credentials(api.Backup, api.Read))
		h := endRequests(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := g.allow(r, api.Exec); !errors.Is(err, api.ErrForbidden) { // which is not what ends it
				t.Errorf("%s: a scope that it does not have: %v", tt.name, err)
			}
			if err := g.allow(r, api.Backup); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			g.replace(tt.after)
			if err := context.Cause(r.Context()); !errors.Is(err, tt.want) {
				t.Errorf("%s was taken back: it ends with %v, want %v", tt.name, err, tt.want)
			}
		}), g)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/backup", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		h.ServeHTTP(httptest.NewRecorder(), r)
		if len(g.granted) > 0 {
			t.Errorf("%s: a request that has ended is still followed", tt.name)
		}
	}
}

func TestToken_OpenToOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode of a file is not its access list")
	}
	dir := shortDir(t)
	f := serveIn(t, dir, usualLimits, "")
	f.signals <- endSignals[0]
	if err := f.wait(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(home.Token(f.d.config.Data), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), f.d.config, f.process(nil))
	if err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a token that others read: %v", err)
	}
	leavesNothing(t, f.d.config)
}

// leavesNothing checks that no socket and no lock is left of a start that failed.
func leavesNothing(t *testing.T, c *Config) {
	t.Helper()
	if _, err := os.Lstat(c.Socket); err == nil {
		t.Error("a socket is left")
	}
	bad := *c
	bad.Listen = []string{"127.0.0.1:0"}
	if err := os.Chmod(home.Token(c.Data), 0o600); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), &bad, Process{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatalf("a start after the one that failed: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// Whatever the umask is, nobody but the owner can use the socket or read a file.
func TestModes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the mode of a file is not its access list")
	}
	defer setUmask(0)()
	f := serve(t)
	c := f.socketClient()
	e, err := c.Put(t.Context(), "tea", api.Spec{Command: sh("echo ready"), In: in(0)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Await(t.Context(), "tea", e.Generation); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = filepath.WalkDir(f.d.config.Data, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		seen++
		if want := fs.FileMode(0o600); entry.IsDir() && info.Mode().Perm() != 0o700 || !entry.IsDir() && info.Mode().Perm() != want {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || seen < 8 {
		t.Errorf("%d files: %v", seen, err)
	}
}

func TestHostAndOrigin(t *testing.T) {
	f := serve(t, "hosts=duly.example.com")
	_, port, err := net.SplitHostPort(f.tcp())
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		headers []string
		status  int
		slug    string
	}{
		"by address":                  {nil, 200, ""},
		"by localhost":                {[]string{"Host: localhost:" + port}, 200, ""},
		"by a name that was given":    {[]string{"Host: DULY.example.com"}, 200, ""},
		"by a name that was rebound":  {[]string{"Host: evil.example:" + port}, 421, "host"},
		"by a name that begins right": {[]string{"Host: localhost.evil.example"}, 421, "host"},
		"from another site":           {[]string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 403, "origin"},
		"from another port":           {[]string{"Origin: http://127.0.0.1:1", "Sec-Fetch-Site: same-site"}, 403, "origin"},
		"by an old browser":           {[]string{"Origin: https://evil.example"}, 403, "origin"},
		"from the null origin":        {[]string{"Origin: null"}, 403, "origin"},
	} {
		body := `{"in":"24h","http":{"url":"https://example.com/"}}`
		status, answer := f.ask("POST", "/v1/tasks", body, append(tt.headers, f.bearer())...)
		if status == 201 {
			status = 200
		}
		if status != tt.status || slug(answer) != tt.slug {
			t.Errorf("%s: %d %s, want %d %s", name, status, answer, tt.status, tt.slug)
		}
	}
}

func TestProfilesAreOnTheSocketAlone(t *testing.T) {
	f := serve(t)
	if status, _ := f.ask("GET", "/debug/pprof/cmdline", "", f.bearer()); status != 404 {
		t.Errorf("over TCP: %d", status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/debug/pprof/goroutine?debug=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", f.d.Socket())
	}}
	if status, answer := do(t, &http.Client{Transport: tr}, req); status != 200 || !strings.Contains(answer, "goroutine profile") {
		t.Errorf("on the socket: %d %.100s", status, answer)
	}
}

func TestBeyondLoopback_Commands(t *testing.T) {
	put := `{"in":"24h","command":{"args":["true"]}}`
	for _, tt := range []struct {
		more   []string
		status int
	}{
		{[]string{"listen=0.0.0.0:0", "insecure=true"}, 403},
		{[]string{"listen=0.0.0.0:0", "insecure=true", "allow_commands=true"}, 201},
		{[]string{"listen=127.0.0.1:0"}, 201},
	} {
		f := serve(t, tt.more...)
		_, port, err := net.SplitHostPort(f.tcp())
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://127.0.0.1:"+port+"/v1/tasks/a", strings.NewReader(put))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+f.token())
		status, answer := do(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, req)
		if status != tt.status {
			t.Errorf("%v: %d %s, want %d", tt.more, status, answer, tt.status)
		}
		if _, err := f.socketClient().Put(t.Context(), "b", api.Spec{Command: sh("true"), In: in(time.Hour)}); err != nil {
			t.Errorf("%v: on the socket: %v", tt.more, err)
		}
	}
}

func TestTLS_Reload(t *testing.T) {
	dir := t.TempDir()
	cert, key := selfSigned(t, dir, "one")
	f := serve(t, "tls_cert="+cert, "tls_key="+key)
	if f.d.ports[1].String() != "https://"+f.tcp() {
		t.Errorf("it says that it is at %v", f.d.ports[1])
	}
	ask := func() string {
		t.Helper()
		pem, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+f.tcp()+"/livez", nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		return res.TLS.PeerCertificates[0].Subject.CommonName
	}
	if got := ask(); got != "one" {
		t.Errorf("certificate %q", got)
	}
	replace := func(name string) {
		newCert, newKey := selfSigned(t, dir, name)
		if err := os.Rename(newCert, cert); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(newKey, key); err != nil {
			t.Fatal(err)
		}
	}
	if reloadSignal == nil {
		t.Skip("there is no signal to reload by")
	}
	replace("two")
	f.signals <- reloadSignal
	f.log.Has(t, "msg=reloaded")
	if got := ask(); got != "two" {
		t.Errorf("after the reload the certificate is %q", got)
	}
	write(t, dir, "one.key", "not a key")
	f.signals <- reloadSignal
	f.log.Has(t, "the reload is refused")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.tcp()+"/livez", nil)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := do(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, req); status != 400 {
		t.Errorf("in the clear: %d", status)
	}
	if got := ask(); got != "two" {
		t.Errorf("after the reload that was refused the certificate is %q", got)
	}
}
