package main

import (
	"syscall"
	"time"

	"github.com/dulyhq/duly/bench/runs"
)

// processCost gives the CPU time, user and system, that this process has used. Windows does not count context switches here.
func processCost() (cpu time.Duration, switches int64) {
	var created, exited, kernel, user syscall.Filetime
	self, err := syscall.GetCurrentProcess()
	runs.Must("open own process", err)
	runs.Must("read process times", syscall.GetProcessTimes(self, &created, &exited, &kernel, &user))
	ticks := func(f syscall.Filetime) int64 { return int64(f.HighDateTime)<<32 | int64(f.LowDateTime) }
	return time.Duration(ticks(kernel)+ticks(user)) * 100, 0
}
