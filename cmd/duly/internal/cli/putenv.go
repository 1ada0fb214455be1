package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/target"
)

// kept are the variables that a command gets from where it was put, as at(1) gives them, but no others: what else is there may be
// a secret, and would be shown to whoever may look at the task.
var kept = []string{
	"PATH", "HOME", "USER", "LANG", "TZ", "SHELL", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
}

// keptOnWindows are those without which a program does not find itself there.
var keptOnWindows = []string{"SYSTEMROOT", "SYSTEMDRIVE", "USERPROFILE", "USERNAME", "TEMP", "TMP", "PATHEXT", "COMSPEC", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA"}

func isKept(name string) bool {
	if runtime.GOOS == "windows" {
		name = strings.ToUpper(name)
		if slices.Contains(keptOnWindows, name) {
			return true
		}
	}
	return slices.Contains(kept, name) || strings.HasPrefix(name, "LC_")
}

// captureEnv returns the environment of a command: what is kept of environ, and what the flags --env say.
func captureEnv(environ, flags []string) (map[string]string, error) {
	env, here := map[string]string{}, map[string]string{}
	for _, e := range environ {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" { // as Windows keeps the directories of its drives
			continue
		}
		here[name] = value
		if isKept(name) {
			env[name] = value
		}
	}
	for _, f := range flags {
		name, value, said := strings.Cut(f, "=")
		switch {
		case name == "":
			return nil, &usageError{what: fmt.Sprintf("--env %q: want NAME or NAME=VALUE", f)}
		case strings.HasPrefix(name, "DULY_"):
			return nil, &usageError{what: fmt.Sprintf("--env %q: names that begin with DULY_ are given by the daemon", f)}
		case !said:
			var ok bool
			if value, ok = here[name]; !ok {
				return nil, &usageError{what: fmt.Sprintf("--env %q: there is no such variable here", f), hint: "to give it a value: --env " + wording.Quote(name+"=VALUE")}
			}
		}
		env[name] = value
	}
	return env, nil
}

// findProgram refuses a command whose program is not there: it would be noticed when it is due, by nobody.
func findProgram(c *target.Command) error {
	const hint = "if it is still to come: --shell LINE looks for it when it runs"
	name := c.Args[0]
	if strings.ContainsAny(name, `/\`) && (runtime.GOOS == "windows" || strings.Contains(name, "/")) {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(c.Dir, path)
		}
		if _, err := exec.LookPath(path); err != nil {
			return &usageError{what: fmt.Sprintf("%q can't be run: %v", name, cause(err)), hint: hint}
		}
		return nil
	}
	if runtime.GOOS == "windows" { // looks in more places than PATH
		return nil
	}
	for _, dir := range filepath.SplitList(c.Env["PATH"]) {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.Dir, dir)
		}
		if _, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return nil
		}
	}
	if _, said := c.Env["PATH"]; !said {
		return nil // it is looked for in a standard one
	}
	e := &usageError{what: fmt.Sprintf("no program %q is found in PATH", name), hint: hint}
	if strings.ContainsAny(name, " |&;<>$") {
		e.hint = "for a line of the shell: --shell " + wording.Quote(strings.Join(c.Args, " "))
	} else if _, err := os.Stat(filepath.Join(c.Dir, name)); err == nil {
		e.hint = "for the file in this directory: ./" + name
	}
	return e
}

// cause is an error without the name that it is about, which was said already.
func cause(err error) error {
	if e, ok := err.(*exec.Error); ok { //nolint:errorlint // the outermost is meant
		err = e.Err
	}
	if e, ok := err.(*os.PathError); ok { //nolint:errorlint // the same
		err = e.Err
	}
	return err
}
