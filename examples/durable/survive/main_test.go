package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestMain lets the test's binary be the program, since what kills itself can't be the test.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SURVIVE_IN"); dir != "" {
		if err := run(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// contract: C4
func TestSurvivesItsOwnKill(t *testing.T) {
	dir := t.TempDir()
	first := exec.CommandContext(t.Context(), os.Args[0])
	first.Env = append(os.Environ(), "SURVIVE_IN="+dir)
	out, err := first.Output()
	if _, ended := errors.AsType[*exec.ExitError](err); !ended || !strings.HasPrefix(string(out), "tea is put") {
		t.Fatalf("the first process: %v, %q, want it killed after the put", err, out)
	}
	second := exec.CommandContext(t.Context(), os.Args[0])
	second.Env = first.Env
	out, err = second.CombinedOutput()
	want := regexp.MustCompile(fmt.Sprintf(`^tea is ready: put by process %d, run by process %d\n$`, first.Process.Pid, second.Process.Pid))
	if err != nil || !want.Match(out) {
		t.Errorf("the second process: %v, %q, want %s", err, out, want)
	}
}
