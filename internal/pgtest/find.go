package pgtest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Version is a PostgreSQL that the machine has.
type Version struct {
	Major int    // as 15
	Bin   string // the directory of its programs
}

// Versions returns the major versions of PostgreSQL that the machine has, the oldest first, and of each the installation that is
// found first: by PATH, then where systems keep them. It has none where there are no servers at all.
func Versions() []Version { return slices.Clone(installed().all) }

// errNoServer says that there can be no server on this machine, and why.
var errNoServer = errors.New("no PostgreSQL server")

// An inventory is what a machine has.
type inventory struct {
	all    []Version // by Major
	first  int       // the Major that PATH leads to, or 0
	broken error     // what is wrong with those that are there and are not in all
}

// installed looks once: an installation does not come or go while tests run.
var installed = sync.OnceValue(func() inventory {
	if !possible {
		return inventory{}
	}
	byPath, err := exec.LookPath("postgres")
	if err != nil {
		byPath = ""
	}
	return look(byPath, places)
})

// places are where systems keep installations that need not be in PATH: Debian, the packages for Red Hat, Homebrew on either
// processor and on Linux, FreeBSD.
var places = []string{
	"/usr/lib/postgresql/*/bin/postgres",
	"/usr/pgsql-*/bin/postgres",
	"/opt/homebrew/opt/postgresql*/bin/postgres",
	"/usr/local/opt/postgresql*/bin/postgres",
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin/postgres",
	"/usr/local/bin/postgres",
}

// look takes stock of the program that PATH leads to, if any, and of those at the patterns.
func look(byPath string, patterns []string) inventory {
	var paths []string
	if byPath != "" {
		paths = append(paths, byPath)
	}
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		paths = append(paths, found...)
	}
	var inv inventory
	for i, path := range paths {
		v, err := versionOf(path)
		if err != nil {
			inv.broken = errors.Join(inv.broken, fmt.Errorf("%s: %w", path, err))
			continue
		}
		if i == 0 && byPath != "" {
			inv.first = v.Major
		}
		if !slices.ContainsFunc(inv.all, func(w Version) bool { return w.Major == v.Major }) {
			inv.all = append(inv.all, v)
		}
	}
	slices.SortFunc(inv.all, func(a, b Version) int { return a.Major - b.Major })
	return inv
}

// choose returns the version asked for, where 0 is the one in PATH, or else the newest.
func (inv inventory) choose(major int) (Version, error) {
	if len(inv.all) == 0 {
		if !possible {
			return Version{}, fmt.Errorf("%w: this package starts none on %s", errNoServer, runtime.GOOS)
		}
		if inv.broken != nil {
			return Version{}, fmt.Errorf("%w that works: %w", errNoServer, inv.broken)
		}
		return Version{}, fmt.Errorf("%w: there is no program postgres with initdb beside it in PATH, nor at %s; "+
			"install PostgreSQL, 13 or newer (apt-get install postgresql, dnf install postgresql-server, brew install postgresql), "+
			"or name a server in %s", errNoServer, strings.Join(places, ", "), envServer)
	}
	if major == 0 {
		major = inv.first
	}
	if major == 0 {
		return inv.all[len(inv.all)-1], nil
	}
	i := slices.IndexFunc(inv.all, func(v Version) bool { return v.Major == major })
	if i < 0 {
		return Version{}, fmt.Errorf("Options.Version: %d is not on this machine; it has %v", major, inv.all)
	}
	return inv.all[i], nil
}

// versionOf asks a program postgres which version it is. One without initdb beside it is none.
func versionOf(path string) (Version, error) {
	path, err := filepath.EvalSymlinks(path) // initdb lies beside the program, not beside a link to it
	if err != nil {
		return Version{}, err
	}
	bin := filepath.Dir(path)
	if _, err := exec.LookPath(filepath.Join(bin, "initdb")); err != nil {
		return Version{}, err
	}
	text, err := printed(path, "--version")
	if err != nil {
		return Version{}, err
	}
	major, err := majorOf(text)
	return Version{Major: major, Bin: bin}, err
}

// majorOf reads what postgres --version prints: "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "postgres (PostgreSQL) 17beta1".
func majorOf(text string) (int, error) {
	_, number, ok := strings.Cut(text, "(PostgreSQL) ")
	if !ok {
		return 0, fmt.Errorf("%q is no version of PostgreSQL", text)
	}
	digits := strings.IndexFunc(number, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(number)
	}
	return strconv.Atoi(number[:digits])
}

// printed runs a program that ends by itself, as who we are, and returns what it prints.
func printed(path string, args ...string) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close() //nolint:errcheck // it was only read
	said, err := os.CreateTemp("", "dulypg")
	if err != nil {
		return "", errors.Join(err, w.Close())
	}
	defer os.Remove(said.Name()) //nolint:errcheck // it is in the temporary directory
	defer said.Close()           //nolint:errcheck // it was only read
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = w, said, environment()
	err = cmd.Start()
	if err := errors.Join(err, w.Close()); err != nil {
		return "", err
	}
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		_ = cmd.Process.Kill() // it may have ended at last
	}
	if err := errors.Join(err, cmd.Wait()); err != nil {
		complaint, _ := os.ReadFile(said.Name())
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(path), err, strings.TrimSpace(string(complaint)))
	}
	return string(text), nil
}

// environment is ours without what would change the meaning of a program's arguments, as PGPORT does.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") })
}
