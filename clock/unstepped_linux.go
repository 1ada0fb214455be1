//go:build !clockstep

package clock

func newSystem() Clock { return linuxSystem(runtimeNow(), linuxKernel{}) }
