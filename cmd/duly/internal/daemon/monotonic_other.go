//go:build !linux

package daemon

// monotonic is for systemd alone.
func monotonic() string { return "" }
