//go:build slow

package schedule_test

// everyZone makes the tests of all zones take none as a sample; see make test-slow.
const everyZone = true
