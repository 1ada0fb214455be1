//go:build race

package deadline_test

// underRace says that the race detector is on, under which a tenth of the rounds is enough.
const underRace = true
