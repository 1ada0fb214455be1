package cli

import (
	"context"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

const whyLong = `Tell why a task does not run now: it is not due, paused, waits for its next attempt, for an earlier run, for a worker or for others of
its key, or has ended, and how.

Exit status: 3 if neither the tasks nor the history know the name.`

const whyExample = `  duly why backup
  duly why backup -o json`

func newWhy(s *session) *cobra.Command {
	output := ""
	cmd := &cobra.Command{
		Use:                   "why [flags] NAME",
		Short:                 "Tell why a task does not run now",
		Long:                  whyLong,
		Example:               whyExample,
		DisableFlagsInUseLine: true,
		Args:                  oneName,
		ValidArgsFunction:     s.completeNames(client.Query{}, 1),
		RunE:                  func(cmd *cobra.Command, args []string) error { return s.why(cmd.Context(), args[0], output) },
	}
	cmd.Flags().SortFlags = false
	outputFlag(cmd, &output)
	return cmd
}

func (s *session) why(ctx context.Context, name, output string) error {
	c, err := s.connectToRead()
	if err != nil {
		return err
	}
	w, err := c.WhyNot(ctx, name)
	if err != nil {
		return err
	}
	p := s.printer()
	switch {
	case output != "table":
		err = p.object(output, w)
	case w.Code != "unknown":
		err = p.linef("%s: %s", name, p.localized(w.Text))
	}
	if err != nil {
		return err
	}
	if w.Code == "unknown" {
		if output != "table" {
			return &failure{status: exitNotFound}
		}
		return &failure{status: exitNotFound, what: w.Text, hint: s.meant(ctx, name)}
	}
	if hint := whyHint(name, w.Code); hint != "" && output == "table" && p.terminal {
		return p.write(p.paint(dim, clean(hint)) + "\n")
	}
	return nil
}

// inText finds instants in a sentence of the daemon.
var inText = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// localized has the instants in a sentence of the daemon on the clock of whoever looks, on a terminal.
func (p *printer) localized(text string) string {
	if !p.terminal {
		return text
	}
	return inText.ReplaceAllStringFunc(text, func(instant string) string {
		t, err := time.Parse(time.RFC3339Nano, instant)
		if err != nil {
			return instant
		}
		return p.instant(t)
	})
}

// whyHint says what can be done about a reason.
func whyHint(name, code string) string {
	name = wording.Quote(name)
	switch code {
	case "not_due", "retry":
		return "to run it now: duly run " + name
	case "paused":
		return "to let it run again: duly resume " + name
	case "dead":
		return "to have it tried again: duly redrive " + name
	case "running", "overlap":
		return "to see what it prints: duly logs -f " + name
	case "done", "cancelled", "expired":
		return "what became of it: duly history " + name
	case "workers":
		return "duly ls --state running shows what holds them"
	case "store":
		return "duly doctor may know more"
	}
	return ""
}
