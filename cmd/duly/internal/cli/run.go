package cli

import (
	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/client"
)

func newRun(s *session) *cobra.Command {
	var waits bool
	cmd := &cobra.Command{
		Use:   "run NAME [flags]",
		Short: "Run a task now",
		Long: `Run a task now. One that would run once has run then; one that recurs gets an extra run beside its schedule, which stays as it is.
Limits and pauses hold: duly why NAME tells what it waits for.`,
		Example: `  duly run backup
  duly run backup --wait`,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     s.completeNames(client.Query{}, 1),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{what: "run takes the name of one task", hint: "duly run backup"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if waits {
				s.tellLoss()
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			if waits {
				return (&waiting{s: s, c: c, name: args[0]}).awaitRun(cmd.Context())
			}
			if err := c.RunNow(cmd.Context(), args[0]); err != nil {
				return err
			}
			if p := s.printer(); p.terminal {
				return p.write(p.paint(bold, clean(args[0])) + " runs now" + p.paint(dim, "  (what it prints: "+clean(s.again("logs", args[0]))+")") + "\n")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&waits, "wait", false, "wait until it has run, show its output and lateness, and exit with its status")
	return cmd
}
