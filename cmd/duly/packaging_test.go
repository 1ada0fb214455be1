package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
)

// ofClone reads a file of the clone.
func ofClone(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// analyzer finds systemd-analyze.
func analyzer(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("systemd is of Linux")
	}
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not here, of the package systemd: " + err.Error())
	}
	return path
}

// TestPackaging_UnitIsHardened has systemd judge the unit, and holds docs/daemon.md to what it says.
func TestPackaging_UnitIsHardened(t *testing.T) {
	const most = 2.0
	unit := filepath.Join("systemd", "duly.service")
	out, err := exec.CommandContext(t.Context(), analyzer(t), "security", "--offline=true", "--no-pager", unit).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	m := regexp.MustCompile(`Overall exposure level for duly\.service: (\d+\.\d)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze security does not say the exposure:\n%s", out)
	}
	if got, _ := strconv.ParseFloat(string(m[1]), 64); got > most {
		t.Errorf("the unit's exposure is %.1f, want at most %.1f:\n%s", got, most, out)
	}
	said := regexp.MustCompile(`exposure of (\d+\.\d) \(systemd (\d+)`).FindStringSubmatch(ofClone(t, "docs/daemon.md"))
	if said == nil {
		t.Fatal("docs/daemon.md does not say the unit's exposure")
	}
	version, err := exec.CommandContext(t.Context(), analyzer(t), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(string(version), "systemd "+said[2]+" ") && said[1] != string(m[1]) {
		t.Errorf("docs/daemon.md says an exposure of %s, systemd says %s", said[1], m[1])
	}
}

// TestPackaging_UnitIsRead has systemd read the units, with a program that is there.
func TestPackaging_UnitIsRead(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"duly.service", "duly.socket"} {
		text := strings.ReplaceAll(ofClone(t, "cmd/duly/systemd/"+name), "/usr/local/bin/duly", self)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), analyzer(t), "verify", "--man=no", filepath.Join(dir, "duly.service"), filepath.Join(dir, "duly.socket")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "duly.") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestPackaging_Settings reads the packages' settings as they are, and with all that is commented out. A token that stood there would be
// everybody's who takes the comment marks away: what stands in its place is refused.
func TestPackaging_Settings(t *testing.T) {
	text := ofClone(t, "packaging/duly.yaml")
	all := regexp.MustCompile(`(?m)^#([a-z_]+:|  )`).ReplaceAllString(text, "$1")
	const placeholder = "sha256: the-64-digits-of-your-token"
	token := strings.Replace(all, placeholder, "sha256: "+strings.Repeat("01", 32), 1)
	for name, text := range map[string]string{"as it is": text, "all": token, "all, with no token": all} {
		path := filepath.Join(t.TempDir(), "duly.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := daemon.Load(daemon.Given{Config: path, Data: t.TempDir(), Getenv: func(string) string { return "" }})
		if name == "all, with no token" {
			if err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		// The files that it names are those of a machine that has duly installed: that they are missed shows that all else was read.
		if missing := errors.Is(err, fs.ErrNotExist) && strings.Contains(err.Error(), "/etc/duly/"); err != nil && !missing || missing != (name == "all") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		if err == nil && len(c.Tokens) > 0 {
			t.Errorf("%s: %d tokens", name, len(c.Tokens))
		}
	}
}

// A dockerfile is what an image's last stage says, by instruction; of COPY and LABEL all of them.
type dockerfile map[string][]string

func readDockerfile(t *testing.T, text string) dockerfile {
	t.Helper()
	d := dockerfile{}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "FROM" {
			clear(d)
		}
		d[word] = append(d[word], strings.TrimSpace(rest))
	}
	return d
}

// one returns the only value of an instruction.
func (d dockerfile) one(t *testing.T, word string) string {
	t.Helper()
	if len(d[word]) != 1 {
		t.Fatalf("the last stage has %q of %s, want one", d[word], word)
	}
	return d[word][0]
}

// words are the words of an instruction in the form that needs no shell, which the image does not have.
func (d dockerfile) words(t *testing.T, word string) []string {
	t.Helper()
	text := d.one(t, word)
	var words []string
	if err := json.Unmarshal([]byte(text[max(0, strings.Index(text, "[")):]), &words); err != nil {
		t.Fatalf("%s %s: want a list in brackets: %v", word, text, err)
	}
	return words
}

// TestPackaging_Dockerfile holds the image to what a container is to be: nothing in it but the program and what it needs, and not root's.
func TestPackaging_Dockerfile(t *testing.T) {
	d := readDockerfile(t, ofClone(t, "packaging/Dockerfile"))
	if from := d.one(t, "FROM"); from != "scratch" {
		t.Errorf("FROM %s, want scratch", from)
	}
	if len(d["RUN"]) > 0 {
		t.Errorf("RUN %s in an image without a shell", d["RUN"])
	}
	user := d.one(t, "USER")
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(user) {
		t.Errorf("USER %s, want numbers that are not root's: a name is not known there", user)
	}
	data := d.one(t, "VOLUME")
	if env := d.one(t, "ENV"); env != "DULY_DATA="+data {
		t.Errorf("ENV %s, but the volume is %s", env, data)
	}
	for _, want := range []string{"--chown=" + user + " /out/data " + data, "/out/duly /duly", " /etc/ssl/certs/ca-certificates.crt"} {
		if !slices.ContainsFunc(d["COPY"], func(c string) bool { return strings.HasSuffix(c, want) }) {
			t.Errorf("nothing is copied as %q: %q", want, d["COPY"])
		}
	}
	for word, want := range map[string][]string{"ENTRYPOINT": {"/duly"}, "CMD": {"serve"}, "HEALTHCHECK": {"/duly", "doctor", "--ready"}} {
		if got := d.words(t, word); !slices.Equal(got, want) {
			t.Errorf("%s %q, want %q", word, got, want)
		}
	}
	if stop := d.one(t, "STOPSIGNAL"); stop != "SIGTERM" {
		t.Errorf("STOPSIGNAL %s, want the one by which the daemon ends well", stop)
	}
}

// TestPackaging_Packages holds the packages' list to the clone: what they take is there, and what people change is theirs.
func TestPackaging_Packages(t *testing.T) {
	var p struct {
		Umask    int `yaml:"umask"`
		Scripts  map[string]string
		Contents []struct{ Src, Dst, Type string }
	}
	if err := yaml.Unmarshal([]byte(ofClone(t, "packaging/nfpm.yaml")), &p); err != nil {
		t.Fatal(err)
	}
	made := ofClone(t, "packaging/packages")
	settings := false
	for _, c := range p.Contents {
		switch name, staged := strings.CutPrefix(c.Src, "${STAGE}/"); {
		case c.Type == "symlink":
		case staged && !strings.Contains(made, "$STAGE/"+strings.TrimSuffix(strings.Replace(name, "completion.", "completion.$shell", 1), ".gz")) &&
			!strings.Contains(name, "completion."):
			t.Errorf("packaging/packages does not make %s", name)
		case !staged:
			ofClone(t, c.Src)
		}
		if strings.HasPrefix(c.Dst, "/etc/") {
			settings = true
			if c.Type != "config|noreplace" {
				t.Errorf("%s is of the type %q: an upgrade would overwrite it", c.Dst, c.Type)
			}
		}
		if strings.HasPrefix(c.Dst, "/usr/local/") || strings.HasPrefix(c.Dst, "/var/") {
			t.Errorf("%s: that is the administrator's, or the daemon's own", c.Dst)
		}
	}
	if !settings {
		t.Error("the packages have no settings")
	}
	for _, script := range p.Scripts {
		if text := ofClone(t, script); strings.Contains(text, "rm ") || strings.Contains(text, "userdel") {
			t.Errorf("%s takes something away that is not the package's:\n%s", script, text)
		}
		if runtime.GOOS != "windows" {
			if out, err := exec.CommandContext(t.Context(), "sh", "-n", filepath.Join("..", "..", script)).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", script, err, out)
			}
		}
	}
}

// TestPackaging_Release holds the release's list of builds to packaging/build, so that both make the same bytes.
func TestPackaging_Release(t *testing.T) {
	var r struct {
		Version int
		Builds  []struct {
			Dir                               string
			Env, Goos, Goarch, Flags, Ldflags []string
		}
		Sboms []struct{ Args []string }
	}
	if err := yaml.Unmarshal([]byte(ofClone(t, "packaging/goreleaser.yaml")), &r); err != nil {
		t.Fatal(err)
	}
	if r.Version != 2 || len(r.Builds) != 1 || len(r.Sboms) != 1 {
		t.Fatalf("version %d, %d builds, %d SBOMs; want 2, 1 and 1", r.Version, len(r.Builds), len(r.Sboms))
	}
	ofClone(t, strings.TrimPrefix(r.Sboms[0].Args[0], "../"))
	b, made := r.Builds[0], ofClone(t, "packaging/build")
	for _, os := range []string{"linux", "darwin", "windows", "freebsd"} {
		if !slices.Contains(b.Goos, os) {
			t.Errorf("nothing is built for %s", os)
		}
	}
	if !slices.Equal(b.Goarch, []string{"amd64", "arm64"}) {
		t.Errorf("it is built for %q", b.Goarch)
	}
	for _, flag := range b.Flags {
		if !strings.Contains(made, " "+flag+" ") {
			t.Errorf("packaging/build has no flag %s", flag)
		}
	}
	stamp, _, _ := strings.Cut(strings.Join(b.Ldflags, " "), "=v{{")
	for _, part := range []string{"-s -w -buildid=", strings.TrimPrefix(stamp, "-s -w -buildid= ")} {
		if !strings.Contains(made, part) {
			t.Errorf("packaging/build does not link with %s", part)
		}
	}
	if want := "github.com/dulyhq/duly/cmd/duly/internal/cli.released"; !strings.HasSuffix(stamp, want) {
		t.Errorf("the version is set by %s, want %s", stamp, want)
	}
	if !slices.Contains(b.Env, "CGO_ENABLED=0") || !strings.Contains(made, "CGO_ENABLED=0 ") {
		t.Error("a program with C in it is not static")
	}
}
