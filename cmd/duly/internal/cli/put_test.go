package cli

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

func TestReadDelay(t *testing.T) {
	tests := []struct {
		words string
		want  string // a duration, or what the error contains
	}{
		{"5m", "5m0s"},
		{"0s", "0s"},
		{"0", "0s"},
		{"1h30m", "1h30m0s"},
		{"1h 30m", "1h30m0s"},
		{"1.5h", "1h30m0s"},
		{"2 hours", "2h0m0s"},
		{"2 hours 30 minutes", "2h30m0s"},
		{"90 secs", "1m30s"},
		{"90sec", "1m30s"},
		{"1min", "1m0s"},
		{"PT1M30S", "1m30s"},
		{"P1D", "24h0m0s"},
		{"5", "!want a unit"},
		{"-5m", "!has passed"},
		{"5x", "!want a unit"},
		{"5m echo tea", "!duly in 5m -- echo tea"},
		{"17:00", "!hint: for an instant: duly at 17:00"},
		{"5m jitter 10s", "!put NAME --schedule 'in 5m jitter 10s'"},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			got, err := readDelay(strings.Fields(tt.words))
			contains(t, got.String(), explained(err), tt.want)
		})
	}
}

// explained is what is printed of an error.
func explained(err error) string {
	if err == nil {
		return ""
	}
	text, _ := newSession(Process{}).explain(err)
	return text
}

// contains checks a value, or what an error says if want begins with an exclamation mark.
func contains(t *testing.T, got, failure, want string) {
	t.Helper()
	part, fails := strings.CutPrefix(want, "!")
	switch {
	case fails && !strings.Contains(failure, part):
		t.Errorf("error %q, want one that contains %q", failure, part)
	case !fails && failure != "":
		t.Errorf("error %q, want %s", failure, want)
	case !fails && got != want:
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLooksLong(t *testing.T) {
	for text, want := range map[string]bool{
		"5m": true, "in 5m": true, "1h 30m": true, "2 hours": true, "PT5M": true, "3d": true,
		"17:00": false, "5pm": false, "24 dec 18:00": false, "tomorrow 17:00": false, "2026-12-24 18:00": false, "": false,
	} {
		if got := looksLong(text); got != want {
			t.Errorf("looksLong(%q) = %t, want %t", text, got, want)
		}
	}
}

func TestCaptureEnv(t *testing.T) {
	environ := []string{"PATH=/bin", "HOME=/home/u", "LC_TIME=C", "SECRET=x", "EDITOR=vi", "DULY_TOKEN=t", "=C:=C:\\", "EMPTY="}
	tests := []struct {
		name  string
		flags []string
		want  map[string]string
		fails string
	}{
		{name: "what is kept", want: map[string]string{"PATH": "/bin", "HOME": "/home/u", "LC_TIME": "C"}},
		{name: "as it is here", flags: []string{"EDITOR", "EMPTY"}, want: map[string]string{"PATH": "/bin", "HOME": "/home/u", "LC_TIME": "C", "EDITOR": "vi", "EMPTY": ""}},
		{name: "another value", flags: []string{"PATH=/x", "A=b=c"}, want: map[string]string{"PATH": "/x", "HOME": "/home/u", "LC_TIME": "C", "A": "b=c"}},
		{name: "none here", flags: []string{"GONE"}, fails: "there is no such variable here\nhint: to give it a value: --env GONE=VALUE"},
		{name: "no name", flags: []string{"=x"}, fails: "want NAME or NAME=VALUE"},
		{name: "the daemon's", flags: []string{"DULY_NAME=x"}, fails: "given by the daemon"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := captureEnv(environ, tt.flags)
			if tt.fails != "" {
				contains(t, "", explained(err), "!"+tt.fails)
				return
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestFindProgram(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there a file is a program by its name, and PATH is not all that is looked through")
	}
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"tool": 0o755, "text": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"PATH": dir}
	tests := []struct {
		args  []string
		env   map[string]string
		fails string
	}{
		{args: []string{"tool"}, env: env},
		{args: []string{"./tool"}, env: env},
		{args: []string{filepath.Join(dir, "tool")}, env: env},
		{args: []string{"anything"}}, // a standard PATH, which the daemon knows
		{args: []string{"tool"}, env: map[string]string{"PATH": "."}},
		{args: []string{"gone"}, env: env, fails: `no program "gone" is found in PATH`},
		{args: []string{"tool"}, env: map[string]string{"PATH": "/nowhere"}, fails: "hint: for the file in this directory: ./tool"},
		{args: []string{"./text"}, env: env, fails: "permission denied"},
		{args: []string{"tool | wc"}, env: env, fails: "hint: for a line of the shell: --shell 'tool | wc'"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			want := "ok"
			if tt.fails != "" {
				want = "!" + tt.fails
			}
			contains(t, "ok", explained(findProgram(&target.Command{Args: tt.args, Dir: dir, Env: tt.env})), want)
		})
	}
}

// TestMadeUp: a made-up name says what is to run and is easy to type.
func TestMadeUp(t *testing.T) {
	command := func(args ...string) api.Spec { return api.Spec{Command: &target.Command{Args: args}} }
	tests := []struct {
		spec api.Spec
		want string
	}{
		{command("notify-send", "tea"), "notify-send"},
		{command("/usr/bin/Backup.sh"), "backup.sh"},
		{command("日本"), "task"},
		{command("-"), "task"},
		{command(strings.Repeat("x", 200)), strings.Repeat("x", 20)},
		{api.Spec{Command: &target.Command{Shell: "date >> log"}}, "date"},
		{api.Spec{HTTP: &target.Callback{URL: "https://example.com:8080/hook"}}, "example.com"},
		{api.Spec{}, "task"},
	}
	for _, tt := range tests {
		got := madeUp(&tt.spec)
		if !regexp.MustCompile("^" + regexp.QuoteMeta(tt.want) + "-[2-9b-z]{3}$").MatchString(got) {
			t.Errorf("got %q, want %s-xxx", got, tt.want)
		}
	}
}

func TestSystemZone(t *testing.T) {
	dir := t.TempDir()
	zone := filepath.Join(dir, "zoneinfo", "Europe", "Berlin")
	if err := os.MkdirAll(filepath.Dir(zone), 0o755); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file("zoneinfo/Europe/Berlin", "TZif")
	link := filepath.Join(dir, "localtime")
	if err := os.Symlink(zone, link); err != nil {
		t.Skip("no links can be made here: ", err)
	}
	tests := []struct{ name, localtime, timezone, want string }{
		{"a link", link, "", "Europe/Berlin"},
		{"a copy, and the name", file("copy", "TZif"), file("timezone", "Asia/Tokyo\n"), "Asia/Tokyo"},
		{"a copy alone", file("copy", "TZif"), filepath.Join(dir, "gone"), ""},
		{"nothing", filepath.Join(dir, "gone"), filepath.Join(dir, "gone"), ""},
		{"a name that is none", filepath.Join(dir, "gone"), file("odd", "Mars/Base"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := systemZone(tt.localtime, tt.timezone); got != tt.want && ok || ok != (tt.want != "") {
				t.Errorf("got %q, %t, want %q", got, ok, tt.want)
			}
		})
	}
}

func TestLocalZone(t *testing.T) {
	for tz, want := range map[string]string{
		"": "UTC", "Europe/Berlin": "Europe/Berlin", ":Asia/Tokyo": "Asia/Tokyo", "/usr/share/zoneinfo/America/New_York": "America/New_York",
		"CET-1CEST": "!--zone", "Mars/Base": "!--zone",
	} {
		s := newSession(Process{Environ: []string{"TZ=" + tz}, Now: time.Now})
		got, err := s.localZone()
		contains(t, got, explained(err), want)
	}
}

// TestMisread: each reading is offered as the line to type.
func TestMisread(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 12, 2, 15, 4, 5, 0, time.UTC) }
	s := newSession(Process{Now: now, Local: time.UTC})
	_, err := s.readInstant("5:00", "Europe/Berlin", "at")
	const want = `duly: "5:00": 5:00 has passed today, and may be in the morning or in the afternoon
which is meant?
  duly at 'today 17:00' --zone Europe/Berlin     in 55m 55s
  duly at 'tomorrow 05:00' --zone Europe/Berlin  in 12h 55m
`
	m, ok := errors.AsType[*misread](err)
	if !ok {
		t.Fatalf("got %v, want a *misread", err)
	}
	if diff := cmp.Diff(want, m.explain()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, status := s.explain(err); status != exitUsage {
		t.Errorf("status %d, want %d", status, exitUsage)
	}
}
