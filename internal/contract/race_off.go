//go:build !race

package contract

// UnderRace says that the race detector is on, under which fewer tasks do.
const UnderRace = false
