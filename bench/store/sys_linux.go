package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processCPU gives the CPU time, user and system, that this process has used.
func processCPU() time.Duration {
	var ru syscall.Rusage
	must("read resource usage", syscall.Getrusage(syscall.RUSAGE_SELF, &ru))
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// writtenBytes gives what this process has caused to be sent to the disk, as the kernel counts it: pages, when they become dirty.
func writtenBytes() (int64, bool) { return fieldOf("/proc/self/io", "write_bytes:", 1) }

// residentBytes gives the process's resident set, now and the most it was.
func residentBytes() (now, most int64, ok bool) {
	now, okNow := fieldOf("/proc/self/status", "VmRSS:", 1024)
	most, okMost := fieldOf("/proc/self/status", "VmHWM:", 1024)
	return now, most, okNow && okMost
}

// fieldOf gives the number behind a word of a file of the kernel's.
func fieldOf(path, word string, unit int64) (int64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(text))
	for i, f := range fields[:max(len(fields)-1, 0)] {
		if f == word {
			n, err := strconv.ParseInt(fields[i+1], 10, 64)
			return n * unit, err == nil
		}
	}
	return 0, false
}

// blocksOf gives the bytes that a file takes on the disk, which are not those it seems to have.
func blocksOf(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// block keeps the thread for a time.
func block(d time.Duration) {
	left := unix.NsecToTimespec(int64(d))
	for unix.Nanosleep(&left, &left) == unix.EINTR {
	}
}
