//go:build unix

package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/client"
)

// A directory or a secret whose owner is another user is theirs to change, whatever its mode is.
func TestOwner(t *testing.T) {
	dir := t.TempDir()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	uid := func(uid uint32) os.FileInfo {
		s := *info.Sys().(*syscall.Stat_t)
		s.Uid = uid
		return owned{info, &s}
	}
	for _, tt := range []struct {
		owner uint32
		user  int
		want  string
	}{{1000, 1000, ""}, {0, 1000, ""}, {0, 0, ""}, {1001, 1000, "uid 1001"}, {1000, 0, "uid 1000"}} {
		if got := foreign(uid(tt.owner), tt.user); got != tt.want {
			t.Errorf("of %d, for %d: %q, want %q", tt.owner, tt.user, got, tt.want)
		}
	}
	if os.Geteuid() != 0 {
		return // only root can give a directory away
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	secret := write(t, dir, "token", strings.Repeat("x", leastToken))
	for path, look := range map[string]func() error{
		dir:    func() error { _, err := makeDir(dir); return err },
		secret: func() error { _, err := readToken(secret); return err },
	} {
		if err := look(); err != nil {
			t.Errorf("%s is ours: %v", filepath.Base(path), err)
		}
		if err := os.Chown(path, 12345, -1); err != nil {
			t.Fatal(err)
		}
		err := look()
		if err == nil {
			t.Errorf("%s is another user's, and taken", filepath.Base(path))
			continue
		}
		for _, want := range []string{path, "uid 12345", "chown"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not say %q: %v", want, err)
			}
		}
	}
}

// A directory that no daemon takes which this user starts is not said to be fine when none answers.
func TestExamine_Owner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away")
	}
	dir := shortDir(t)
	c, err := client.New(client.Options{Socket: filepath.Join(dir, "duly.sock")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	p := Patient{Data: dir, Client: c, Version: "v1", Now: time.Now}
	if first := Examine(t.Context(), p)[0]; first.Verdict != Fine {
		t.Errorf("it is ours: %+v", first)
	}
	if err := os.Chown(dir, 12345, -1); err != nil {
		t.Fatal(err)
	}
	if first := Examine(t.Context(), p)[0]; first.Verdict != Warn || !strings.Contains(first.Text, "uid 12345") || !strings.Contains(first.Hint, "chown") {
		t.Errorf("it is another user's: %+v", first)
	}
}

// An owned is a file of somebody else.
type owned struct {
	os.FileInfo

	sys any
}

func (o owned) Sys() any { return o.sys }

// An address by which the daemon is known is told to be where others can read it, and only then.
func TestTelling_ReadableAddress(t *testing.T) {
	const yaml = "notify_url: http://127.0.0.1:1/hush-hush\n"
	f := serveIn(t, shortDir(t), usualLimits, yaml)
	const told = "others can read the configuration file"
	if log := f.log.String(); strings.Contains(log, told) {
		t.Errorf("the file is the owner's alone, and the log says\n%s", log)
	}
	path := f.d.config.given.Config
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(yaml+"notify_limit: 3\n"), 0o600); err != nil { // which it keeps the mode of
		t.Fatal(err)
	}
	f.signals <- reloadSignal
	f.log.Has(t, told)
	if log := f.log.String(); !strings.Contains(log, "setting=notify_url") || strings.Contains(log, "setting=ping_url") || strings.Contains(log, "hush-hush") {
		t.Errorf("the log says\n%s", log)
	}
}
