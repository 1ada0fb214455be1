//go:build unix

package cli

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// ownerOf returns the owner of a file.
func ownerOf(path string) (*user.User, bool) {
	if path == "" {
		return nil, false
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, false
	}
	u, err := user.LookupId(strconv.FormatUint(uint64(stat.Uid), 10))
	return u, err == nil
}
