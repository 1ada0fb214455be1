//go:build unix

package daemon

import "syscall"

// setUmask sets the process's umask, and returns what sets it back.
func setUmask(mask int) (back func()) {
	old := syscall.Umask(mask)
	return func() { syscall.Umask(old) }
}
