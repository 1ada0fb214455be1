package daemon

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
)

// refuses checks that a start fails, what it says, and that it leaves nothing behind: no socket, no port, no lock, no goroutine (which
// TestMain sees), and no directory where there was none.
func refuses(t *testing.T, c *Config, want ...string) {
	t.Helper()
	_, before := os.Stat(c.Data)
	d, err := Open(t.Context(), c, Process{Stdout: io.Discard, Stderr: io.Discard})
	if err == nil {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		t.Fatal("it starts")
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
	if _, after := os.Stat(c.Data); before != nil && after == nil {
		t.Errorf("the data directory is left behind")
	}
}

// config is one of a directory that is not there, on port 0.
func config(t *testing.T, more ...string) *Config {
	t.Helper()
	g := given(t, "", more...)
	g.Data = filepath.Join(shortDir(t), "up", "data")
	if _, ok := g.Flags["listen"]; !ok {
		g.Flags["listen"] = []string{"127.0.0.1:0"}
	}
	c, err := Load(g)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStart_PortTaken(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := config(t, "listen=127.0.0.1:0,"+l.Addr().String())
	refuses(t, c, l.Addr().String()+" is taken", "--listen 127.0.0.1:0", "--listen none")
	if _, err := os.Stat(filepath.Dir(c.Data)); err == nil {
		t.Error("the directory above the data directory is left behind")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), c, Process{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatalf("with the port free: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestStart_DirectoryInUse(t *testing.T) {
	f := serve(t)
	other := *f.d.config
	other.Listen = []string{f.tcp()}
	refuses(t, &other, "runs already", f.d.Socket())
	other.Listen = nil
	refuses(t, &other, f.d.config.Data, "is in use", "this process")
	if err := f.socketClient().Ready(t.Context()); err != nil {
		t.Errorf("the first daemon, after a second one was started: %v", err)
	}
}

func TestStart_Directory(t *testing.T) {
	c := config(t)
	if err := os.MkdirAll(filepath.Dir(c.Data), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(c.Data), "data", "a file")
	refuses(t, c, c.Data, "want a directory, it is a file")
	if runtime.GOOS == "windows" {
		t.Skip("the mode of a directory is not its access list")
	}
	c = config(t)
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o777, 0o1777, 0o770, 0o720} {
		if err := os.Chmod(c.Data, mode); err != nil {
			t.Fatal(err)
		}
		refuses(t, c, c.Data, "only its owner can write to", "chmod go-w")
	}
	if entries, err := os.ReadDir(c.Data); err != nil || len(entries) != 0 {
		t.Errorf("in the directory is %v, %v", entries, err)
	}
}

func TestStart_Socket(t *testing.T) {
	c := config(t)
	path := write(t, shortDir(t), "s", "a file")
	c.Socket, c.socketGiven = path, true
	refuses(t, c, path, "another file")
	if b, err := os.ReadFile(path); err != nil || string(b) != "a file" {
		t.Errorf("the file is %q, %v", b, err)
	}
	c.Socket = filepath.Join(shortDir(t), "no", "s")
	refuses(t, c, c.Socket, "a directory that is there")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(shortDir(t), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody was served
	c.Socket = l.Addr().String()
	refuses(t, c, c.Socket, "another program")
	if !answers(t.Context(), c.Socket) {
		t.Error("the other program's socket was taken away")
	}
}

// A socket that a killed daemon has left does not keep the next one from starting.
func TestStart_StaleSocket(t *testing.T) {
	c := config(t)
	c.Socket = filepath.Join(shortDir(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: c.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), c, Process{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(c.Socket); err == nil {
		t.Error("the socket is left after Close")
	}
}

func TestStart_StoreIsAFile(t *testing.T) {
	c := config(t)
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, c.Data, "store", "not a store")
	refuses(t, c, home.Store(c.Data), "a directory, not a file")
	if b, err := os.ReadFile(home.Store(c.Data)); err != nil || string(b) != "not a store" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

// With too little room nothing new is taken, and the answer says why. What is there can be looked at.
func TestDiskFull(t *testing.T) {
	f := serve(t, "min_free=1000000TiB")
	if status, answer := f.ask("PUT", "/v1/tasks/a", `{"in":"1h","http":{"url":"https://example.com"}}`, f.bearer()); status != 507 || slug(answer) != "no-space" {
		t.Errorf("put: %d %s", status, answer)
	}
	if status, answer := f.ask("GET", "/v1/tasks", "", f.bearer()); status != 200 {
		t.Errorf("list: %d %s", status, answer)
	}
}

func TestEnd_Drains(t *testing.T) {
	f := serve(t)
	c := f.socketClient()
	marks := f.dir
	if _, err := c.Put(t.Context(), "slow", api.Spec{Command: sh("touch " + marks + "/begun; until [ -e " + marks + "/go ]; do :; done; touch " + marks + "/done"), In: in(0)}); err != nil {
		t.Fatal(err)
	}
	until(t, marks+"/begun")
	f.signals <- endSignals[0]
	f.log.Has(t, "told to end")
	// Whoever waits for the task is answered still, and balancers see that the daemon ends.
	for status := 200; status != 503; {
		status, _ = f.ask("GET", "/readyz", "")
	}
	write(t, marks, "go", "")
	if err := f.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := os.Stat(marks + "/done"); err != nil {
		t.Errorf("the command was cut off: %v", err)
	}
	if _, err := os.Lstat(f.d.config.Socket); err == nil {
		t.Error("the socket is left")
	}
}

// until waits for a file.
func until(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("%s is never there", path)
		}
	}
}

// A second signal does not wait for the drain's end: what runs is told to stop, and the task is not lost.
func TestEnd_SecondSignal(t *testing.T) {
	dir := shortDir(t)
	f := serveIn(t, dir, usualLimits, "", "drain_timeout=24h")
	line := "trap 'touch " + dir + "/told; exit 1' TERM; touch " + dir + "/begun; while :; do sleep 0.01; done"
	if _, err := f.socketClient().Put(t.Context(), "endless", api.Spec{Command: sh(line), In: in(0), Policy: api.Policy{Attempts: 5}}); err != nil {
		t.Fatal(err)
	}
	until(t, dir+"/begun")
	f.signals <- endSignals[0]
	f.log.Has(t, "told to end")
	f.signals <- endSignals[len(endSignals)-1]
	if err := f.wait(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if _, err := os.Stat(dir + "/told"); err != nil {
		t.Errorf("the command was not told: %v", err)
	}
	again := serveIn(t, dir, usualLimits, "")
	if task, err := again.socketClient().Get(t.Context(), "endless"); err != nil || task.State == "dead" {
		t.Errorf("after a restart: %+v, %v", task, err)
	}
	if _, err := again.socketClient().CancelRunning(t.Context(), "endless"); err != nil {
		t.Error(err)
	}
}

func TestReload(t *testing.T) {
	if reloadSignal == nil {
		t.Skip("there is no signal to reload by")
	}
	dir := t.TempDir()
	path := write(t, dir, "ci", strings.Repeat("first", 6))
	hooks := write(t, dir, "hooks", "whsec_"+strings.Repeat("A", 32))
	yaml := "log_level: info\nwebhook_secrets: " + hooks + "\ntokens:\n- {name: ci, scopes: [read], file: " + path + "}\n"
	f := serveIn(t, shortDir(t), usualLimits, yaml)
	ask := func(token string) int {
		status, _ := f.ask("GET", "/v1/tasks", "", "Authorization: Bearer "+token)
		return status
	}
	if got := ask(strings.Repeat("first", 6)); got != 200 {
		t.Errorf("the first token: %d", got)
	}
	config := f.d.config.given.Config
	change := func(text string) {
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f.signals <- reloadSignal
	}
	write(t, dir, "ci", strings.Repeat("other", 6))
	own := f.token()
	if err := os.Remove(home.Token(f.d.config.Data)); err != nil {
		t.Fatal(err)
	}
	change(strings.Replace(yaml, "info", "debug", 1) + "workers: 3\n")
	f.log.Has(t, "msg=reloaded")
	f.log.Has(t, "settings=[workers]")
	if got := [4]int{ask(strings.Repeat("first", 6)), ask(strings.Repeat("other", 6)), ask(own), ask(f.token())}; got != [4]int{401, 200, 401, 200} {
		t.Errorf("after the reload the first token, the other, the daemon's first and its new one: %v", got)
	}
	// All or nothing: a mistake at the end leaves the beginning without effect.
	change("tokens: []\nlisten: nonsense\n")
	f.log.Has(t, "the reload is refused")
	if got := ask(strings.Repeat("other", 6)); got != 200 {
		t.Errorf("after a reload that was refused: %d", got)
	}
	for _, secret := range []string{strings.Repeat("A", 32), strings.Repeat("other", 6), strings.Repeat("first", 6), own, f.token()} {
		if strings.Contains(f.log.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

// A daemon that has cut a request off does not say that nothing was.
func TestEnd_CutOff(t *testing.T) {
	f := serve(t)
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "unix", f.d.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // it is cut off
	head := "PUT /v1/tasks/n HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n"
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "100") { // its body is waited for from then on
		t.Fatalf("%q, %v", line, err)
	}
	f.signals <- endSignals[0]
	if err := f.wait(); err != nil {
		t.Error(err)
	}
	if log := f.log.String(); !strings.Contains(log, "requests are cut off") || strings.Contains(log, "nothing was cut off") {
		t.Errorf("the log says\n%s", log)
	}
}
