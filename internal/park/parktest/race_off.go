//go:build !race

package parktest

// UnderRace says that the race detector is on, under which a part of the rounds is enough.
const UnderRace = false
