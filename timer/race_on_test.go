//go:build race

package timer

// underRace says that the race detector is on, under which a tenth of the rounds is enough.
const underRace = true
