package pebble

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	pdb "github.com/cockroachdb/pebble/v2"

	"github.com/dulyhq/duly/store"
)

// A logger is the database's. What it says for people goes nowhere; what would have ended the process ends the core.
type logger struct{ c *core }

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.c.s.o.Logger.Warn("storage", "dir", l.c.s.dir, "error", fmt.Sprintf(format, args...))
}

func (l logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...) //nolint:err113 // it is the database's message
	for _, a := range args {
		if e, ok := a.(error); ok {
			err = fmt.Errorf("%w: %w", errFatal, e)
		}
	}
	_ = l.c.fail(err) // it returns why the core has failed
}

// caught makes an error of a panic of the database, which panics where it has no other way to say that storage fails.
func caught(v any) error {
	if err, ok := v.(error); ok {
		return blame(fmt.Errorf("%w: %w", errFatal, err))
	}
	return blame(fmt.Errorf("%w: %v", errFatal, v))
}

var errFatal = errors.New("the database gave up")

// listener hears of damage found in the background.
func (c *core) listener() *pdb.EventListener {
	l := &pdb.EventListener{
		BackgroundError: func(err error) {
			// A write that failed has ended the core. What could not be read is left as it is, and opening anew would not mend it: who
			// reads it hears the error.
			if c.failed() == nil {
				c.s.o.Logger.Warn("storage failed in the background", "dir", c.s.dir, "error", err)
			}
		},
		DataCorruption: func(info pdb.DataCorruptionInfo) {
			c.s.o.Logger.Error("storage is damaged", "dir", c.s.dir, "path", info.Path, "error", info.Details)
		},
	}
	l.EnsureDefaults(logger{c})
	return l
}

func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

func readOnly(err error) bool {
	return errors.Is(err, syscall.EROFS) || errors.Is(err, os.ErrPermission)
}

// missing says whether a file is not there.
func missing(err error) bool { return errors.Is(err, os.ErrNotExist) }

// system says whether an error is the operating system's, and not one about what was read.
func system(err error) bool {
	var no syscall.Errno
	return errors.As(err, &no)
}

// trouble says of an error of locking that it is not about who holds the lock.
func trouble(err error) bool {
	for _, e := range [...]syscall.Errno{syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOLCK} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func mib(n int64) string { return strconv.FormatInt(n>>20, 10) + " MiB" }

// blameOpen says which of the package's errors an error of opening the database is.
func blameOpen(err error) error {
	var other pdb.ErrMissingWALRecoveryDir
	switch {
	case errors.Is(err, pdb.ErrDBNotPristine):
		return fmt.Errorf("%w: the file marker.format-version.* is gone; restore a backup: %w", store.ErrCorrupt, oneLineError{err})
	case errors.As(err, &other), strings.Contains(err.Error(), "from file"):
		return fmt.Errorf("%w: the file OPTIONS-* is another database's, or damaged; restore a backup: %w", store.ErrFormat, oneLineError{err})
	case strings.Contains(err.Error(), "size mismatch"):
		return fmt.Errorf("%w: a file was cut; restore a backup: %w", store.ErrCorrupt, oneLineError{err})
	case missing(err):
		return fmt.Errorf("%w: a file is gone; restore a backup: %w", store.ErrCorrupt, oneLineError{err})
	}
	return blame(err)
}
