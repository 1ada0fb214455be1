package main

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// The bubble owns the program's time, and would not end if the program left a goroutine behind.
//
// contract: F1, F3.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		if err := run(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
	})
}

const want = `order-1 to ada, attempt 1: strike
order-2 to cy, attempt 1: cy has no address
order-2 is dead at attempt 1: cy has no address
order-3 to bob, attempt 1: <nil>
order-1 to ada, attempt 2: strike
order-1 to ada, attempt 3: <nil>
cy is known now: 1 tried again
order-2 to cy, attempt 1: <nil>
`
