package pebble

import "time"

// Hurry makes stores try again after d, and not after a second, when storage has failed.
func Hurry(d time.Duration) (restore func()) {
	was := healEvery
	healEvery = d
	return func() { healEvery = was }
}

// SmallTables makes the database write tables, and begin logs, after so many bytes.
func SmallTables(bytes uint64) (restore func()) {
	was := memTableSize
	memTableSize = bytes
	return func() { memTableSize = was }
}

// SmallTrims has Trim look at so few entries at a time, until the function returned is called.
func SmallTrims(entries int) (restore func()) {
	was := beforeMost
	beforeMost = entries
	return func() { beforeMost = was }
}
