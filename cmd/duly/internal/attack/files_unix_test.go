//go:build unix

package attack

import "syscall"

// openFiles raises how many files this process may have open, and says whether it may have as many.
func openFiles(want uint64) bool {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return false
	}
	atLeast(&l.Cur, want)
	atLeast(&l.Max, want) // which root may
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) == nil
}

// atLeast raises a limit, whose type differs from system to system.
func atLeast[T int64 | uint64](limit *T, want uint64) { *limit = max(*limit, T(want)) }
