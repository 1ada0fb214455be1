package main

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// The bubble owns the program's time, and would not end if the program left a goroutine behind.
//
// contract: A5, G3.
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

const want = `sales: night 1, 0 before it left out
sales: night 2, 0 before it left out
sales: night 3, 0 before it left out
the machine is off for five nights
sales: night 7, 3 before it left out
sales: night 8, 0 before it left out
sales: night 9, 0 before it left out
sales: night 10, 0 before it left out
`
