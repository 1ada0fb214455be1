//go:build unix

package clusterproof_test

import (
	"os"
	"syscall"
)

// What has a process stand still, and go on.
var (
	still os.Signal = syscall.SIGSTOP
	goOn  os.Signal = syscall.SIGCONT
)
