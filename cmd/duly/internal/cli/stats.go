package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
)

const statsLong = `Show the daemon's counters: how many tasks it has, and, for each kind since it started, how its attempts went and how late they began.`

const statsExample = `  duly stats
  duly stats -o json`

func newStats(s *session) *cobra.Command {
	output := ""
	cmd := &cobra.Command{
		Use:                   "stats [flags]",
		Short:                 "Show the daemon's counters",
		Long:                  statsLong,
		Example:               statsExample,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return s.stats(cmd.Context(), output) },
	}
	cmd.Flags().SortFlags = false
	outputFlag(cmd, &output)
	return cmd
}

func (s *session) stats(ctx context.Context, output string) error {
	c, err := s.connectToRead()
	if err != nil {
		return err
	}
	x, err := c.Stats(ctx)
	if err != nil {
		return err
	}
	p := s.printer()
	if output != "table" {
		return p.object(output, x)
	}
	var b strings.Builder
	if x.Version != "" {
		fmt.Fprintf(&b, "version %s\n", clean(x.Version))
	}
	fmt.Fprintf(&b, "%s pending, %d running, %s; %s\n", counted(x.Pending, "task", "tasks"), x.Running, counted(x.Dead, "run dead", "runs dead"),
		counted(x.History, "entry of history", "entries of history"))
	if x.StoreErrors > 0 {
		fmt.Fprintf(&b, "%s\n", p.paint(red, counted(int64(min(x.StoreErrors, 1<<62)), "call that the store failed", "calls that the store failed")))
	}
	for _, w := range x.Problems {
		fmt.Fprintf(&b, "%s since %s: %s\n", p.paint(yellow, clean(w.Slug)), p.instant(w.Since), clean(w.Detail))
	}
	if st := x.Store; st != nil && st.Node != "" {
		fmt.Fprintf(&b, "tasks in %s, schema %s of version %d, PostgreSQL %s\n", clean(st.At), clean(st.Schema), st.Version, clean(st.Server))
		b.WriteString(shareText(p, st))
	}
	if len(x.Kinds) > 0 {
		b.WriteString("\n")
	}
	if err := p.write(b.String()); err != nil {
		return err
	}
	number := func(n uint64, st style) cell {
		if n == 0 {
			return cell{"0", dim}
		}
		return cell{strconv.FormatUint(n, 10), st}
	}
	late := func(d api.Duration) cell {
		if d == 0 {
			return cell{}
		}
		return cell{text: lateness(time.Duration(d))}
	}
	var rows [][]cell
	for _, kind := range slices.Sorted(maps.Keys(x.Kinds)) {
		k := x.Kinds[kind]
		rows = append(rows, []cell{
			{kind, bold},
			number(uint64(max(k.Running, 0)), green), number(k.Started, plain), number(k.Succeeded, plain), number(k.Failed, yellow),
			number(k.Snoozed, plain), number(k.Dead, red), number(k.Cancelled, plain), number(k.Lost, red), number(k.Skipped+k.Expired, plain),
			late(k.Late50), late(k.Late99),
		})
	}
	return p.table([]string{"KIND", "RUNNING", "STARTED", "DONE", "FAILED", "LATER", "DEAD", "CANCELLED", "LOST", "SKIPPED", "LATE 50%", "LATE 99%"}, rows)
}

// shareText says how the daemons of a database divide its work: a line for each.
func shareText(p *printer, st *api.StoreState) string {
	var b strings.Builder
	looks := map[string]style{"live": green, "stands_down": yellow, "away": yellow, "gone": red}
	for i := range st.Nodes {
		n := &st.Nodes[i]
		self := ""
		if n.Self {
			self = ", this one"
		}
		fmt.Fprintf(&b, "node %s%s: %s, %s of 256, clock %s ahead of the server's, seen %s\n", clean(n.Node), self,
			p.paint(looks[n.State], clean(strings.ReplaceAll(n.State, "_", " "))), counted(int64(n.Shards), "shard", "shards"),
			lateness(time.Duration(n.ClockOffset)), p.instant(n.SeenAt))
	}
	if len(st.Nodes) == 0 {
		b.WriteString("this daemon has not joined those that share it yet\n")
	}
	return b.String()
}
