package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dulyhq/duly/wait"
)

// long skips what makes packages and becomes root elsewhere, unless it is asked for.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("DULY_TEST_LONG") == "" {
		t.Skip("it builds the program anew; DULY_TEST_LONG=1 runs it")
	}
	if os.Getuid() != 0 {
		t.Skip("to go to another root takes root")
	}
}

// packaged runs a script of the clone, with variables.
func packaged(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join("..", "..", "packaging", name), args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("packaging/%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// An emptyRoot is a root with what the image has in it and nothing else.
type emptyRoot struct{ dir string }

// nobody is the image's user.
const nobody = 65532

func newEmptyRoot(t *testing.T, authority []byte) *emptyRoot {
	t.Helper()
	r := &emptyRoot{t.TempDir()}
	packaged(t, []string{"VERSION=v1.2.3"}, "build", filepath.Join(r.dir, "duly"))
	certs, data := filepath.Join(r.dir, "etc", "ssl", "certs"), filepath.Join(r.dir, "var", "lib", "duly")
	for _, dir := range []string{certs, filepath.Dir(data)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(certs, "ca-certificates.crt"), authority, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(data, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return r
}

// command is the program in this root, as its user, with the environment of a container.
func (r *emptyRoot) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/duly", args...)
	cmd.Dir, cmd.Env = "/", []string{"DULY_DATA=/var/lib/duly", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: r.dir, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

// TestPackaging_EmptyRoot runs the program as the image does: as a user without a name, with nothing around it. It knows the zones, calls
// whom the certificates vouch for and nobody else, says whether it is healthy, ends when it is asked to, and goes on with what it had.
func TestPackaging_EmptyRoot(t *testing.T) {
	long(t)
	called := make(chan string, 8)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { called <- r.URL.Path }))
	defer srv.Close()
	r := newEmptyRoot(t, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	run := func(args ...string) (string, error) {
		out, err := r.command(t.Context(), args...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("version"); err != nil || !strings.HasPrefix(out, "duly v1.2.3\n") {
		t.Errorf("duly version: %v\n%s", err, out)
	}
	if out, err := run("next", "0 9 * * *", "--zone", "Europe/Berlin"); err != nil {
		t.Errorf("duly next: %v\n%s", err, out)
	}
	if out, err := run("doctor"); err == nil {
		t.Errorf("without a daemon it is healthy:\n%s", out)
	}
	serve := func() (stop func()) {
		cmd := r.command(context.WithoutCancel(t.Context()), "serve", "--listen", "none", "--allow-private")
		cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for {
			out, err := run("doctor")
			if err == nil {
				break
			}
			if wait.Sleep(t.Context(), 20*time.Millisecond) != nil {
				t.Fatalf("it is not healthy: %s", out)
			}
		}
		return func() {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
		}
	}
	stop := serve()
	if out, err := run("in", "0s", "--wait", "--retry", "0", "--post", srv.URL+"/now"); err != nil {
		t.Errorf("a callback to whom the certificates vouch for: %v\n%s", err, out)
	} else if got := <-called; got != "/now" {
		t.Errorf("%s was called", got)
	}
	if out, err := run("in", "1h", "--name", "later", "--post", srv.URL+"/later"); err != nil {
		t.Errorf("duly in: %v\n%s", err, out)
	}
	stop()
	stop = serve()
	if out, err := run("run", "later", "--wait"); err != nil {
		t.Errorf("what was put before it ended: %v\n%s", err, out)
	} else if got := <-called; got != "/later" {
		t.Errorf("%s was called", got)
	}
	stop()
}

// TestPackaging_Deb installs the package in a root of its own, twice with a change of the settings in between, and removes it.
func TestPackaging_Deb(t *testing.T) {
	long(t)
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("dpkg is not here: " + err.Error())
	}
	out, root := t.TempDir(), t.TempDir()
	env := []string{"VERSION=v1.2.3", "SOURCE_DATE_EPOCH=1767225600"}
	packaged(t, env, "packages", out)
	debs, _ := filepath.Glob(filepath.Join(out, "duly_1.2.3_*.deb"))
	rpms, _ := filepath.Glob(filepath.Join(out, "duly-1.2.3*.rpm"))
	if len(debs) != 1 || len(rpms) != 1 {
		t.Fatalf("made were %q and %q", debs, rpms)
	}
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	// The scripts are run in the root, which has no shell: what they do is seen to by themselves, below.
	dpkg := func(args ...string) {
		t.Helper()
		args = append([]string{"--root=" + root, "--force-script-chrootless", "--force-architecture", "--log=" + filepath.Join(out, "log")}, args...)
		cmd := exec.CommandContext(t.Context(), "dpkg", args...)
		cmd.Env = append(os.Environ(), "PATH="+fakes(t)+":"+os.Getenv("PATH"), "DEBIAN_FRONTEND=noninteractive")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("dpkg %q: %v\n%s", args, err, text)
		}
	}
	dpkg("--install", debs[0])
	for name, mode := range map[string]os.FileMode{
		"usr/bin/duly": 0o755, "etc/duly/duly.yaml": 0o644, "usr/lib/systemd/system/duly.service": 0o644, "usr/lib/systemd/system/duly.socket": 0o644,
		"usr/lib/sysusers.d/duly.conf": 0o644, "usr/share/man/man1/duly.1.gz": 0o644, "usr/share/bash-completion/completions/duly": 0o644,
		"usr/share/doc/duly/copyright": 0o644, "usr/share/doc/duly/CHANGELOG.md.gz": 0o644, "usr/libexec/duly/at": 0o755,
	} {
		info, err := os.Stat(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != mode || info.ModTime().Unix() != 1767225600 {
			t.Errorf("%s: mode %v of %v, want %v of SOURCE_DATE_EPOCH", name, info.Mode(), info.ModTime(), mode)
		}
	}
	unit, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system/duly.service"))
	if err != nil || !strings.Contains(string(unit), "\nExecStart=/usr/bin/duly serve\n") || !strings.Contains(string(unit), "\nEnvironment=DULY_CONFIG=/etc/duly/duly.yaml\n") {
		t.Errorf("the unit does not start what is in the package: %v\n%s", err, unit)
	}
	if text, err := exec.CommandContext(t.Context(), filepath.Join(root, "usr/libexec/duly/at"), "-V").Output(); err != nil || !strings.HasPrefix(string(text), "duly v1.2.3\n") {
		t.Errorf("at -V: %v\n%s", err, text)
	}
	settings, task := filepath.Join(root, "etc/duly/duly.yaml"), filepath.Join(root, "var/lib/duly/task")
	for _, path := range []string{settings, task} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("log_level: debug\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dpkg("--install", debs[0])
	dpkg("--remove", "duly")
	if _, err := os.Stat(filepath.Join(root, "usr/bin/duly")); !os.IsNotExist(err) {
		t.Errorf("the program is still there: %v", err)
	}
	for _, path := range []string{settings, task} {
		if text, err := os.ReadFile(path); err != nil || string(text) != "log_level: debug\n" {
			t.Errorf("after an upgrade and the removal: %v, %s", err, text)
		}
	}
	dpkg("--purge", "duly")
	if _, err := os.Stat(task); err != nil {
		t.Errorf("after the purge the tasks: %v", err)
	}
}

// fakes are programs in place of those by which the package's scripts would change this machine. Each must know the words it is called with.
func fakes(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"getent":           "exit 2",
		"systemd-sysusers": `test "$*" = duly.conf`,
		"systemctl":        `case "$*" in daemon-reload | "try-restart duly.service" | "disable --now duly.socket duly.service") ;; *) exit 1 ;; esac`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPackaging_DropsReplaces makes the commit and the tags of a release in a clone: no module leads to a directory any more, each has its
// tag, and the program that is built of it is the same as before, bit by bit.
func TestPackaging_DropsReplaces(t *testing.T) {
	long(t)
	work := t.TempDir()
	tree := filepath.Join(work, "tree")
	git := func(dir string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	clone := filepath.Join(work, "clone") // of what is committed: the release refuses anything else
	git(work, "clone", "-q", "--no-local", mustAbs(t, "../.."), clone)
	release := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), filepath.Join(clone, "packaging", "release"), args...)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := release("1.2", tree); err == nil {
		t.Errorf("it takes a version that is none:\n%s", out)
	}
	if out, err := release("--dry-run", "v0.9.1", tree); err != nil || !strings.Contains(out, "+\tgithub.com/dulyhq/duly/store/pebble v0.9.1") {
		t.Errorf("--dry-run: %v\n%s", err, out)
	}
	if tags := git(tree, "tag"); tags != "" {
		t.Errorf("--dry-run has made tags:\n%s", tags)
	}
	if err := os.RemoveAll(tree); err != nil {
		t.Fatal(err)
	}
	if out, err := release("v0.9.1", tree); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	tags := strings.Fields(git(tree, "tag"))
	if want := 6; len(tags) != want {
		t.Errorf("tags %q, want %d", tags, want)
	}
	for _, tag := range tags {
		name := strings.TrimPrefix(strings.TrimSuffix(tag, "v0.9.1")+"go.mod", "/")
		if text := git(tree, "show", tag+":"+name); strings.Contains(text, "=>") || strings.Contains(text, "v0.0.0-00010101000000") {
			t.Errorf("%s of %s still has a replacement:\n%s", name, tag, text)
		}
	}
	var built [2][]byte
	for i, dir := range []string{clone, tree} {
		to := filepath.Join(work, "duly")
		build := exec.CommandContext(t.Context(), filepath.Join(dir, "packaging", "build"), to)
		build.Env = append(os.Environ(), "VERSION=v0.9.1", "GOPROXY=off")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("packaging/build in %s: %v\n%s", dir, err, out)
		}
		if out, err := exec.CommandContext(t.Context(), to, "version").Output(); err != nil || !strings.HasPrefix(string(out), "duly v0.9.1\n") {
			t.Errorf("duly version: %v, %s", err, out)
		}
		var err error
		if built[i], err = os.ReadFile(to); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(built[0], built[1]) {
		t.Error("the program of the release is not that of the commit it was made of")
	}
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(fmt.Errorf("the clone: %w", err))
	}
	return abs
}
