package main

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Processes live in real time; nothing here depends on how much of it they take.
func TestRun(t *testing.T) {
	for _, tool := range []string{"/bin/sh", "grep", "sort", "yes", "cat", "sleep"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED, NOT TESTED: this machine has no %s: %v", tool, err)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

const want = `exit status 0, and it printed "apple\npear\nplum\n"
proc: run "/bin/sh -c yes \"much ado\" | grep nothing sh": timeout: not done after 500ms; it printed ""
proc: run "/bin/sh -c sleep 60 | sleep 60 sh": timeout: not done after 250ms
`
