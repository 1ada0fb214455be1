package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

const doctorLong = `Look for what keeps the daemon from doing its work, or will: its directory, who else may open it, free space, zone data, the clock,
whether it answers, its version, its store, tasks that are late and runs that are dead. Each finding says what to do. Nothing is
changed. The directory is that of --data or DULY_DATA, else the usual one; with another socket or a URL it is looked into only if it is
said. With --ready it only asks the daemon whether it is ready, which takes no longer with a million tasks: for what asks every few
seconds, such as the health check of a container.

Exit status: 1 if something does not work.`

const doctorExample = `  duly doctor
  duly doctor -o jsonl
  duly doctor --ready`

func newDoctor(s *session) *cobra.Command {
	output, ready := "", false
	cmd := &cobra.Command{
		Use:                   "doctor [flags]",
		Short:                 "Look for what is wrong, and say what to do",
		Long:                  doctorLong,
		Example:               doctorExample,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return s.doctor(cmd.Context(), output, ready) },
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&ready, "ready", false, "ask only whether the daemon is ready")
	outputFlag(cmd, &output)
	return cmd
}

// knowsDirectory says whether it is known which directory is that of the daemon that is meant: said, or the one in which its socket is
// looked for. Whose socket or URL was given may have any.
func (s *session) knowsDirectory() bool {
	if s.data != "" || s.getenv("DULY_DATA") != "" {
		return s.onThisMachine()
	}
	return s.socket == "" && s.url == "" && s.getenv("DULY_URL") == "" && s.getenv("DULY_SOCKET") == ""
}

func (s *session) doctor(ctx context.Context, output string, ready bool) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	o := daemon.Patient{Client: c, Version: version(), Now: s.Now}
	if s.knowsDirectory() {
		if o.Data, err = home.Data(s.data, s.getenv); err != nil {
			return &usageError{what: err.Error()}
		}
	}
	p := s.printer()
	failed := false
	var rows [][]cell
	looks := map[daemon.Verdict]style{daemon.Fine: green, daemon.Warn: yellow, daemon.Fail: red}
	var checks []daemon.Check
	if ready {
		checks = []daemon.Check{o.Ready(ctx)}
	} else {
		checks = daemon.Examine(ctx, o)
		if daemon.Answers(checks) {
			checks = append(checks, s.tasksChecked(ctx, &o)...)
		}
	}
	for _, check := range checks {
		failed = failed || check.Verdict == daemon.Fail
		if output != "table" {
			if err := p.object(output, check); err != nil {
				return err
			}
			continue
		}
		if !p.terminal {
			rows = append(rows, cells(string(check.Verdict), check.Name, check.Text, check.Hint))
			continue
		}
		rows = append(rows, []cell{{string(check.Verdict), looks[check.Verdict]}, {check.Name, bold}, {check.Text, plain}})
		if check.Hint != "" {
			rows = append(rows, []cell{{}, {}, {"→ " + check.Hint, plain}})
		}
	}
	if output == "table" {
		if err := p.table([]string{"", "CHECK", "FOUND"}, rows); err != nil {
			return err
		}
	}
	if failed {
		return &failure{status: exitFailed}
	}
	return nil
}

// tasksChecked looks for what is wrong with tasks: one that should have started, and runs that have failed for good. Of those that a daemon
// no longer tells there is nothing to say.
func (s *session) tasksChecked(ctx context.Context, o *daemon.Patient) []daemon.Check {
	asked, stop := o.Within(ctx)
	defer stop()
	stats, err := o.Client.Stats(asked)
	if err != nil {
		return nil
	}
	late := daemon.Check{Name: "late tasks", Verdict: daemon.Fine, Text: "none"}
	switch t, err := s.lateTask(ctx, o); {
	case err != nil:
		late.Verdict, late.Text, late.Hint = daemon.Warn, err.Error(), "the daemon's log says more"
	case t != nil:
		late.Verdict, late.Text = daemon.Warn, "there are some, such as "+t.Name+", by more than a minute"
		if late.Hint = "it tells why: duly why " + wording.Quote(t.Name); t.Namespace != "" {
			late.Hint += " --namespace " + wording.Quote(t.Namespace)
		}
	}
	dead := daemon.Check{Name: "dead runs", Verdict: daemon.Fine, Text: "none"}
	if stats.Dead > 0 {
		dead.Verdict, dead.Text = daemon.Warn, counted(stats.Dead, "has", "have")+" failed for good"
		dead.Hint = "duly ls --state dead lists them; duly redrive has them tried again"
	}
	return []daemon.Check{late, dead}
}

// lateTask finds a task that should have started a minute ago, nil if there is none. There may be very many to look through, so that the
// daemon is given its time for each page of them.
func (s *session) lateTask(ctx context.Context, o *daemon.Patient) (*api.Task, error) {
	q := client.Query{AllNamespaces: true, State: "pending", DueUntil: s.Now().Add(-time.Minute)}
	for {
		asked, stop := o.Within(ctx)
		p, err := o.Client.ListPage(asked, q)
		if text, _, ok := o.Silence(ctx, asked, err); ok {
			err = errors.New(text)
		}
		stop()
		if err != nil {
			return nil, err
		}
		for i := range p.Tasks {
			if t := &p.Tasks[i]; t.PausedAt.IsZero() && !t.Ended {
				return t, nil
			}
		}
		if q.Cursor = p.Cursor; q.Cursor == "" {
			return nil, nil //nolint:nilnil // as said above
		}
	}
}
