package daemon

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
)

// archived is where the store is in the archive of a backup.
const archived = "store/"

// backup writes a backup as an archive. What it is made of lies in the data directory for as long as it is sent: the tables are those of
// the store, linked and not copied. One is taken at a time.
func (d *Daemon) backup(ctx context.Context, w io.Writer) (err error) {
	b, ok := d.store.(store.Backuper)
	if d.shared != nil || !ok {
		return fmt.Errorf("%w: they are in the database %v: pg_dump backs it up, and duly export --store URL prints them", api.ErrNoBackup, d.config.Store)
	}
	if !d.copying.TryLock() {
		return fmt.Errorf("%w: another backup is being taken", api.ErrUnavailable)
	}
	defer d.copying.Unlock()
	dir := home.Copying(d.config.Data)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := b.Backup(ctx, dir); err != nil {
		return err
	}
	return archive(ctx, w, dir)
}

// archive writes the files of a backup.
func archive(ctx context.Context, w io.Writer, dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	to := tar.NewWriter(w)
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := archiveFile(to, dir, f.Name()); err != nil {
			return err
		}
	}
	return to.Close()
}

func archiveFile(to *tar.Writer, dir, name string) error {
	f, err := os.Open(filepath.Join(dir, name)) //nolint:gosec // it is the store's
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	head := &tar.Header{Typeflag: tar.TypeReg, Name: archived + name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}
	if err := to.WriteHeader(head); err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return err
}

// A Copy is what a backup, or what was restored from one, holds.
type Copy struct {
	store.Stats

	Due   int64 // tasks that are due already
	Bytes int64
}

// Receive makes a backup of what a daemon's backup is sent as. The directory must be empty, or not be there. It holds a backup only when
// all of it is there, has been read, and would survive the loss of power.
func Receive(ctx context.Context, r io.Reader, dir string) (Copy, error) {
	return build(ctx, "the backup's directory", dir, func(partial string) error {
		if err := os.Mkdir(partial, 0o700); err != nil {
			return err
		}
		from, ends := tar.NewReader(r), 0
		for {
			head, err := from.Next()
			if errors.Is(err, io.EOF) && ends == 2 {
				return nil
			}
			if err != nil {
				return fmt.Errorf("the backup was cut off: %w", err)
			}
			name, ok := strings.CutPrefix(head.Name, archived)
			if !ok || name != filepath.Base(name) || !filepath.IsLocal(name) || head.Typeflag != tar.TypeReg {
				return fmt.Errorf("%q is not of a backup", head.Name)
			}
			if err := receive(from, filepath.Join(partial, name)); err != nil {
				return err
			}
			if name == "SEAL" || name == "COPY" { // without which nothing is a backup
				ends++
			}
		}
	})
}

func receive(from io.Reader, name string) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // a local name, in a directory that was just made
	if err != nil {
		return err
	}
	if _, err = io.Copy(f, from); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// CopyStopped makes a backup of the directory of a daemon that does not run, and changes nothing of it. Otherwise it is as Receive.
func CopyStopped(ctx context.Context, data, dir string) (c Copy, err error) {
	from, err := OpenStopped(data) //nolint:contextcheck // it is closed below
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	return build(ctx, "the backup's directory", dir, func(partial string) error { return from.Backup(ctx, partial) })
}

// Restore copies a backup into a data directory, which must be empty or not be there. The backup stays as it is.
func Restore(ctx context.Context, backup, data string) (Copy, error) {
	from := home.Store(backup)
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		why := "want a directory that duly backup has made"
		if _, err := os.Stat(home.Partial(backup)); err == nil {
			why += "; the one that was being made here was cut off: take another one"
		}
		return Copy{}, fmt.Errorf("%s holds no backup: %s", backup, why)
	}
	return build(ctx, "the data directory", data, func(partial string) error {
		return pebble.Restore(from, partial, pebble.Options{Logger: mute, FS: privateFS{vfs.Default}})
	})
}

// build makes a directory with a store in it: fill makes the store, under another name until it is there whole. What is left of a
// failure is taken away.
func build(ctx context.Context, what, dir string, fill func(partial string) error) (c Copy, err error) {
	grown, err := makeEmpty(what, dir)
	if err != nil {
		return c, err
	}
	partial := home.Partial(dir)
	defer func() {
		if err == nil {
			return
		}
		err = errors.Join(err, os.RemoveAll(partial))
		for _, at := range grown[:len(grown)-1] {
			_ = os.Remove(at) // what is not empty stays
		}
	}()
	if err := fill(partial); err != nil {
		return c, err
	}
	if err := os.Chmod(partial, 0o700); err != nil { //nolint:gosec // a directory; whatever the umask has taken away
		return c, err
	}
	if err := syncDir(partial); err != nil {
		return c, err
	}
	if c, err = look(ctx, partial); err != nil {
		return c, fmt.Errorf("what was copied can't be read: %w", err)
	}
	if err := os.Rename(partial, home.Store(dir)); err != nil {
		return c, err
	}
	for _, at := range grown {
		if err := syncDir(at); err != nil {
			return c, err
		}
	}
	return c, nil
}

// makeEmpty makes a directory in which nothing is, and to which nobody else can write. It returns which directories were made for that,
// the deepest first, and the one that the last of them is in.
func makeEmpty(what, dir string) (grown []string, err error) {
	const want = "want one that is empty, or does not exist"
	names, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("%s %s: %s: %w", what, dir, want, err)
	case len(names) > 0 && names[0].Name() == filepath.Base(home.Partial(dir)):
		return nil, fmt.Errorf("%s %s: %s; what is in it is left of a copy that was cut off: remove it", what, dir, want)
	case len(names) > 0:
		return nil, fmt.Errorf("%s %s: %s; there is %s in it", what, dir, want, names[0].Name())
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			grown = append(grown, at)
			break
		}
		grown = append(grown, at)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%s %s: want one that this user may make: %w", what, dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if mode := tooOpen(info, 0o022); mode != "" {
		return nil, fmt.Errorf("%s %s: want one that only its owner can write to, it has mode %s: chmod go-w %s", what, dir, mode, dir)
	}
	return grown, nil
}

func syncDir(dir string) error {
	d, err := vfs.Default.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// mute is for stores that are opened for a moment: what is wrong with them is in the error.
var mute = slog.New(slog.DiscardHandler)

// look reads all of a store.
func look(ctx context.Context, dir string) (c Copy, err error) {
	o := pebble.Options{ReadOnly: true, Logger: mute}
	if c.Stats, err = pebble.Check(ctx, dir, o); err != nil {
		return c, err
	}
	st, err := pebble.Open(dir, o) //nolint:contextcheck // it is closed below
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	now, err := st.Clock(ctx)
	if err != nil {
		return c, err
	}
	for q := (store.DueQuery{Until: now.Now}); ; {
		p, err := st.Due(ctx, q)
		if err != nil {
			return c, err
		}
		for _, t := range p.Tasks {
			if !t.Paused() {
				c.Due++
			}
		}
		if q.After = p.Cursor; !p.More {
			break
		}
	}
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			c.Bytes += info.Size()
		}
		return err
	})
	return c, err
}

// OpenStopped opens the tasks in the directory of a daemon that does not run, or in a backup, to read them: not a byte of it is changed.
func OpenStopped(data string) (*pebble.Store, error) {
	if _, err := os.Stat(home.Store(data)); err != nil {
		return nil, fmt.Errorf("there are no tasks in the data directory %s: %w", data, err)
	}
	st, err := pebble.Open(home.Store(data), pebble.Options{ReadOnly: true, Logger: mute})
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("the tasks in the data directory %s are open; if that is a daemon that answers elsewhere, say where: --socket PATH: %w", data, err)
	}
	return st, err
}

// Sized is a number of bytes as people say it.
func (c *Copy) Sized() string { return roughly(c.Bytes) }
