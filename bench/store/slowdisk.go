package main

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// slowFS is a file system whose every sync takes longer, as on a disk that is reached over a network.
type slowFS struct {
	vfs.FS
	wait func() // takes as much longer
}

// slowedBy returns the operating system's file system with slower syncs. Each blocks a thread, as a sync does: what a timer of the
// runtime is late by would be half a millisecond.
func slowedBy(d time.Duration) slowFS {
	return slowFS{FS: vfs.Default, wait: func() { block(d) }}
}

func (s slowFS) slow(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return slowFile{File: f, wait: s.wait}, nil
}

func (s slowFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return s.slow(s.FS.Create(name, category))
}

func (s slowFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return s.slow(s.FS.Open(name, opts...))
}

func (s slowFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return s.slow(s.FS.OpenReadWrite(name, category, opts...))
}

func (s slowFS) OpenDir(name string) (vfs.File, error) { return s.slow(s.FS.OpenDir(name)) }

func (s slowFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return s.slow(s.FS.ReuseForWrite(oldname, newname, category))
}

func (s slowFS) Unwrap() vfs.FS { return s.FS }

type slowFile struct {
	vfs.File
	wait func()
}

func (f slowFile) Sync() error {
	f.wait()
	return f.File.Sync()
}

func (f slowFile) SyncData() error {
	f.wait()
	return f.File.SyncData()
}

// SyncTo begins to write pages back, and does not wait for them; only where it has to sync for want of something better is it slow.
func (f slowFile) SyncTo(length int64) (full bool, err error) {
	if full, err = f.File.SyncTo(length); full {
		f.wait()
	}
	return full, err
}
