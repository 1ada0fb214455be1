package PACKAGE

import (
	"os"
	"strconv"
	"syscall"
)

// mutantActive is the number of the mutant that is on, and mutantSeen has a byte for each that was reached. It is a file's
// memory where the run is recorded, so that it outlives however the process ends.
var mutantActive, mutantSeen = mutantStart(MUTANTS)

func mutantStart(n int) (int, []byte) {
	active, _ := strconv.Atoi(os.Getenv("MUTANT"))
	if name := os.Getenv("MUTANT_SEEN"); name != "" {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			panic(err)
		}
		defer f.Close()
		seen, err := syscall.Mmap(int(f.Fd()), 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		if err != nil {
			panic(err)
		}
		return active, seen
	}
	return active, make([]byte, n)
}

func mutantOn(n int) bool {
	if mutantSeen[n] == 0 {
		mutantSeen[n] = 1
	}
	return mutantActive == n
}

type mutantInteger interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr
}

type mutantNumber interface {
	mutantInteger | ~float32 | ~float64
}

type mutantOrdered interface {
	mutantNumber | ~string
}

func mutantNot[T ~bool](n int, v T) T    { return v != T(mutantOn(n)) }
func mutantAlways[T ~bool](n int, v T) T { return v || T(mutantOn(n)) }
func mutantNever[T ~bool](n int, v T) T  { return v && !T(mutantOn(n)) }

func mutantLess[T mutantOrdered](n int, a, b T) bool {
	if mutantOn(n) {
		return a <= b
	}
	return a < b
}

func mutantAtMost[T mutantOrdered](n int, a, b T) bool {
	if mutantOn(n) {
		return a < b
	}
	return a <= b
}

func mutantMore[T mutantOrdered](n int, a, b T) bool {
	if mutantOn(n) {
		return a >= b
	}
	return a > b
}

func mutantAtLeast[T mutantOrdered](n int, a, b T) bool {
	if mutantOn(n) {
		return a > b
	}
	return a >= b
}

func mutantAdd[T mutantNumber](n int, a, b T) T {
	if mutantOn(n) {
		return a - b
	}
	return a + b
}

func mutantSub[T mutantNumber](n int, a, b T) T {
	if mutantOn(n) {
		return a + b
	}
	return a - b
}

func mutantMul[T mutantNumber](n int, a, b T) T {
	if mutantOn(n) {
		return a / b
	}
	return a * b
}

func mutantDiv[T mutantNumber](n int, a, b T) T {
	if mutantOn(n) {
		return a * b
	}
	return a / b
}

func mutantRem[T mutantInteger](n int, a, b T) T {
	if mutantOn(n) {
		return a * b
	}
	return a % b
}

func mutantAnd[T mutantInteger](n int, a, b T) T {
	if mutantOn(n) {
		return a | b
	}
	return a & b
}

func mutantOr[T mutantInteger](n int, a, b T) T {
	if mutantOn(n) {
		return a & b
	}
	return a | b
}

func mutantXor[T mutantInteger](n int, a, b T) T {
	if mutantOn(n) {
		return a & b
	}
	return a ^ b
}

func mutantAndNot[T mutantInteger](n int, a, b T) T {
	if mutantOn(n) {
		return a & b
	}
	return a &^ b
}

func mutantLeft[T, S mutantInteger](n int, a T, b S) T {
	if mutantOn(n) {
		return a >> b
	}
	return a << b
}

func mutantRight[T, S mutantInteger](n int, a T, b S) T {
	if mutantOn(n) {
		return a << b
	}
	return a >> b
}

func mutantMinus[T mutantNumber](n int, v T) T {
	if mutantOn(n) {
		return -v
	}
	return v
}

func mutantOneMore[T mutantNumber](n int, v T) T {
	if mutantOn(n) {
		return v + 1
	}
	return v
}

func mutantZero[T any](n int, v T) T {
	if mutantOn(n) {
		var zero T
		return zero
	}
	return v
}
