package cli

import (
	"encoding/json"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/api"
)

// TestCrontab_OtherUser: root's daemon runs the lines of others as these, and anybody else's says that it does not.
func TestCrontab_OtherUser(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.dir, "system")
	if err := os.WriteFile(file, []byte("HOME=/\n0 0 1 1 * nobody id -un; echo $LOGNAME; cat%in\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody here")
	}
	_, there := setpriv()
	out := w.ok("crontab", "import", "--system", "--zone", "UTC", file)
	fields := strings.Split(strings.TrimSuffix(out, "\n"), "\t")
	if os.Geteuid() != 0 || !there {
		if len(fields) != 5 || fields[1] != "ignored" || !strings.HasPrefix(fields[4], "it is for the user nobody, and ") {
			t.Errorf("the line of nobody is %q", fields)
		}
		return
	}
	if len(fields) != 5 || fields[1] != "created" {
		t.Fatalf("the line of nobody is %q", fields)
	}
	stdout, stderr, status := w.run("run", "--wait", fields[2])
	if want := u.Username + "\nnobody\nin\n"; status != exitOK || stdout != want {
		t.Errorf("status %d, standard output %q, want %q, standard error %q", status, stdout, want, stderr)
	}
}

// TestCrontab_Host: as whom the daemon runs is what the flag says, or whom its socket belongs to, and of root's alone can others be.
func TestCrontab_Host(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.dir, "system")
	if err := os.WriteFile(file, []byte("@daily root x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := user.Lookup("nobody"); err != nil {
		t.Skip("there is no user nobody here")
	}
	out := w.ok("crontab", "import", "--system", "--user", "nobody", "--zone", "UTC", file)
	const want = "1\tignored\t\t\tit is for the user root, and the daemon is nobody's: import it into a daemon of root's\n"
	if out != want {
		t.Errorf("%q, want %q", out, want)
	}
	out = w.ok("crontab", "import", "--system", "--user", "root", "--zone", "UTC", file)
	if !strings.HasPrefix(out, "1\tcreated\tsystem-x-") {
		t.Errorf("%q", out)
	}
}

// TestCrontab_Environment: a command has the environment that cron gives it, whatever that of whoever imports it is.
func TestCrontab_Environment(t *testing.T) {
	w := newWorld(t)
	u, err := user.Current()
	if err != nil {
		t.Skip("it is not known who runs this: ", err)
	}
	var out strings.Builder
	p := w.process("crontab", "import", "--zone", "UTC", "-o", "jsonl", "-")
	p.Stdin, p.Stdout = strings.NewReader("0 0 1 1 * env\nSHELL=/bin/bash\nPATH=/x\nHOME=/y\nB=1\nLOGNAME=z\n0 0 1 1 * env 2\n"), &out
	p.Environ = append(p.Environ, "PATH=/mine", "LANG=C", "SHELL=/bin/zsh", "HOME=/mine")
	if status := Run(p); status != exitOK {
		t.Fatalf("status %d", status)
	}
	c, err := newSession(w.process()).connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tests := []struct {
		line string
		env  map[string]string
		args []string
	}{
		{"env", map[string]string{"HOME": u.HomeDir, "LOGNAME": u.Username, "PATH": defaultPath, "SHELL": "/bin/sh", "USER": u.Username}, nil},
		{"env 2", map[string]string{"B": "1", "HOME": "/y", "LOGNAME": u.Username, "PATH": "/x", "SHELL": "/bin/bash", "USER": u.Username}, []string{"/bin/bash", "-c", "env 2"}},
	}
	var lines []CrontabLine
	for line := range strings.Lines(out.String()) {
		var l CrontabLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	for _, tt := range tests {
		found := false
		for _, l := range lines {
			if l.Text != tt.line {
				continue
			}
			found = true
			task, err := c.Get(t.Context(), l.Name)
			if err != nil {
				t.Fatal(err)
			}
			if want := (api.Policy{Attempts: 1, Overlap: "allow", CatchUp: "none", AtMostOnce: true}); task.Policy != want {
				t.Errorf("%s: policy %+v, want %+v", tt.line, task.Policy, want)
			}
			if diff := cmp.Diff(tt.env, task.Command.Env); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.line, diff)
			}
			if diff := cmp.Diff(tt.args, task.Command.Args); diff != "" || task.Command.Dir != tt.env["HOME"] || (tt.args == nil) != (task.Command.Shell == tt.line) {
				t.Errorf("%s is %+v (-want +got):\n%s", tt.line, task.Command, diff)
			}
		}
		if !found {
			t.Errorf("there is no line %q in %s", tt.line, out.String())
		}
	}
}
