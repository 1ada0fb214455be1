//go:build unix

package main

import (
	"syscall"
	"time"

	"github.com/dulyhq/duly/bench/runs"
)

// processCost gives the CPU time, user and system, that this process has used, and how often it gave up the processor.
func processCost() (cpu time.Duration, switches int64) {
	var ru syscall.Rusage
	runs.Must("read resource usage", syscall.Getrusage(syscall.RUSAGE_SELF, &ru))
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano()), int64(ru.Nvcsw) //nolint:unconvert // an int32 where words are short
}
