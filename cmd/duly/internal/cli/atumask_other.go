//go:build !unix

package cli

// umask is that which lets nobody else read: this system has none.
func umask() int { return 0o077 }
