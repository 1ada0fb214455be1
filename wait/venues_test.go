package wait_test

// call runs f on a goroutine of its own; what it returns is in the channel when it has.
func call[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

// returned says whether a call has returned, and what.
func returned[T any](c <-chan T) (v T, ok bool) {
	select {
	case v = <-c:
		return v, true
	default:
		return v, false
	}
}
