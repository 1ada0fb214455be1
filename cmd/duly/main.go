// Command duly runs things later, by name: the daemon that does, and what speaks to it.
package main

import (
	"os"
	"time"

	"github.com/dulyhq/duly/cmd/duly/internal/cli"
)

func main() {
	os.Exit(cli.Run(cli.Process{
		Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Environ: os.Environ(), Now: time.Now,
		Name: cli.Called(), As: cli.CalledAs(os.Args[0]),
	}))
}
