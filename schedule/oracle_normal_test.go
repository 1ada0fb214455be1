//go:build !slow

package schedule_test

// everyZone says that every zone, transition and policy is tried rather than a sample; see make test-slow.
const everyZone = false
