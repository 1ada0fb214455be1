package daemon

import (
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// hanging is for how long the disk may keep a write before the store is said not to work. A disk that is merely slow is faster.
const hanging = 10 * time.Second

// A disk knows which writes the system has not come back from: a store that waits for one of them can't say so itself, and whoever waits for
// the store may have gone meanwhile. The zero value knows of none.
type disk struct {
	mu     sync.Mutex
	last   int
	writes map[int]time.Time // when those under way began
}

// begin notes that a write begins, and returns what end is to be told when it is over.
func (d *disk) begin() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writes == nil {
		d.writes = map[int]time.Time{}
	}
	d.last++
	d.writes[d.last] = time.Now()
	return d.last
}

func (d *disk) end(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.writes, n)
}

// waits is for how long the oldest write under way has been so at an instant; 0 is that there is none.
func (d *disk) waits(now time.Time) (longest time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, began := range d.writes {
		longest = max(longest, now.Sub(began))
	}
	return longest
}

// check is the error of a disk that hangs.
func (d *disk) check() error {
	if waits := d.waits(time.Now()); waits >= hanging {
		return fmt.Errorf("the disk hangs: it has not come back from a write for %v", waits.Round(time.Second))
	}
	return nil
}

// A watchedFS lets a disk know of all that changes it. What only reads is not counted: it waits for the disk, too, but holds up nobody else.
type watchedFS struct {
	vfs.FS

	disk *disk
}

// Unwrap returns the file system below.
func (w watchedFS) Unwrap() vfs.FS { return w.FS }

// Create makes a file.
func (w watchedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	defer w.disk.end(w.disk.begin())
	return w.file(w.FS.Create(name, category))
}

// OpenReadWrite opens a file, and makes it if there is none.
func (w watchedFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	defer w.disk.end(w.disk.begin())
	return w.file(w.FS.OpenReadWrite(name, category, opts...))
}

// ReuseForWrite makes a file of one that is there.
func (w watchedFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	defer w.disk.end(w.disk.begin())
	return w.file(w.FS.ReuseForWrite(oldname, newname, category))
}

// OpenDir opens a directory, whose Sync is a write.
func (w watchedFS) OpenDir(name string) (vfs.File, error) {
	defer w.disk.end(w.disk.begin())
	return w.file(w.FS.OpenDir(name))
}

// Link gives a file another name.
func (w watchedFS) Link(oldname, newname string) error {
	defer w.disk.end(w.disk.begin())
	return w.FS.Link(oldname, newname)
}

// Rename renames a file.
func (w watchedFS) Rename(oldname, newname string) error {
	defer w.disk.end(w.disk.begin())
	return w.FS.Rename(oldname, newname)
}

// Remove removes a file.
func (w watchedFS) Remove(name string) error {
	defer w.disk.end(w.disk.begin())
	return w.FS.Remove(name)
}

func (w watchedFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &watchedFile{f, w.disk}, nil
}

// A watchedFile is one of a watchedFS.
type watchedFile struct {
	vfs.File

	disk *disk
}

func (f *watchedFile) Write(b []byte) (int, error) {
	defer f.disk.end(f.disk.begin())
	return f.File.Write(b)
}

func (f *watchedFile) WriteAt(b []byte, off int64) (int, error) {
	defer f.disk.end(f.disk.begin())
	return f.File.WriteAt(b, off)
}

func (f *watchedFile) Preallocate(offset, length int64) error {
	defer f.disk.end(f.disk.begin())
	return f.File.Preallocate(offset, length)
}

func (f *watchedFile) Sync() error {
	defer f.disk.end(f.disk.begin())
	return f.File.Sync()
}

func (f *watchedFile) SyncTo(length int64) (fullSync bool, err error) {
	defer f.disk.end(f.disk.begin())
	return f.File.SyncTo(length)
}

func (f *watchedFile) SyncData() error {
	defer f.disk.end(f.disk.begin())
	return f.File.SyncData()
}

// Close may write what was not written yet.
func (f *watchedFile) Close() error {
	defer f.disk.end(f.disk.begin())
	return f.File.Close()
}
