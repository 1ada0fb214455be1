package pebble

import (
	"io"
	"os"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A fuse stands between one opening of the database and the directory. When anything that changes the directory fails, it blows:
// the core ends, and from then on nothing that this opening does reaches the directory, neither a write that is tried again nor the
// removal of a file that a newer one was to replace.
//
// The database ends the process, or hangs, if its log or its manifest can't be written. So it is told that all went well, and what it
// creates from then on is kept in memory, until it is closed. Nobody is told so by the store: whoever waits for a sync, or opens, asks
// whether the core has failed. Tables are different: their errors the database can bear.
type fuse struct {
	vfs.FS
	dir   string
	fail  func(err error) error
	blown atomic.Pointer[error]
	late  atomic.Bool // the database works in the background already
	mem   *vfs.MemFS  // what was created after it had blown, by base name
}

func newFuse(fs vfs.FS, dir string, fail func(err error) error) *fuse {
	return &fuse{FS: fs, dir: fs.PathDir(fs.PathJoin(dir, "x")), fail: fail, mem: vfs.NewMem()}
}

func (f *fuse) blow(err error) { f.blown.CompareAndSwap(nil, &err) }

func (f *fuse) broken() error {
	if p := f.blown.Load(); p != nil {
		return *p
	}
	return nil
}

// inside says whether a file belongs to the database; backups do not.
func (f *fuse) inside(name string) bool { return f.PathDir(name) == f.dir || name == f.dir }

func (f *fuse) base(name string) string { return "/" + f.PathBase(name) }

func isTable(name string) bool {
	return strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob")
}

// change changes the directory.
func (f *fuse) change(name string, do func() error) error {
	if !f.inside(name) {
		return do()
	}
	err := f.broken()
	if err == nil {
		if err = do(); err == nil {
			return nil
		}
		_ = f.fail(err) // it blows the fuse and returns what the core failed of first
	}
	if isTable(name) {
		return err
	}
	return nil
}

// file opens a file to change it.
func (f *fuse) file(name string, open func() (vfs.File, error)) (vfs.File, error) {
	if !f.inside(name) {
		return open()
	}
	if strings.HasSuffix(name, ".log") {
		f.late.Store(true)
	}
	if f.broken() == nil {
		file, err := open()
		if err == nil {
			return &fuseFile{File: file, f: f, name: name}, nil
		}
		_ = f.fail(err)
		if isTable(name) {
			return nil, err
		}
	}
	return f.mem.Create(f.base(name), vfs.WriteCategoryUnspecified)
}

// Create makes what the directory holds safe before a marker says that it is there: the database syncs the directory only after it has
// made the marker, and a loss of power between the two may leave a marker of a manifest that is gone.
func (f *fuse) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) {
		if f.inside(name) && strings.HasPrefix(f.PathBase(name), "marker.") {
			if err := syncDir(f.FS, f.dir); err != nil {
				return nil, err
			}
		}
		return f.FS.Create(name, category)
	})
}

func (f *fuse) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(newname, func() (vfs.File, error) { return f.FS.ReuseForWrite(oldname, newname, category) })
}

func (f *fuse) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, opts...) })
}

func (f *fuse) OpenDir(name string) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f *fuse) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if f.broken() != nil && f.inside(name) {
		if file, err := f.mem.Open(f.base(name), opts...); err == nil {
			return file, nil
		}
	}
	return f.FS.Open(name, opts...)
}

func (f *fuse) Stat(name string) (vfs.FileInfo, error) {
	if f.broken() != nil && f.inside(name) {
		if info, err := f.mem.Stat(f.base(name)); err == nil {
			return info, nil
		}
	}
	return f.FS.Stat(name)
}

func (f *fuse) Link(oldname, newname string) error {
	return f.change(newname, func() error { return f.FS.Link(oldname, newname) })
}

func (f *fuse) Rename(oldname, newname string) error {
	return f.change(newname, func() error { return f.FS.Rename(oldname, newname) })
}

func (f *fuse) MkdirAll(dir string, perm os.FileMode) error {
	return f.change(dir, func() error { return f.FS.MkdirAll(dir, perm) })
}

// Remove may fail: then a file is left over, which is no harm.
func (f *fuse) Remove(name string) error {
	if f.broken() != nil && f.inside(name) {
		return nil
	}
	return f.FS.Remove(name)
}

func (f *fuse) RemoveAll(name string) error {
	if f.broken() != nil && f.inside(name) {
		return nil
	}
	return f.FS.RemoveAll(name)
}

// List is the last thing that opening asks for, after its work in the background has begun: where it fails then, that work goes on with
// half a database, and panics. A blown fuse removes nothing, so to see no files is no harm.
func (f *fuse) List(dir string) ([]string, error) {
	names, err := f.FS.List(dir)
	if err != nil && f.late.Load() && f.inside(dir) {
		_ = f.fail(err)
		return nil, nil
	}
	return names, err
}

// Lock takes nothing: the store holds the lock as long as it lives, over all openings.
func (f *fuse) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (f *fuse) Unwrap() vfs.FS { return f.FS }

// A fuseFile is a file that was opened to change it.
type fuseFile struct {
	vfs.File
	f    *fuse
	name string
}

func (w *fuseFile) Write(p []byte) (n int, err error) {
	err = w.f.change(w.name, func() (err error) { n, err = w.File.Write(p); return err })
	return told(n, len(p), err), err
}

func (w *fuseFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = w.f.change(w.name, func() (err error) { n, err = w.File.WriteAt(p, off); return err })
	return told(n, len(p), err), err
}

// told returns how much was written, as the database is told.
func told(n, all int, err error) int {
	if err == nil {
		return all
	}
	return n
}

func (w *fuseFile) Sync() error     { return w.f.change(w.name, w.File.Sync) }
func (w *fuseFile) SyncData() error { return w.f.change(w.name, w.File.SyncData) }

func (w *fuseFile) SyncTo(length int64) (fullSync bool, err error) {
	err = w.f.change(w.name, func() (err error) { fullSync, err = w.File.SyncTo(length); return err })
	return fullSync, err
}

// Preallocate is a wish. A file system that does not know it refuses it.
func (w *fuseFile) Preallocate(offset, length int64) error {
	if err := w.f.broken(); err != nil {
		return err
	}
	return w.File.Preallocate(offset, length)
}

// Stat is asked of a log that is used again, while a lock is held that an error would never give back.
func (w *fuseFile) Stat() (vfs.FileInfo, error) {
	info, err := w.File.Stat()
	if err == nil || isTable(w.name) || !w.f.inside(w.name) {
		return info, err
	}
	_ = w.f.fail(err)
	file, err := w.f.mem.Create(w.f.base(w.name)+".stat", vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	return file.Stat()
}

// Close closes the file in any case.
func (w *fuseFile) Close() error {
	if w.f.broken() != nil {
		_ = w.File.Close() // what was to be said about it has been
		return nil         //nolint:nilerr // the core has failed of that error
	}
	return w.f.change(w.name, w.File.Close)
}

// GetDiskUsage is asked in the background, for a warning that nobody reads: that it can't be told is no failure.
func (f *fuse) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	u, err := f.FS.GetDiskUsage(path)
	if err != nil {
		return u, vfs.ErrUnsupported
	}
	return u, nil
}
