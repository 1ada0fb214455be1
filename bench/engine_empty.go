package main

import "time"

// empty does nothing but read a byte of the name or of the slot, which is what any engine must do. Its figures are the harness's
// own share of a line's cost.
type empty struct {
	slots []int64
	sum   int64
}

func (e *empty) Close() {}

func (e *empty) Put(name string, d time.Duration, _ task) {
	e.sum += int64(name[len(name)-1]) + int64(d)
}

func (e *empty) Cancel(name string) bool { e.sum += int64(name[len(name)-1]); return true }

func (e *empty) Rearm(name string, d time.Duration, t task) { e.Put(name, d, t) }

func (e *empty) Grow(slots int) { e.slots = make([]int64, slots) }

func (e *empty) Arm(slot int, d time.Duration, _ task) { e.slots[slot] = int64(d) }

func (e *empty) Stop(slot int) bool { return e.slots[slot] >= 0 }

func (e *empty) Reset(slot int, d time.Duration) bool { e.slots[slot] = int64(d); return true }
