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

const want = `10000 requests under way, 10000 timeouts pending
9900 answered, 100 timeouts pending
100 timed out, 0 of them early, 0 pending, 0 running
`
