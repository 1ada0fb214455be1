//go:build !race

package pebble_test

// raceEnabled says whether the race detector is on, with which a storage call takes ten times as long.
const raceEnabled = false
