package daemon

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
)

// spareThreads is how many threads are made ahead. The runtime ends the process if it needs one more than its system lets it have, which
// commands may bring about; it keeps those that it has, and uses them again.
const spareThreads = 24

func makeThreads(n int) {
	var there, gone sync.WaitGroup
	there.Add(n)
	end := make(chan struct{})
	for range n {
		gone.Go(func() {
			runtime.LockOSThread() // so that each has one
			defer runtime.UnlockOSThread()
			there.Done()
			<-end
		})
	}
	there.Wait()
	close(end)
	gone.Wait()
}

// fitMemory lets the runtime collect garbage before the group that the process is in has no memory left, unless GOMEMLIMIT says how much
// there is. It returns how many bytes the group has, 0 if it changes nothing, and how many of them the runtime keeps to.
func fitMemory(getenv, read func(string) string) (most, limit int64) {
	if getenv != nil && getenv("GOMEMLIMIT") != "" {
		return 0, 0
	}
	most = groupMemory(read)
	if most <= 0 || most >= 1<<50 { // none: v1 of control groups says so with a very large number
		return 0, 0
	}
	limit = heapOf(most)
	debug.SetMemoryLimit(limit)
	return most, limit
}

// readKernel returns what a file of the kernel's says, "" if it is not there.
func readKernel(name string) string {
	b, err := os.ReadFile(name) //nolint:gosec // one of the kernel's
	if err != nil {
		return ""
	}
	return string(b)
}

// heapOf is how much of so many bytes is the runtime's. The rest is for what counts for the group without being the runtime's: what the
// kernel has of it, for sockets, pages and files, and by how much the runtime exceeds its limit where much is allocated at a time.
func heapOf(most int64) int64 {
	const spare = 64 << 20
	return most - max(most/10, min(most/4, spare))
}

// groupMemory is how many bytes the control groups of this process allow, 0 if they do not say. What is in a group counts for those
// around it, so the least is what matters.
func groupMemory(read func(name string) string) (least int64) {
	for line := range strings.Lines(read("/proc/self/cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case parts[1] == "memory":
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		case parts[1] != "":
			continue
		}
		for at := filepath.Clean("/" + parts[2]); ; at = filepath.Dir(at) { // in a container the path may be one outside of it
			n, err := strconv.ParseInt(strings.TrimSpace(read(filepath.Join(root, at, file))), 10, 64)
			if err == nil && n > 0 && (least == 0 || n < least) {
				least = n
			}
			if at == "/" {
				break
			}
		}
	}
	return least
}
