//go:build unix

package cli

import "syscall"

// umask returns this process's umask, which there is no way to ask for without setting it.
func umask() int {
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return mask
}
