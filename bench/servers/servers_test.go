package servers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStart starts each server that the machine has, in a directory whose name leaves room for that of a socket, and ends it.
func TestStart(t *testing.T) {
	for _, name := range []string{Postgres, Redis, RedisAlways} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			version, err := Version(t.Context(), name)
			if err != nil {
				t.Skipf("%s is %v", name, err)
			}
			root, err := os.MkdirTemp("", "duly-") //nolint:usetesting // the name of a test's own is too long for a socket
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := os.RemoveAll(root); err != nil {
					t.Error(err)
				}
			}()
			if err := os.Chmod(root, 0o711); err != nil { // PostgreSQL is not root
				t.Fatal(err)
			}
			s, err := Start(t.Context(), name, filepath.Join(root, "s"))
			if err != nil {
				t.Fatal(err)
			}
			if s.PID == 0 || s.Address == "" || version == "" {
				t.Errorf("server %+v of version %q", s, version)
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
			if text, err := os.ReadFile(s.Log); err != nil || len(text) == 0 {
				t.Errorf("log %q, %v", text, err)
			}
		})
	}
}

func TestAbsent(t *testing.T) {
	programs["Nothing"] = []string{"duly-no-such-program", "/no/such/*/program"}
	defer delete(programs, "Nothing")
	for name, want := range map[string]string{"Nothing": "not on this machine: duly-no-such-program", "Unheard": "not on this machine: Unheard"} {
		if _, err := Find(name); !errors.Is(err, ErrAbsent) || err.Error() != want {
			t.Errorf("find %s: %v, want %s", name, err, want)
		}
		if _, err := Start(t.Context(), name, t.TempDir()); !errors.Is(err, ErrAbsent) {
			t.Errorf("start %s: %v", name, err)
		}
		if _, err := Version(t.Context(), name); !errors.Is(err, ErrAbsent) {
			t.Errorf("version of %s: %v", name, err)
		}
	}
}

// TestBrokenServerSays lets a server end at once: what it printed is in the error.
func TestBrokenServerSays(t *testing.T) {
	echo, err := Find(Redis)
	if err != nil {
		t.Skipf("%s is %v", Redis, err)
	}
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30)) // too long for a socket
	if _, err := Start(t.Context(), Redis, dir); err == nil || !strings.Contains(err.Error(), "socket") {
		t.Errorf("%s in %s: %v", echo, dir, err)
	}
}
