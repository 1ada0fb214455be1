//go:build !slow

package timer

// What the build tag slow multiplies; see make test-slow.
const (
	manyTimers = 1_000_000
	modelCases = 40 // of about 500 operations
)
