package readme_test

import (
	"encoding/json"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// longest are the packages whose tests take longest. They begin first, so that no processor waits for them at the end.
var longest = []string{"./store/postgres", "./internal/clusterproof", "./internal/proof", "./store/pebble", "./cmd/duly"}

// TestModules_OfTheWorkspace runs the tests of the modules beside the core, which `go test ./...` in the root would leave out:
// the pattern ends where another module begins. So that a pass is not kept in the cache when one of them or the core
// changes, it looks at their files.
func TestModules_OfTheWorkspace(t *testing.T) {
	t.Parallel() // it takes longer than all else together
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
	// One command, so that what several modules need is built once. One package more than there are processors is tested at a time:
	// many wait. A package that hangs shows where before this test's own time is over. Nobody debugs these binaries: to link them without
	// what a debugger needs takes two thirds of the time. What vet has to say `make lint` says.
	args := append([]string{"test", "-timeout", "9m", "-vet=off", "-ldflags=-w", "-p", strconv.Itoa(runtime.GOMAXPROCS(0) + 1)}, longest...)
	modules := 0
	for _, use := range work.Use {
		if use.DiskPath != "." {
			args = append(args, use.DiskPath+"/...")
			modules++
		}
	}
	if modules == 0 {
		t.Fatal("go.work names no module but the core")
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	out, err = cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		t.Log(strings.TrimRight(line, "\r\n"))
	}
	if err != nil {
		t.Errorf("go %s: %v", strings.Join(args, " "), err)
	}
	for _, use := range work.Use { // that the patterns have met each module
		name := path.Join(module, use.DiskPath)
		if use.DiskPath != "." && !strings.Contains(string(out), name) {
			t.Errorf("%s: nothing was tested", name)
		}
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
