//go:build !race

package schedule_test

// sampled is how many of n random cases are tried, which are fewer under the race detector.
func sampled(n int) int { return n }
