//go:build !unix

package daemon

// setUmask does nothing where there is no umask.
func setUmask(int) (back func()) { return func() {} }
