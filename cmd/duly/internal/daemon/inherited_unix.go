//go:build unix

package daemon

import (
	"os"
	"strconv"
	"syscall"
)

// lastStandard is the last descriptor that every process has.
const lastStandard = 2

// keepDescriptors lets no descriptor of this process pass to commands, also of those that whoever started it has left open: a lock, a pipe
// whose reader waits for its end, a file that a command's user may not open.
func keepDescriptors() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return // a system that does not list them
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > lastStandard {
			syscall.CloseOnExec(fd)
		}
	}
}
