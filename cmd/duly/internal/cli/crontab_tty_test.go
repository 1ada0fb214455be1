//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTTY_Crontab: on a terminal a crontab that is in order is told from one that was not read, and an import is summed up.
func TestTTY_Crontab(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.dir, "tab")
	tests := []struct {
		text, verb, want string
		status           int
	}{
		{"0 0 1 1 * x\n", "lint", "tab: 1 line to run, and nothing to say of them", exitOK},
		{"0 0 1 1 * x\n0 0 31 12 * date +%F\n", "import", "2 created; duly crontab lint warns of 1 other thing", exitOK},
		{"0 0 1 1 * x\n@reboot y\n", "import", "1 unchanged, 1 ignored, 1 gone", exitOK},
		{"# none\n", "import", "2 gone", exitOK},
		{"x\n", "lint", "\x1b[31merror\x1b[0m: ", exitFailed},
	}
	for _, tt := range tests {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		y := w.tty(nil, "crontab", tt.verb, file)
		if status := y.status(); status != tt.status || !strings.Contains(y.out.String(), tt.want) {
			t.Errorf("%s of %q: status %d, want %d and %q:\n%s", tt.verb, tt.text, status, tt.status, tt.want, y.out)
		}
	}
}
