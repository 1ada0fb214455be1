package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// block keeps the thread for a time.
func block(d time.Duration) {
	left := unix.NsecToTimespec(int64(d))
	for unix.Nanosleep(&left, &left) == unix.EINTR {
	}
}
