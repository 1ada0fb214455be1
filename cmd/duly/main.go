// Command duly shows when a schedule will run.
package main

import (
	"os"
	"time"

	"github.com/dulyhq/duly/cmd/duly/internal/cli"
)

func main() {
	os.Exit(cli.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, time.Now))
}
