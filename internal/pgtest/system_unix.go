//go:build unix

package pgtest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// possible says whether this package starts servers on this system.
const possible = true

// freeze stops a process until it is continued or killed.
var freeze os.Signal = syscall.SIGSTOP

// atEnd looks once, without waiting, whether all who could write to a pipe have closed it. Nobody writes to it meanwhile.
func atEnd(pipe *os.File) (end bool) {
	raw, err := pipe.SyscallConn()
	if err != nil || pipe.SetReadDeadline(time.Time{}) != nil {
		return true // it is closed
	}
	err = raw.Read(func(fd uintptr) bool {
		n, err := syscall.Read(int(fd), make([]byte, 1))
		end = n == 0 && err == nil
		return true
	})
	return end || err != nil
}

// servant returns whom root lets the programs be run by: nobody. Others run them themselves, and it returns nil.
func servant() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil //nolint:nilnil // no credential is the usual case
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("find a user that is not root: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("find a user that is not root: %w", err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("find a user that is not root: %w", err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// apart has a command run as somebody that PostgreSQL accepts, and in a group of its own, so that what is meant for the tests, as
// Ctrl-C is, ends them first, and then by the guard the server.
func apart(cmd *exec.Cmd) error {
	c, err := servant()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: c}
	return err
}

// giveAway makes a file or directory the property of whoever runs the programs.
func giveAway(path string) error {
	c, err := servant()
	if err != nil || c == nil {
		return err
	}
	return os.Chown(path, int(c.Uid), int(c.Gid))
}

// passable says whether whoever runs the programs can get to what is in a directory.
func passable(dir string) bool {
	if os.Getuid() != 0 {
		return true
	}
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&1 == 0 {
			return false
		}
		above := filepath.Dir(dir)
		if above == dir {
			return true
		}
		dir = above
	}
}
