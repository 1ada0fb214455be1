package hardship

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
)

// mount makes a small file system that is the test's alone.
func mount(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = tempDir(t)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: a disk of %s that fills up takes root, to mount a tmpfs: %v", size, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// A ballast is a file beside the daemon's that takes its space.
type ballast struct {
	*testing.T

	path string
}

// leave grows or shrinks the ballast so that so much is free.
func (b *ballast) leave(bytes int64) {
	b.Helper()
	var u unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(b.path), &u); err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(b.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // on a disk that is full
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	want := info.Size() + int64(u.Bavail)*int64(u.Bsize) - bytes //nolint:unconvert // it has 32 bits where a word has
	if want < info.Size() {
		if err := f.Truncate(max(want, 0)); err != nil {
			b.Fatal(err)
		}
		return
	}
	for at, chunk := info.Size(), make([]byte, 64<<10); at < want; {
		n, err := f.WriteAt(chunk[:min(int64(len(chunk)), want-at)], at)
		if at += int64(n); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

// A disk that fills up: new tasks are refused while there is a reserve, and what is there goes on. One that is full: nothing that was
// acknowledged is lost, the daemon waits, and goes on by itself when there is space.
func TestDisk(t *testing.T) {
	t.Parallel()
	dir := mount(t, "48m")
	d := serve(t, start{dir: dir, args: []string{"--min-free", "8MiB"}})
	b := &ballast{t, filepath.Join(dir, "ballast")}
	ctx := t.Context()
	kept := map[string]bool{}
	for i := range 20 {
		name := fmt.Sprintf("kept-%d", i)
		d.put(name, api.Spec{Command: sh("true"), In: in(time.Hour)})
		kept[name] = true
	}
	d.put("tick", api.Spec{Command: sh("echo tick"), Every: api.Duration(50 * time.Millisecond)})
	d.run("before")

	b.leave(4 << 20)
	d.until("a put is refused", func() error {
		_, err := d.Put(ctx, "refused", api.Spec{Command: sh("true"), In: in(time.Hour)})
		if errors.Is(err, duly.ErrNoSpace) {
			return nil
		}
		return fmt.Errorf("%w: %w", errNotYet, err)
	})
	if p := d.problem("no-space", true); !strings.Contains(p.Detail, "want 8.0 MiB") {
		t.Errorf("the problem is %q", p.Detail)
	}
	if s, err := d.Stats(ctx); err != nil || len(s.Problems) != 1 {
		t.Errorf("stats tell of %+v, %v", s.Problems, err)
	}
	before := d.starts("command")
	d.until("what is there goes on", func() error {
		if d.starts("command") < before+3 {
			return errNotYet
		}
		return nil
	})

	rounds, fillers := 1, 0
	if long {
		rounds = 5
	}
	for round := range rounds {
		b.leave(0)
		d.until("the store fails", func() error {
			if d.Ready(ctx) == nil {
				b.leave(0) // what the store has given back since
				fillers++  // one that is there already would not be written
				filler := sh(fmt.Sprint("#", strings.Repeat("#", 100<<10), fillers))
				_, _ = d.Patch(ctx, "kept-0", api.Change{Command: filler}) // a log that was used before takes a while to fill
				return errNotYet
			}
			return nil
		})
		for i := range 5 { // what is acknowledged all the same is there afterwards
			name := fmt.Sprintf("full-%d-%d", round, i)
			if _, err := d.Put(ctx, name, api.Spec{Command: sh("true"), In: in(time.Hour)}); err == nil {
				kept[name] = true
			}
		}
		d.idles("on a full disk")
		d.lives()
		b.leave(24 << 20)
		d.until("it is ready again", func() error { return d.Ready(ctx) })
		d.problem("no-space", false)
		before := d.starts("command")
		d.until("what is there goes on again", func() error {
			if d.starts("command") < before+3 {
				return errNotYet
			}
			return nil
		})
		d.problem("output", false)
		d.run(fmt.Sprintf("after-%d", round))
		for name := range kept {
			if _, err := d.Get(ctx, name); err != nil {
				t.Errorf("%s was acknowledged: %v", name, err)
			}
		}
	}
}
