//go:build race

package schedule_test

// sampled is how many of n random cases are tried under the race detector: a schedule is a value, and what its arithmetic finds is shown
// by the tests without it.
func sampled(n int) int { return (n + 3) / 4 }
