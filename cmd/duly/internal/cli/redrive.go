package cli

import (
	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
)

const redriveLong = `Have runs that are dead tried again, at once and with all their attempts: those whose attempts all failed, or that were lost with the
process that ran them. duly ls --state dead lists them.

Runs that flags select are counted first, and on a terminal you are asked; elsewhere --yes must be there.

Exit status: 3 if a name is unknown, and the others are tried again all the same.`

const redriveExample = `  duly redrive backup
  duly redrive --prefix mail- --yes
  duly redrive --all`

func newRedrive(s *session) *cobra.Command {
	redrive := &steering{
		does: "has tried again", did: "redriven", none: "nothing of it is dead", one: "run", many: "runs", dead: true,
		want: func(*api.Task) bool { return true },
		call: (*client.Client).Redrive,
	}
	cmd, _ := redrive.command(s, client.Query{State: "dead"})
	cmd.Use, cmd.Short, cmd.Long, cmd.Example = "redrive [flags] NAME...", "Have runs that are dead tried again", redriveLong, redriveExample
	return cmd
}
