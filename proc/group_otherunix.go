//go:build unix && !linux

package proc

import "syscall"

// handle is nothing where a group has its number only.
type handle struct{}

func (*handle) init(*syscall.SysProcAttr) {}

func (*handle) release() {}

func (*handle) started(int) {}

func (*handle) exit() func() { return func() {} }

func (*handle) sure() bool { return false }

func (*handle) signal(pid int, sig syscall.Signal) error { return syscall.Kill(-pid, sig) }

// alive says whether the group has a process that can be signalled. Zombies cannot, or are reaped by init.
func (*handle) alive(pid int) bool { return syscall.Kill(-pid, 0) == nil }
