package main

import (
	"bytes"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// The bubble owns the program's time, and would not end if the program left a goroutine behind.
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

const want = `put A in 3 s
put B in 2 s
put C in 1 s
put D in 7 s
put E in 5 s
C runs
B runs
A runs
after 4 s, cancel E: cancelled
D runs
`
