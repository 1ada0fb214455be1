//go:build !unix

package daemon

// keepDescriptors does nothing here: a process inherits only the handles that are named when it is started.
func keepDescriptors() {}
