package pebble_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/storetest"
)

// A stood is a directory in a state in which it may be found.
type stood struct {
	files files
	want  contents
}

// stand returns a furnished store as it was closed, as kill -9 has left it with all in its log, and as a backup.
func stand(t *testing.T) map[string]stood {
	t.Helper()
	fs := vfs.NewMem()
	s := must[*pebble.Store](t)(pebble.Open("store", quiet(fs, clock.NewManual(damageStart))))
	furnish(t, s)
	want, errs := read(t.Context(), s)
	killed := slurp(t, fs, "store")
	errs = append(errs, s.Backup(t.Context(), "backup"))
	backup := slurp(t, fs, "backup")
	if err := errors.Join(append(errs, s.Close())...); err != nil {
		t.Fatal(err)
	}
	return map[string]stood{"closed": {slurp(t, fs, "store"), want}, "killed": {killed, want}, "backup": {backup, want}}
}

func readOnly(fs vfs.FS) pebble.Options {
	o := quiet(fs, clock.NewManual(damageStart.Add(time.Hour)))
	o.ReadOnly = true
	return o
}

// A directory that is opened to be read shows all that is there, refuses what would change it, and is the same to the byte afterwards;
// also where it was left by kill -9. A copy that is made of it is a backup.
func TestReadOnly_ChangesNothing(t *testing.T) {
	for name, d := range stand(t) {
		t.Run(name, func(t *testing.T) {
			fs := d.files.lay(t, "store")
			s := must[*pebble.Store](t)(pebble.Open("store", readOnly(fs)))
			got, errs := read(t.Context(), s)
			storetest.Invariants(t, s)
			if diff := cmp.Diff(d.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			k := store.Key{Name: "task-00"}
			id := store.RunID{Key: k, Generation: 1}
			for what, call := range map[string]func() error{
				"put": func() error {
					_, err := s.Put(t.Context(), []store.Put{{Key: k, Spec: store.Spec{Kind: "remind"}, When: store.In(0, 0)}})
					return err
				},
				"cancel": func() error { _, err := s.Cancel(t.Context(), []store.Cancel{{Key: k}}); return err },
				"edit":   func() error { _, err := s.Edit(t.Context(), []store.Edit{{Verb: store.VerbPause, Key: k}}); return err },
				"claim":  func() error { _, err := s.Claim(t.Context(), []store.Claim{{RunID: id}}); return err },
				"renew":  func() error { _, err := s.Renew(t.Context(), []store.Renewal{{RunID: id}}); return err },
				"settle": func() error { _, err := s.Settle(t.Context(), []store.Settlement{{RunID: id}}); return err },
				"trim":   func() error { _, err := s.Trim(t.Context(), store.Retention{}); return err },
				"note":   func() error { return s.SetNote(t.Context(), "zones", "x") },
			} {
				if err := call(); !errors.Is(err, store.ErrReadOnly) {
					t.Errorf("%s: %v, want ErrReadOnly", what, err)
				}
			}
			errs = append(errs, s.Backup(t.Context(), "copy"), s.Close())
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(d.files, slurp(t, fs, "store")); diff != "" {
				t.Errorf("it was changed (-was +is):\n%s", diff)
			}
			st := must[store.Stats](t)(pebble.Check(t.Context(), "copy", quiet(fs, nil)))
			if st.Tasks != d.want.Stats.Tasks || st.Dead != d.want.Stats.Dead || st.History != d.want.Stats.History {
				t.Errorf("Check of the copy: %+v, want %+v", st, d.want.Stats)
			}
			if err := pebble.Restore("copy", "restored", quiet(fs, nil)); err != nil {
				t.Fatal(err)
			}
			r := must[*pebble.Store](t)(pebble.Open("restored", quiet(fs, clock.NewManual(damageStart.Add(time.Hour)))))
			got, errs = read(t.Context(), r)
			g, f := numbers(t, r, "first")
			if g < 1<<40 || f < 1<<40 {
				t.Errorf("what was restored gives out %d and %d, which the store that it is of may have given out", g, f)
			}
			if err := errors.Join(append(errs, r.Close())...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(d.want, got); diff != "" {
				t.Errorf("restored from the copy (-want +got):\n%s", diff)
			}
		})
	}
}

// Who reads has the directory for itself, as who writes has.
func TestReadOnly_Locked(t *testing.T) {
	fs := stand(t)["killed"].files.lay(t, "store")
	s := must[*pebble.Store](t)(pebble.Open("store", readOnly(fs)))
	refusal(t, "store", quiet(fs, clock.NewManual(damageStart)), store.ErrLocked)
	refusal(t, "store", readOnly(fs), store.ErrLocked)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = must[*pebble.Store](t)(pebble.Open("store", quiet(fs, clock.NewManual(damageStart))))
	refusal(t, "store", readOnly(fs), store.ErrLocked)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Where there is no store, none is made.
func TestReadOnly_Nothing(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("empty", 0o700); err != nil {
		t.Fatal(err)
	}
	refusal(t, "nowhere", readOnly(fs), store.ErrInvalid)
	refusal(t, "empty", readOnly(fs), store.ErrFormat)
	if names := must[[]string](t)(fs.List("empty")); len(names) > 0 {
		t.Errorf("it has made %q", names)
	}
	if _, err := fs.Stat("nowhere"); err == nil {
		t.Error("it has made a directory")
	}
}

// Check reads every byte that counts: no table that was damaged passes.
func TestCheck_Damage(t *testing.T) {
	d := stand(t)["backup"]
	rng := rand.New(rand.NewPCG(10, 2))
	tables := 0
	for _, name := range d.files.names() {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		tables++
		for range 40 {
			broken := maps.Clone(d.files)
			b := []byte(string(broken[name]))
			i := rng.IntN(len(b) / 2) // blocks of data come first; of what follows, such as the filter, not all is needed
			b[i] ^= 1 << rng.IntN(8)
			broken[name] = b
			if _, err := pebble.Check(t.Context(), "store", quiet(broken.lay(t, "store"), nil)); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%s, byte %d: %v, want ErrCorrupt", name, i, err)
			}
		}
	}
	if tables == 0 {
		t.Error("it has no table")
	}
}
