//go:build unix

package daemon

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
	"syscall"
)

// bindSocket binds a unix socket that only its owner can connect to, from its first moment on. The umask is the process's: nothing of
// a daemon runs yet whose files it could narrow by mistake.
func bindSocket(ctx context.Context, path string) (net.Listener, error) {
	old := syscall.Umask(0o077)
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// tooOpen returns the mode of a file or directory that has one of the bits, and "" of one that has not.
func tooOpen(info fs.FileInfo, bits fs.FileMode) string {
	if info.Mode().Perm()&bits == 0 {
		return ""
	}
	return info.Mode().Perm().String()
}

// foreign says whose a file or directory is that belongs neither to a user nor to root, and "" of one that does: its owner can do with it
// whatever its mode says.
func foreign(info fs.FileInfo, user int) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok || s.Uid == 0 || int(s.Uid) == user {
		return ""
	}
	return "uid " + strconv.FormatUint(uint64(s.Uid), 10)
}

// extraSignals are those of a daemon that os does not name.
var (
	reloadSignal os.Signal = syscall.SIGHUP
	endSignals             = []os.Signal{os.Interrupt, syscall.SIGTERM}
)

// Signals are those that a daemon wants to be told of. SIGPIPE is among them so that a reader of its output who goes away does not take
// it along; that it is ignored would be passed on to commands.
func Signals() []os.Signal {
	return append([]os.Signal{reloadSignal, syscall.SIGPIPE}, endSignals...)
}

func taken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

func refused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
