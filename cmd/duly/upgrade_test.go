package main

import (
	"archive/zip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pdb "github.com/cockroachdb/pebble/v2"

	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
)

// recordings are the stores that were recorded of every format there has been, in testdata of store/pebble.
func recordings(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("..", "..", "store", "pebble", "testdata", "store-v*.zip"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no recorded store: %v", err)
	}
	return found
}

// database opens the database of a store that nobody has open, and which is none that duly has closed any more.
func database(t *testing.T, dir string) *pdb.DB {
	t.Helper()
	if err := os.Remove(filepath.Join(home.Store(dir), "SEAL")); err != nil {
		t.Fatal(err)
	}
	db, err := pdb.Open(home.Store(dir), &pdb.Options{FormatMajorVersion: pdb.FormatTableFormatV6, Logger: mute{}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// formatNow is the format that a new store has.
func formatNow(t *testing.T) uint32 {
	t.Helper()
	dir := dataDir(t)
	serve(t, dir).term(t)
	db := database(t, dir)
	b, closer, err := db.Get([]byte("mf"))
	if err != nil || len(b) != 4 {
		t.Fatalf("the format is %x, %v", b, err)
	}
	format := binary.BigEndian.Uint32(b)
	if err := errors.Join(closer.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	return format
}

// unpack puts the directories of a recording into data directories.
func unpack(t *testing.T, recording string) map[string]string {
	t.Helper()
	z, err := zip.OpenReader(recording)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = z.Close() }()
	dirs := map[string]string{}
	for _, f := range z.File {
		dir, name, _ := strings.Cut(f.Name, "/")
		if dirs[dir] == "" {
			dirs[dir] = dataDir(t)
			if err := os.MkdirAll(home.Store(dirs[dir]), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home.Store(dirs[dir]), name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dirs
}

// A store of every format that there has been, as it was closed and as kill -9 has left it, is shown without a daemon, backed up and
// restored; a daemon opens it, lists what is in it, and runs what is due.
func TestUpgrade_EveryFormat(t *testing.T) {
	recorded := recordings(t)
	if now := fmt.Sprintf("store-v%d.zip", formatNow(t)); !slices.ContainsFunc(recorded, func(r string) bool { return filepath.Base(r) == now }) {
		t.Errorf("of the format that is written now there is no recording, want %s", now)
	}
	for _, recording := range recorded {
		b, err := os.ReadFile(strings.TrimSuffix(recording, ".zip") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Tasks []struct{ Namespace, Name string }
		}
		if err := json.Unmarshal(b, &want); err != nil || len(want.Tasks) == 0 {
			t.Fatalf("%s: %v, %d tasks", recording, err, len(want.Tasks))
		}
		for state, dir := range unpack(t, recording) {
			t.Run(fmt.Sprintf("%s/%s", filepath.Base(recording), state), func(t *testing.T) {
				backup, restored := filepath.Join(t.TempDir(), "backup"), dataDir(t)
				all := map[string]bool{}
				for name := range tasksOf(t, "--data", dir) {
					all[name] = true
				}
				for _, task := range want.Tasks {
					if !all[task.Namespace+"/"+task.Name] {
						t.Errorf("duly ls does not list %s of the namespace %q", task.Name, task.Namespace)
					}
				}
				well(t, "", "backup", backup, "--data", dir)
				well(t, "", "restore", backup, "--data", restored)
				for _, dir := range []string{dir, restored} {
					d := serve(t, dir)
					n := 0
					for _, err := range d.List(t.Context(), client.Query{AllNamespaces: true}) {
						if err != nil {
							t.Fatal(err)
						}
						n++
					}
					if n != len(want.Tasks) {
						t.Errorf("%d tasks are listed, want %d", n, len(want.Tasks))
					}
					file := filepath.Join(t.TempDir(), "notes")
					d.end(t, "new", d.in(t, "new", 0, "note", file, "ran").Generation, "done")
					d.term(t)
				}
			})
		}
	}
}

// A program that meets a newer format than it knows says so, in a line that says what to do, and leaves all as it is.
func TestUpgrade_RefusesNewer(t *testing.T) {
	dir := dataDir(t)
	d := serve(t, dir)
	d.term(t)
	db := database(t, dir)
	if err := db.Set([]byte("mf"), []byte{0, 0, 0, 99}, pdb.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	for _, args := range [][]string{
		{"serve", "--listen", "none", "--data", dir},
		{"ls", "--data", dir},
		{"export", "--data", dir},
		{"backup", backup, "--data", dir},
	} {
		out, stderr, status := typed(t, "", args...)
		if status != 1 || out != "" || !strings.Contains(stderr, "format 99, want 1: use the version of duly that wrote it, or a newer one") {
			t.Errorf("duly %q: %d %q %q", args, status, out, stderr)
		}
	}
	if _, err := os.Stat(backup); err == nil {
		t.Error("a backup was made")
	}
}

// mute is a logger of the database's that says nothing.
type mute struct{}

func (mute) Infof(string, ...any)  {}
func (mute) Errorf(string, ...any) {}
func (mute) Fatalf(string, ...any) {}
