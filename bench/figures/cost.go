package figures

import "time"

// Cost is what the process had used at an instant.
type Cost struct {
	At  time.Time
	CPU time.Duration
}

// Spent is what the process used between two instants.
type Spent struct {
	Wall, CPU time.Duration
}

// ReadCost reads it now.
func ReadCost() Cost { return Cost{At: time.Now(), CPU: ProcessCPU()} }

// Since gives what was used since b was read.
func (c Cost) Since(b Cost) Spent { return Spent{Wall: c.At.Sub(b.At), CPU: c.CPU - b.CPU} }

// Micros gives a time in microseconds.
func Micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Millis gives a time in milliseconds.
func Millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
