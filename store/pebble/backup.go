package pebble

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/store"
)

// Backup implements store.Backuper: it makes the directory dir, which must not exist, on the same file system. Tables are linked,
// not copied, so it is quick and takes little space at first. The backup is a store: Open it, or Restore it and keep it. A store that
// was opened with Options.ReadOnly is copied as it is, file by file.
func (s *Store) Backup(ctx context.Context, dir string) error {
	fs := s.o.FS
	bad := func(err error) error { return &store.Error{Op: "backup", Err: fmt.Errorf("%s: %w", dir, err)} }
	if _, err := fs.Stat(dir); err == nil {
		return &store.Error{Op: "backup", Field: "dir", Value: dir, Want: "a directory that does not exist", Err: store.ErrInvalid}
	}
	err := s.view(ctx, "backup", func(c *core) error {
		if s.o.ReadOnly {
			return s.copyAsIs(dir)
		}
		// In memory there is no log to copy; and a database that has written no table since it was opened may have no manifest open,
		// of which it would copy nothing.
		if err := c.flush(); err != nil {
			return err
		}
		return blameIf(c.db.Checkpoint(dir, pdb.WithFlushedWAL()))
	})
	if errors.Is(err, os.ErrExist) {
		return bad(err) // somebody else has made it just now
	}
	if err != nil {
		return bad(errors.Join(err, fs.RemoveAll(dir)))
	}
	copied := &Store{dir: dir, o: s.o}
	err = copied.put(copyFile, "taken from "+s.dir+"\n")
	if err == nil {
		err = copied.seal()
	}
	if err != nil {
		return bad(errors.Join(blame(err), fs.RemoveAll(dir)))
	}
	return nil
}

// copyAsIs copies what nobody changes. The mark is of the store that it is a copy of.
func (s *Store) copyAsIs(dir string) error {
	fs := s.o.FS
	names, err := fs.List(s.dir)
	if err != nil {
		return err
	}
	if err := makeDir(fs, dir); err != nil {
		return err
	}
	for _, name := range names {
		switch name {
		case lockFile, ownerFile, markFile, sealFile, copyFile:
			continue
		}
		if info, err := fs.Stat(fs.PathJoin(s.dir, name)); err != nil {
			return err
		} else if info.IsDir() {
			continue
		}
		if err := copyTo(fs, fs.PathJoin(s.dir, name), fs.PathJoin(dir, name)); err != nil {
			return err
		}
	}
	return syncDir(fs, dir)
}

// Check reads all that is in a directory, which nobody may have open, and changes nothing: a store that was closed or killed, or a backup.
// It returns what there is. The error is ErrCorrupt if anything of it can't be read, and otherwise as Open's. Of the options only FS and
// Logger are looked at.
func Check(ctx context.Context, dir string, o Options) (st store.Stats, err error) {
	s, err := Open(dir, Options{ReadOnly: true, FS: o.FS, Logger: o.Logger}) //nolint:contextcheck // it is closed below
	if err != nil {
		return st, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	var found store.Stats
	err = s.view(ctx, "check", func(c *core) error {
		return each(c.db, nil, false, func(it *pdb.Iterator) (bool, error) {
			if err := ctx.Err(); err != nil {
				return false, context.Cause(ctx)
			}
			return true, c.checkKey(it, &found)
		})
	})
	if err != nil {
		return st, err
	}
	if st, err = s.Stats(ctx); err != nil {
		return st, err
	}
	if found.Tasks != st.Tasks || found.Dead != st.Dead || found.History < st.History {
		return st, &store.Error{Op: "check", Err: fmt.Errorf("%w: %s: there are %d tasks, %d dead runs and %d entries of history, and the counters say %d, %d and %d",
			store.ErrCorrupt, dir, found.Tasks, found.Dead, found.History, st.Tasks, st.Dead, st.History)}
	}
	return st, nil
}

// checkKey reads what is under a key. What is large is fetched, so that all of it has been read.
func (c *core) checkKey(it *pdb.Iterator, found *store.Stats) (err error) {
	key := it.Key()
	value, err := it.ValueAndErr()
	if err != nil {
		return blame(err)
	}
	switch key[0] {
	case keyTask:
		k, ok := parseKey(key[1:])
		if !ok {
			return store.ErrCorrupt
		}
		found.Tasks++
		_, err = read(c.db, k)
	case keyDead:
		id, ok := parseDeadKey(key)
		if !ok {
			return store.ErrCorrupt
		}
		found.Dead++
		_, err = decodeDead(id.Key, value)
	case keyHistory:
		found.History++
		_, err = parseEntry(value, 0)
	}
	return err
}

// Restore copies a backup, which nobody may have open, to the directory dir, which must not exist. It can be opened then; the
// backup stays as it is. Of the options only FS is looked at.
func Restore(backup, dir string, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	fs := o.FS
	bad := func(err error) error { return &store.Error{Op: "restore", Err: fmt.Errorf("%s: %w", dir, err)} }
	if _, err := fs.Stat(dir); err == nil {
		return &store.Error{Op: "restore", Field: "dir", Value: dir, Want: "a directory that does not exist", Err: store.ErrInvalid}
	}
	switch _, err := fs.Stat(fs.PathJoin(backup, copyFile)); {
	case err != nil && !missing(err):
		return bad(blame(err))
	case err != nil:
		return &store.Error{Op: "restore", Field: "backup", Value: backup, Want: "a directory that Backup made, and nobody has opened", Err: store.ErrInvalid}
	}
	from := &Store{dir: backup, o: o}
	sealed, err := from.get(sealFile)
	if err == nil {
		err = from.compare(string(sealed))
	} else if missing(err) {
		err = fmt.Errorf("%w: file %s is gone", store.ErrCorrupt, sealFile)
	}
	if err != nil {
		return bad(blame(err))
	}
	names, err := fs.List(backup)
	if err != nil {
		return bad(blame(err))
	}
	if err := makeDir(fs, dir); err != nil {
		return bad(blame(err))
	}
	for _, name := range names {
		if name == lockFile || name == ownerFile {
			continue
		}
		if err := copyTo(fs, fs.PathJoin(backup, name), fs.PathJoin(dir, name)); err != nil {
			return bad(errors.Join(blame(err), fs.RemoveAll(dir)))
		}
	}
	if err := syncDir(fs, dir); err != nil {
		return bad(errors.Join(blame(err), fs.RemoveAll(dir)))
	}
	return nil
}

func copyTo(fs vfs.FS, from, to string) (err error) {
	src, err := fs.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err = io.Copy(dst, src); err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}
