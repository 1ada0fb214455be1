package figures

import (
	"bytes"
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

// TreeCPU gives the CPU time, user and system, that a process and its children have used, with those of its children that have ended. It is
// for servers whose children have none of their own. ok is false where the system does not tell.
func TreeCPU(pid int) (sum time.Duration, ok bool) {
	root, ok := statOf(pid)
	if !ok {
		return 0, false
	}
	ticks := root.own + root.ended
	all, err := os.ReadDir("/proc")
	if err != nil {
		return 0, false
	}
	for _, entry := range all {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if s, ok := statOf(child); ok && s.parent == pid {
			ticks += s.own
		}
	}
	return time.Duration(ticks) * time.Second / userHertz, true
}

// userHertz is the unit of times in /proc, on all machines that Go runs on.
const userHertz = 100

// A stat is what /proc tells of a process: its parent, and the ticks of CPU that it has used, and those of its children that have ended.
type stat struct {
	parent     int
	own, ended int64
}

func statOf(pid int) (s stat, ok bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return s, false
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name may have any characters
	if len(f) < 15 {
		return s, false
	}
	var n [5]int64
	for i, at := range [...]int{1, 11, 12, 13, 14} {
		if n[i], err = strconv.ParseInt(f[at], 10, 64); err != nil {
			return s, false
		}
	}
	return stat{parent: int(n[0]), own: n[1] + n[2], ended: n[3] + n[4]}, true
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
