package pebble_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/storetest"
)

// A fault is what the disk answers to everything that changes it, when it is set.
type fault struct{ err atomic.Pointer[error] }

func (f *fault) String() string { return "a disk with moods" }

func (f *fault) set(err error) {
	if err == nil {
		f.err.Store(nil)
		return
	}
	f.err.Store(&err)
}

func (f *fault) MaybeError(op errorfs.Op) error {
	p := f.err.Load()
	if p == nil || op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	if errors.Is(*p, syscall.ENOSPC) && (op.Kind == errorfs.OpRemove || op.Kind == errorfs.OpRemoveAll || op.Kind == errorfs.OpRename) {
		return nil // that works on a full disk, too
	}
	return &os.PathError{Op: "write", Path: op.Path, Err: *p}
}

// until tries again until it works, for at most a minute of real time.
func until(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for range 600 {
		if err = try(); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond) // real time: the store heals in its own
	}
	t.Fatalf("%s: after a minute it is still %v", what, err)
}

// A ledger of one writer: the tasks that it was told to be there, and those of which it was told that nobody knows.
type told struct {
	there   map[string]bool
	unknown map[string]bool
}

// put puts tasks of some size until one is refused, and returns why.
func (l *told) put(t *testing.T, s *pebble.Store, name string, size, most int) error {
	t.Helper()
	for i := range most {
		k := store.Key{Name: fmt.Sprintf("%s-%05d", name, i)}
		res, err := s.Put(t.Context(), []store.Put{{
			Key: k, Spec: store.Spec{Kind: "remind", Payload: []byte(strings.Repeat("x", size))}, When: store.In(time.Hour, 0),
		}})
		switch {
		case err == nil && res[0].Err == nil:
			l.there[k.Name] = true
			continue
		case err == nil:
			return res[0].Err
		case errors.Is(err, store.ErrUnknown):
			l.unknown[k.Name] = true
		}
		return err
	}
	return nil
}

// check demands what was acknowledged, whole.
func (l *told) check(t *testing.T, s *pebble.Store) {
	t.Helper()
	storetest.Invariants(t, s)
	n := 0
	for q := (store.Query{Limit: 1000}); ; {
		p := must[store.Page](t)(s.List(t.Context(), q))
		for _, task := range p.Tasks {
			switch {
			case l.there[task.Name]:
				n++
			case !l.unknown[task.Name]:
				t.Errorf("task %q is there, but was refused, or cancelled", task.Name)
			}
		}
		if q.After = p.Cursor; q.After == "" {
			break
		}
	}
	if n != len(l.there) {
		t.Errorf("%d of %d acknowledged tasks are there", n, len(l.there))
	}
}

// A disk that is full, or has become read-only, is a typed error. Reads go on or say the same, nothing acknowledged is lost, and as
// soon as it can be written to again the store works, without being opened by hand.
func TestDisk_Moods(t *testing.T) {
	for name, c := range map[string]struct{ err, want error }{
		"full":      {syscall.ENOSPC, store.ErrNoSpace},
		"quota":     {syscall.EDQUOT, store.ErrNoSpace},
		"read-only": {syscall.EROFS, store.ErrReadOnly},
		"broken":    {syscall.EIO, store.ErrBroken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fault{}
			o := quiet(errorfs.Wrap(vfs.NewMem(), f), clock.NewManual(damageStart))
			s := must[*pebble.Store](t)(pebble.Open("store", o))
			l := &told{map[string]bool{}, map[string]bool{}}
			if err := l.put(t, s, "before", 100, 20); err != nil {
				t.Fatal(err)
			}
			f.set(c.err)
			for range 3 {
				if err := l.put(t, s, "during", 100, 1); !errors.Is(err, c.want) {
					t.Errorf("Put: %v, want %v", err, c.want)
				}
			}
			if _, err := s.Get(t.Context(), []store.Key{{Name: "before-00000"}}); err != nil && !errors.Is(err, c.want) {
				t.Errorf("Get: %v, want none or %v", err, c.want)
			}
			f.set(nil)
			until(t, "the disk works", func() error { return l.put(t, s, "after", 100, 1) })
			l.check(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = must[*pebble.Store](t)(pebble.Open("store", o))
			l.check(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// scarce is a file system that says how much space is left.
type scarce struct {
	vfs.FS
	left atomic.Uint64
}

func (s *scarce) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: s.left.Load()}, nil
}

// With less than MinFree left new tasks are refused, and what ends tasks is not.
func TestDisk_MinFree(t *testing.T) {
	clk := clock.NewManual(damageStart)
	fs := &scarce{FS: vfs.NewMem()}
	fs.left.Store(65 << 20)
	o := quiet(fs, clk)
	o.MinFree = 0 // 64 MiB
	s := must[*pebble.Store](t)(pebble.Open("store", o))
	defer func() { _ = s.Close() }()
	declare(t, s, "a", "b")
	declare(t, s, "b", "c")
	fs.left.Store(64<<20 - 1)
	clk.Advance(time.Second)
	_, err := s.Put(t.Context(), []store.Put{{Key: store.Key{Name: "c"}, Spec: store.Spec{Kind: "remind"}, When: store.In(0, 0)}})
	if want := "free space is 63 MiB, want at least 64 MiB on the disk of store"; !errors.Is(err, store.ErrNoSpace) || !strings.Contains(err.Error(), want) {
		t.Errorf("Put: %v, want ErrNoSpace: %s", err, want)
	}
	if r := must[[]store.CancelResult](t)(s.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: "a"}}}))[0]; r.Outcome != store.CancelCancelled {
		t.Errorf("Cancel: %v, %v", r.Outcome, r.Err)
	}
	clk.Advance(2 * time.Hour)
	task := must[[]*store.Task](t)(s.Get(t.Context(), []store.Key{{Name: "b"}}))[0]
	id := store.RunID{Key: task.Key, Generation: task.Generation, For: task.Next.For}
	c := must[[]store.ClaimResult](t)(s.Claim(t.Context(), []store.Claim{{RunID: id, Lease: time.Minute}}))[0]
	if c.Err != nil {
		t.Fatal(c.Err)
	}
	end := store.Settlement{RunID: c.RunID, Fence: c.Fence, Verb: store.VerbSettle, State: store.Done}
	if r := must[[]store.SettleResult](t)(s.Settle(t.Context(), []store.Settlement{end}))[0]; r.Err != nil {
		t.Errorf("Settle: %v", r.Err)
	}
	fs.left.Store(64 << 20)
	clk.Advance(time.Second)
	declare(t, s, "c", "fits again")
}

// mount makes a small file system that is the test's alone, if the process may.
func mount(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := mountTmpfs(dir, size); err != nil {
		t.Skipf("mounting a tmpfs of %s takes root on linux: %v; TestDisk_Moods and TestDisk_MinFree show the same on a file system in memory", size, err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A real disk that fills up: new tasks are refused before it is full, what ends tasks goes on, and with space it is as it was.
func TestDisk_NearlyFull(t *testing.T) {
	dir := mount(t, "96m")
	o := silent()
	o.MinFree = 32 << 20
	s := must[*pebble.Store](t)(pebble.Open(filepath.Join(dir, "store"), o))
	l := &told{map[string]bool{}, map[string]bool{}}
	if err := l.put(t, s, "fill", 256<<10, 10_000); !errors.Is(err, store.ErrNoSpace) {
		t.Fatalf("Put into a disk that fills up: %v, want ErrNoSpace", err)
	}
	if u := must[vfs.DiskUsage](t)(vfs.Default.GetDiskUsage(dir)); u.AvailBytes < 1<<20 {
		t.Errorf("Put was refused only when %d bytes were left", u.AvailBytes)
	}
	for name := range l.there {
		r := must[[]store.CancelResult](t)(s.Cancel(t.Context(), []store.Cancel{{Key: store.Key{Name: name}}}))[0]
		if r.Outcome != store.CancelCancelled {
			t.Fatalf("Cancel: %v, %v", r.Outcome, r.Err)
		}
		delete(l.there, name)
		if len(l.there) < 20 {
			break
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	o.MinFree = 1 << 20
	s = must[*pebble.Store](t)(pebble.Open(filepath.Join(dir, "store"), o))
	l.check(t, s)
	until(t, "what was cancelled is compacted away, or there was room", func() error { return l.put(t, s, "again", 1000, 1) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A real disk that is full to the last byte.
func TestDisk_Full(t *testing.T) {
	dir := mount(t, "64m")
	o := silent()
	o.MinFree = -1
	s := must[*pebble.Store](t)(pebble.Open(filepath.Join(dir, "store"), o))
	l := &told{map[string]bool{}, map[string]bool{}}
	if err := l.put(t, s, "before", 1000, 100); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	for round := range 3 {
		fill(t, ballast)
		if err := l.put(t, s, fmt.Sprint("during", round), 256<<10, 10_000); !errors.Is(err, store.ErrNoSpace) {
			t.Fatalf("Put into a full disk: %v, want ErrNoSpace", err)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		until(t, "there is space", func() error { return l.put(t, s, fmt.Sprint("after", round), 1000, 10) })
		l.check(t, s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = must[*pebble.Store](t)(pebble.Open(filepath.Join(dir, "store"), o))
	l.check(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// fill writes a file that takes all the space there is.
func fill(t *testing.T, path string) {
	t.Helper()
	f := must[*os.File](t)(os.Create(path))
	for size := 1 << 20; size > 0; size /= 2 {
		var err error
		for b := make([]byte, size); err == nil; {
			_, err = f.Write(b)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	_ = f.Close() // on a full disk
}

// A file system that is read-only when the store is opened.
func TestDisk_ReadOnly(t *testing.T) {
	dir := mount(t, "64m")
	o := silent()
	o.MinFree = -1
	home := filepath.Join(dir, "store")
	s := must[*pebble.Store](t)(pebble.Open(home, o))
	declare(t, s, "a", "b")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := remount(dir, true); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{home, filepath.Join(dir, "new")} {
		if msg := refusal(t, dir, o, store.ErrReadOnly); !strings.Contains(msg, "read-only") {
			t.Error(msg)
		}
	}
	if err := remount(dir, false); err != nil {
		t.Fatal(err)
	}
	s = must[*pebble.Store](t)(pebble.Open(home, o))
	if got := must[[]*store.Task](t)(s.Get(t.Context(), []store.Key{{Name: "a"}})); got[0] == nil {
		t.Error("the task is gone")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
