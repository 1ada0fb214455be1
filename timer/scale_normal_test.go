//go:build !slow

package timer

const manyTimers = 1_000_000
