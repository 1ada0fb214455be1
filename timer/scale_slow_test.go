//go:build slow

package timer

const (
	manyTimers = 10_000_000
	modelCases = 2000
)
