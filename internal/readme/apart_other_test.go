//go:build !unix

package readme_test

import "os/exec"

func apart(*exec.Cmd) {}

func end(cmd *exec.Cmd) { _ = cmd.Process.Kill() } // it may have ended
