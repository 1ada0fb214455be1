package cli

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets no test leave a goroutine behind. With a variable set this program is duly itself, for tests that need a process.
func TestMain(m *testing.M) {
	if os.Getenv("DULY_TEST_COMMAND") != "" {
		os.Exit(Run(Process{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Now: time.Now}))
	}
	goleak.VerifyTestMain(m)
}
