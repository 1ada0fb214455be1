//go:build !race

package deadline_test

const underRace = false
