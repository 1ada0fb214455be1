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

const want = `skip: run 1 for beat 1, folded in 0
skip: run 2 for beat 4, folded in 0
skip: run 3 for beat 7, folded in 0
skip: 3 runs, 4 beats dropped
buffer one: run 1 for beat 1, folded in 0
buffer one: run 2 for beat 3, folded in 1
buffer one: run 3 for beat 5, folded in 1
buffer one: 3 runs, 0 beats dropped
allow: run 1 for beat 1, folded in 0
allow: run 2 for beat 2, folded in 0
allow: run 3 for beat 3, folded in 0
allow: 3 runs, 0 beats dropped
`
