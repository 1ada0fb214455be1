package pebble_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
)

// updating says whether testdata is to be rewritten.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// keptStores makes testdata/store-v1.zip: a small store twice, as it was closed, and as kill -9 would leave it.
func keptStores(t *testing.T) (zipped []byte, want contents) {
	t.Helper()
	fs := vfs.NewMem()
	s := must[*pebble.Store](t)(pebble.Open("store", quiet(fs, clock.NewManual(damageStart))))
	furnish(t, s)
	want, errs := read(t.Context(), s)
	errs = append(errs, s.Mark())
	dirs := map[string]files{"killed": slurp(t, fs, "store")}
	if err := errors.Join(append(errs, s.Close())...); err != nil {
		t.Fatal(err)
	}
	dirs["closed"] = slurp(t, fs, "store")
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, dir := range []string{"closed", "killed"} {
		dirs[dir]["OWNER"] = []byte("1 on localhost\n")
		for _, name := range dirs[dir].names() {
			w := must[io.Writer](t)(z.Create(dir + "/" + name))
			if _, err := w.Write(dirs[dir][name]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), want
}

// Stores that format 1 wrote can be read and go on, for ever. testdata/store-v1.zip and .json, which says what is in it, were made by
// this test with -update, before the format was released; they are not to be made again.
func TestFormat_KeptStores(t *testing.T) {
	const base = "testdata/store-v1"
	if updating() {
		zipped, want := keptStores(t)
		text := must[[]byte](t)(json.MarshalIndent(want, "", "  "))
		if err := errors.Join(os.WriteFile(base+".zip", zipped, 0o600), os.WriteFile(base+".json", append(text, '\n'), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	var want contents
	if err := json.Unmarshal(must[[]byte](t)(os.ReadFile(base+".json")), &want); err != nil {
		t.Fatal(err)
	}
	z := must[*zip.ReadCloser](t)(zip.OpenReader(base + ".zip"))
	dirs := map[string]files{"closed": {}, "killed": {}}
	for _, f := range z.File {
		dir, name, _ := strings.Cut(f.Name, "/")
		r := must[io.ReadCloser](t)(f.Open())
		dirs[dir][name] = must[[]byte](t)(io.ReadAll(r))
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for name, f := range dirs {
		t.Run(name, func(t *testing.T) {
			o := quiet(f.lay(t, "store"), clock.NewManual(damageStart))
			s := must[*pebble.Store](t)(pebble.Open("store", o))
			got, errs := read(t.Context(), s)
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			declare(t, s, "new", "and it goes on")
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = must[*pebble.Store](t)(pebble.Open("store", o))
			if got := must[[]*store.Task](t)(s.Get(t.Context(), []store.Key{{Name: "new"}})); got[0] == nil {
				t.Error("what was put into it is gone")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
	if n := len(want.Tasks); n < 20 || len(want.Dead) == 0 || len(want.Events) == 0 || !slices.ContainsFunc(want.Tasks, (*store.Task).Paused) {
		t.Errorf("%d tasks, %d dead runs, %d events: it holds too little to show anything", n, len(want.Dead), len(want.Events))
	}
}
