//go:build !unix

package pgtest

import (
	"errors"
	"os"
	"os/exec"
)

// possible says that this package starts no servers on this system, so nothing has to be frozen, nor done by somebody else.
const possible = false

var freeze = os.Kill

func atEnd(*os.File) bool { return false }

func apart(*exec.Cmd) error { return errors.ErrUnsupported }

func giveAway(string) error { return errors.ErrUnsupported }

func passable(string) bool { return false }
