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

const want = `a word every 10ms
saved: "duly runs things later"
a word every 100ms
saved: "one who never rests is"
saved: "one who never rests is saved from time to time"
`
