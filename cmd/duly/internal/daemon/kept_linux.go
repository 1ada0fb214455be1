package daemon

import "golang.org/x/sys/unix"

// clockKept asks the kernel whether something keeps its clock right.
func clockKept() keeping {
	var t unix.Timex // without Modes it only looks
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		return unknown
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		return unkept
	}
	return kept
}
