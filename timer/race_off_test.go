//go:build !race

package timer

const underRace = false
