package figures

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestTreeCPU has a child work and end, and another still work: both are counted.
func TestTreeCPU(t *testing.T) {
	before, ok := TreeCPU(os.Getpid())
	if !ok {
		t.Fatal("nothing is known of this process")
	}
	const work = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"
	if err := exec.CommandContext(t.Context(), "sh", "-c", work).Run(); err != nil {
		t.Fatal(err)
	}
	ended, ok := TreeCPU(os.Getpid())
	if !ok || ended <= before {
		t.Errorf("%v before a child worked, %v after it ended", before, ended)
	}
	busy := exec.CommandContext(t.Context(), "sh", "-c", "while :; do :; done")
	if err := busy.Start(); err != nil {
		t.Fatal(err)
	}
	own := ProcessCPU()
	for {
		all, ok := TreeCPU(os.Getpid())
		if !ok {
			t.Fatal("nothing is known of this process any more")
		}
		if all-ended > ProcessCPU()-own+10*time.Second/userHertz {
			break // that can only be the child's
		}
	}
	if err := busy.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := busy.Wait(); err == nil {
		t.Error("a loop without an end has ended")
	}
	if _, ok := TreeCPU(1 << 30); ok {
		t.Error("something is known of a process that is not there")
	}
}
