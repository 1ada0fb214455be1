//go:build !race

package verdict_test

// part is by how much less is tried under the race detector: Check has one goroutine.
const part = 1
