package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

const moveExample = "duly move tea 5m, or duly move tea 17:00"

func newMove(s *session) *cobra.Command {
	var zone, output string
	var generation int64
	cmd := &cobra.Command{
		Use:   "move NAME WHEN [flags]",
		Short: "Give a task another time",
		Long: `Give the next run of a task another time: a duration from now, as duly in takes it, or an instant, as duly at takes it. What it does and
what comes after that run stays as it was. A task that has started can't be moved.`,
		Example: `  duly move tea 5m
  duly move report tomorrow 9:00
  duly move backup '2026-12-24 18:00' --zone Europe/Berlin`,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     s.completeNames(client.Query{}, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return &usageError{what: "move takes a name and when it is to run", hint: moveExample}
			}
			change, err := s.change(args[0], args[1:], zone)
			if err != nil {
				return err
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			defer c.Close()
			var conds []client.Condition
			if generation != 0 {
				conds = append(conds, client.IfGeneration(generation))
			}
			e, err := c.Patch(cmd.Context(), args[0], change, conds...)
			if err != nil {
				return err
			}
			p := s.printer()
			switch {
			case output != "table":
				return p.object(output, e)
			case !p.terminal:
				return p.table(nil, [][]cell{cells(e.Name, p.instant(e.DueAt))})
			}
			return p.write(p.paint(bold, clean(e.Name)) + " is moved: it runs" + p.due(&e) + "\n")
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	zoneFlag(cmd, &zone, "read WHEN in the IANA zone `Z` (default: this machine's)")
	flags.Int64Var(&generation, "if-generation", 0, "only if the task is still of the generation `N`, which show and -o json tell")
	outputFlag(cmd, &output)
	return cmd
}

// change reads when a task is to run instead: how long from now, or at which instant.
func (s *session) change(name string, words []string, zone string) (api.Change, error) {
	text := strings.Join(words, " ")
	if looksLong(text) {
		d, err := readDelay(words)
		return api.Change{In: &d}, err
	}
	at, err := s.readInstant(text, zone, "move "+wording.Quote(name))
	return api.Change{At: at}, err
}

// looksLong says whether a text is a length of time.
func looksLong(text string) bool {
	return isLength(strings.TrimPrefix(text, "in "))
}
