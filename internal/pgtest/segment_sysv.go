//go:build linux || (darwin && !ios)

package pgtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// dropSegment removes the segment of System V's shared memory that a server which was killed has left, and which the next start
// would have removed. A system has few of them, macOS 32. The data directory's postmaster.pid has its key and number on the seventh line.
func dropSegment(data string) {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return // it ended well
	}
	lines := bytes.Split(text, []byte("\n"))
	if len(lines) < 7 {
		return // it had not got there
	}
	var key, id int
	if _, err := fmt.Sscan(string(lines[6]), &key, &id); err == nil {
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) // it may be gone
	}
}
