package target_test

import (
	"errors"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dulyhq/duly/proc"
	"github.com/dulyhq/duly/target"
)

// A process that is given the last descriptor there may be has no number above it. That is told as a bad descriptor, and is the want of one:
// a command is put off by it, where it would be dead.
func TestStart_NoNumberIsLeft(t *testing.T) { //nolint:paralleltest // it sets a limit of the process
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	limit := before
	limit.Cur = min(limit.Cur, 1024) // the kernel makes room for all numbers up to the last
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close() //nolint:errcheck // it was only read
	last := int(limit.Cur) - 1
	if err := unix.Dup3(int(null.Fd()), last, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	in := os.NewFile(uintptr(last), "the last")
	defer in.Close() //nolint:errcheck // it was only read
	_, err = proc.Run(t.Context(), proc.Spec{Args: []string{"true"}, Stdin: in})
	if !errors.Is(err, syscall.EBADF) {
		t.Fatalf("%v, want the error of a descriptor beyond the limit", err)
	}
	if err := target.StartError(err); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("it counts as %v, want as %v", err, syscall.EMFILE)
	}
	if err := target.StartError(os.ErrNotExist); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("another error counts as %v", err)
	}
}
