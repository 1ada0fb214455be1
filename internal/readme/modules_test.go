package readme_test

import (
	"encoding/json"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestModules_OfTheWorkspace runs the tests of the modules beside the core, which `go test ./...` in the root would leave out:
// the pattern ends where another module begins. So that a pass is not kept in the cache when one of them or the core
// changes, it looks at their files.
func TestModules_OfTheWorkspace(t *testing.T) {
	root := clone(t)
	out, err := exec.CommandContext(t.Context(), "go", "work", "edit", "-json", filepath.Join(root, "go.work")).Output()
	if err != nil {
		t.Fatalf("go work edit: %v", err)
	}
	var work struct{ Use []struct{ DiskPath string } }
	if err := json.Unmarshal(out, &work); err != nil {
		t.Fatal(err)
	}
	look(t, root)
	ran := 0
	for _, use := range work.Use {
		if use.DiskPath == "." {
			continue
		}
		ran++
		t.Run(use.DiskPath, func(t *testing.T) {
			t.Parallel() // as go test does with packages
			cmd := exec.CommandContext(t.Context(), "go", "test", "./...")
			cmd.Dir = filepath.Join(root, filepath.FromSlash(use.DiskPath))
			out, err := cmd.CombinedOutput()
			for line := range strings.Lines(string(out)) {
				t.Log(strings.TrimRight(line, "\r\n"))
			}
			if err != nil {
				t.Errorf("go test ./... in %s: %v", use.DiskPath, err)
			}
		})
	}
	if ran == 0 {
		t.Error("go.work names no module but the core")
	}
}

// look reads the files below a directory, so that the test counts as depending on them.
func look(t *testing.T, root string) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.Type().IsRegular():
			readFile(t, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
