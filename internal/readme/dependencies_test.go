package readme_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestDocs_DependenciesHaveReasons compares the table of reasons with what the modules require, section by section.
func TestDocs_DependenciesHaveReasons(t *testing.T) {
	root := clone(t)
	sections := reasons(readFile(t, filepath.Join(root, "docs", "adr", "dependencies.md")))
	want := map[string][]string{}
	for section, file := range map[string]string{
		"Core module": "go.mod", "tools.mod": "tools.mod", "release.mod": "release.mod", "bench": "bench/go.mod", "cmd/duly": "cmd/duly/go.mod",
		"store/pebble": "store/pebble/go.mod", "store/postgres": "store/postgres/go.mod", "internal/proof": "internal/proof/go.mod", "internal/clusterproof": "internal/clusterproof/go.mod", "examples/durable": "examples/durable/go.mod", "examples/cluster": "examples/cluster/go.mod",
		"telemetry/otel": "telemetry/otel/go.mod", "telemetry/prometheus": "telemetry/prometheus/go.mod",
	} {
		name := filepath.Join(root, filepath.FromSlash(file))
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
			continue
		}
		want[section] = direct(t, name)
	}
	if diff := cmp.Diff(want, sections); diff != "" {
		t.Errorf("docs/adr/dependencies.md (-required +has a reason):\n%s", diff)
	}
}

func TestReasons(t *testing.T) {
	got := reasons("## A\n| module | why |\n|---|---|\n| `m/b` | fast |\n\nprose\n\n| `m/a` | small |\n| `m/c` | |\n## B\n")
	want := map[string][]string{"A": {"m/a", "m/b"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// row is one row of a table of reasons, with a reason in it.
var row = regexp.MustCompile("^\\| `([^`]+)` \\| [^| ]")

// reasons returns the modules that have a reason, sorted, by section.
func reasons(markdown string) map[string][]string {
	modules := map[string][]string{}
	section := ""
	for line := range strings.Lines(markdown) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(title)
		}
		if m := row.FindStringSubmatch(line); m != nil {
			modules[section] = append(modules[section], m[1])
			slices.Sort(modules[section])
		}
	}
	return modules
}

// direct returns the modules that a go.mod file requires directly, sorted; for a file with tools those that the tools
// come from.
func direct(t *testing.T, name string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", name).Output()
	if err != nil {
		t.Fatalf("go mod edit -json %s: %v", name, err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Tool []struct{ Path string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, r := range mod.Require {
		tool := slices.ContainsFunc(mod.Tool, func(tool struct{ Path string }) bool { return strings.HasPrefix(tool.Path+"/", r.Path+"/") })
		if tool || (!r.Indirect && r.Path != module) {
			modules = append(modules, r.Path)
		}
	}
	slices.Sort(modules)
	return modules
}
