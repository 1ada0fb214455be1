//go:build race

package wait_test

// underRace says that the race detector is on, under which a part of the rounds is enough.
const underRace = true
