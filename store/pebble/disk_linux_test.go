package pebble_test

import "golang.org/x/sys/unix"

func mountTmpfs(dir, size string) error { return unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size) }

func unmount(dir string) error { return unix.Unmount(dir, unix.MNT_DETACH) }

func remount(dir string, readOnly bool) error {
	flags := uintptr(unix.MS_REMOUNT)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	return unix.Mount("tmpfs", dir, "tmpfs", flags, "")
}
