package daemon

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What docs/daemon.md shows as a configuration file is one, and the flags and keys that it names are there.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "daemon.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), "\r\n", "\n")
	shown := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(text)
	if shown == nil {
		t.Fatal("docs/daemon.md shows no configuration file")
	}
	f, err := readFile(write(t, t.TempDir(), "duly.yaml", shown[1]))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.check(); err != nil {
		t.Error(err)
	}
	if len(f.values) < 4 || len(f.tokens) != 1 {
		t.Errorf("read %+v", f)
	}
	for _, token := range f.tokens {
		if _, _, err := token.read(); err == nil {
			t.Errorf("docs/daemon.md shows the token %q, which whoever copies it would have in common with all readers", token.Name)
		}
	}
	known := map[string]bool{"data": true, "config": true, "check": true, "help": true, "socket": true}
	for i := range Settings {
		known[Settings[i].Flag()] = true
	}
	// Lines of other programs have flags of their own.
	others := regexp.MustCompile("(?s)```sh\n.*?```")
	for _, m := range regexp.MustCompile("`--([a-z-]+)").FindAllStringSubmatch(others.ReplaceAllString(text, ""), -1) {
		if !known[m[1]] && m[1] != "stop-timeout" {
			t.Errorf("docs/daemon.md names the flag --%s, which is not there", m[1])
		}
	}
}
