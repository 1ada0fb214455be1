package daemon

import (
	"os"

	"github.com/dulyhq/duly/target"
)

// sh is a command of a line of the shell.
func sh(line string) *target.Command {
	return &target.Command{Args: []string{"/bin/sh", "-c", line}, Env: map[string]string{"PATH": os.Getenv("PATH")}}
}
