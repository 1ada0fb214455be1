//go:build !unix

package servers

import (
	"os/exec"
)

// asNobody does nothing: there is no root.
func asNobody(*exec.Cmd, string) error { return nil }
