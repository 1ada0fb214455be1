package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/dulyhq/duly/cmd/duly/internal/cli"
)

func TestMain(m *testing.M) {
	testscript.Main(tidy{m}, map[string]func(){"duly": main, "at": main, "atq": main, "atrm": main})
}

// TestScripts types what a user types and looks at what a user sees. The command "daemon" of the scripts is described in script_test.go.
//
// Under the race detector, with which each command takes a second to start, it is those that a daemon answers and that run tasks.
func TestScripts(t *testing.T) {
	p := testscript.Params{
		Dir: filepath.Join("testdata", "script"), RequireUniqueNames: true,
		Setup: quietHome, Cmds: map[string]func(*testscript.TestScript, bool, []string){"daemon": daemonCommand},
	}
	if raceEnabled {
		for _, name := range []string{"at", "demo", "serve", "steer", "transfer"} {
			p.Files = append(p.Files, filepath.Join(p.Dir, name+".txtar"))
		}
		p.Dir = ""
	}
	testscript.Run(t, p)
}

// TestREADME_Table holds the README's picture of the table to what the command above it prints. The version of the zone data
// is the reader's own, and so is the day on which it is typed, so both come from the picture.
func TestREADME_Table(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```sh\ngo run ./cmd/duly (next [^\n]*)\n```\n.{1,400}?```text\n(.*?)```\n").
		FindSubmatch([]byte(strings.ReplaceAll(string(text), "\r\n", "\n")))
	if shown == nil {
		t.Fatal("README.md does not show what duly next prints")
	}
	args := strings.Fields(strings.ReplaceAll(string(shown[1]), "'0 9 * * mon-fri'", "EXPR"))
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "EXPR", "0 9 * * mon-fri")
	}
	now := func() time.Time { return time.Date(2026, 10, 21, 12, 34, 56, 0, time.UTC) }
	var stdout, stderr strings.Builder
	if status := cli.Run(cli.Process{Args: args, Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr, Now: now}); status != 0 {
		t.Fatalf("duly %q: status %d, %s", args, status, stderr.String())
	}
	data := regexp.MustCompile(`zone data .*`)
	want := data.ReplaceAllString(string(shown[2]), "zone data")
	if diff := cmp.Diff(want, data.ReplaceAllString(stdout.String(), "zone data")); diff != "" {
		t.Errorf("duly %q (-README.md +printed):\n%s", args, diff)
	}
}
