package figures

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessCPU gives the CPU time, user and system, that this process has used, and 0 where the system does not tell.
func ProcessCPU() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// WrittenBytes gives what this process has caused to be sent to the disk, as the kernel counts it: pages, when they become dirty.
func WrittenBytes() (int64, bool) { return fieldOf("/proc/self/io", "write_bytes:", 1) }

// Resident gives the resident set of a process, now and the most it was. ok is false where the system does not tell.
func Resident(pid int) (now, most int64, ok bool) {
	path := "/proc/" + strconv.Itoa(pid) + "/status"
	now, okNow := fieldOf(path, "VmRSS:", 1024)
	most, okMost := fieldOf(path, "VmHWM:", 1024)
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

// BlocksOf gives the bytes that a file takes on the disk, which are not those it seems to have.
func BlocksOf(info os.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * 512
	}
	return info.Size()
}

func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
