package cli

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/schedule/when"
	"github.com/dulyhq/duly/target"
)

// putting returns the commands that put a task.
func putting(s *session) []*cobra.Command {
	return []*cobra.Command{newIn(s), newAt(s), newEvery(s), newCron(s), newCalendar(s), newPut(s)}
}

// completeCommand completes files behind --, where another command stands, and words before it. The flags can't be asked where that is:
// cobra reads them with a -- of its own behind them.
func (s *session) completeCommand(before cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if typed := s.Args[:max(0, len(s.Args)-1)]; slices.Contains(typed, "--") {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return before(cmd, args, begun)
	}
}

// putCommand returns a command that reads when from the words before --.
func putCommand(s *session, cmd cobra.Command, example string, read func(*putFlags, []string, *api.Spec) error) (*cobra.Command, *putFlags) {
	f := &putFlags{s: s}
	cmd.Long += "\n" + putTail
	cmd.DisableFlagsInUseLine = true
	cmd.ValidArgsFunction = s.completeCommand(cobra.NoFileCompletions)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		words, err := f.split(cmd, args, example)
		if err != nil {
			return err
		}
		if err := f.checkRecurring(); err != nil {
			return err
		}
		spec, err := f.spec()
		if err != nil {
			return err
		}
		if err := read(f, words, &spec); err != nil {
			return err
		}
		return f.put(cmd.Context(), spec)
	}
	return &cmd, f
}

func newIn(s *session) *cobra.Command {
	cmd, f := putCommand(s, cobra.Command{
		Use:   "in DURATION [flags] -- CMD ARG...",
		Short: "Run something once, after a while",
		Long: `Run something once, after a while: 90s, 5m, 1h30m, "2 hours", PT10M, "3 days" of 24 hours each. It counts on while the machine
sleeps, and daylight saving does not touch it. 0s is at once.`,
		Example: `  duly in 5m -- notify-send tea
  duly in 2h --name report --retry 3 -- ./report --all
  duly in 30s --post https://example.com/hook --header 'Content-Type: application/json' --body '{"n":1}'
  duly in 0s --wait -- make check`,
	}, "duly in 5m -- notify-send tea", func(_ *putFlags, words []string, spec *api.Spec) error {
		d, err := readDelay(words)
		spec.In = &d
		return err
	})
	f.add(cmd, false)
	f.once(cmd)
	return cmd
}

// readDelay reads how long, which may be several words.
func readDelay(words []string) (target.Duration, error) {
	text := strings.Join(words, " ")
	sched, err := read(text, "in")
	if err != nil {
		no, ok := errors.AsType[*refusal](err)
		switch {
		case !ok || no.hint != "":
		case strings.Contains(words[0], ":"):
			no.hint = "for an instant: duly at " + wording.Quote(text)
		case len(words) > 1 && isLength(words[0]):
			no.hint = "what is to run comes behind --: duly in " + wording.Quote(words[0]) + " -- " + quoteArgs(words[1:])
		}
		return 0, err
	}
	d, ok := sched.PlainAfter()
	switch {
	case ok && d < 0:
		return 0, &usageError{what: strconv.Quote(text) + " has passed; want a duration from 0s on"}
	case !ok:
		return 0, &usageError{what: strconv.Quote(text) + " is more than a duration", hint: "duly put NAME --schedule 'in " + text + "' takes all that a schedule has"}
	}
	return target.Duration(d), nil
}

// isLength says whether a word is a length of time.
func isLength(word string) bool {
	_, err := schedule.ParseSpan(word)
	return err == nil
}

func newAt(s *session) *cobra.Command {
	cmd, f := putCommand(s, cobra.Command{
		Use:   "at WHEN [flags] -- CMD ARG...",
		Short: "Run something once, at an instant",
		Long: `Run something once, at an instant of this machine's zone, or that of --zone:

  17:00   1700   5pm   noon   teatime   the next one
  'tomorrow 17:00'   'friday 9:00'      a day, before the time or behind it
  'next monday 9:00'                    that of the next week
  'now + 3 days'   '4pm + 1 week'       by the calendar, at the same time of day; also +3h30min
  '24 dec 18:00'   '24.12. 18:00'   '2026-12-24 18:00'
  2026-12-24T18:00:00+01:00   '2026-12-24T18:00[Europe/Berlin]'

What can mean two instants, such as 03/04, is refused with both of them. So is a time that the clocks skip or repeat.`,
		Example: `  duly at 17:00 -- ./report
  duly at tomorrow 9:30 --name standup -- notify-send standup
  duly at '2026-12-24 18:00' --zone Europe/Berlin -- ./bells`,
	}, "duly at 17:00 -- ./report", func(f *putFlags, words []string, spec *api.Spec) (err error) {
		spec.At, err = f.readAt("at", words)
		return err
	})
	f.add(cmd, false)
	f.once(cmd)
	zoneFlag(cmd, &f.zone, "read WHEN in the IANA zone `Z` (default: this machine's)")
	return cmd
}

// zoneFlag adds --zone.
func zoneFlag(cmd *cobra.Command, to *string, usage string) {
	cmd.Flags().StringVar(to, "zone", "", usage)
	complete(cmd, "zone", zoneNames)
}

// readAt reads an instant in the zone of --zone, or of whoever types.
func (f *putFlags) readAt(verb string, words []string) (time.Time, error) {
	return f.s.readInstant(strings.Join(words, " "), f.zone, verb)
}

// readInstant reads an instant. Verb is the command up to it, in which another reading would be typed.
func (s *session) readInstant(text, zone, verb string) (time.Time, error) {
	loc := s.Local
	if zone != "" {
		var err error
		if loc, err = loadZone(zone); err != nil {
			return time.Time{}, refuseFlag("zone", zone, err)
		}
	}
	now := s.Now()
	t, err := when.Read(text, now, loc)
	if e, ok := errors.AsType[*when.Error](err); ok {
		return t, &misread{e, s.Name + " " + verb, zone, now}
	}
	return t, err
}

// A misread is a text that names no instant, or several, with the lines that would be right.
type misread struct {
	err        *when.Error
	verb, zone string // the line up to the instant, and what --zone says
	now        time.Time
}

func (m *misread) Error() string { return m.err.Error() }

func (m *misread) explain() string {
	var b strings.Builder
	b.WriteString("duly: " + clean(strconv.Quote(clip(m.err.Text))) + ": " + clean(m.err.Why) + "\n")
	if len(m.err.Readings) == 0 {
		return b.String()
	}
	b.WriteString("which is meant?\n")
	var rows [][]string
	for _, r := range m.err.Readings {
		line := m.verb + " " + wording.Quote(r.Text)
		if m.zone != "" {
			line += " --zone " + m.zone
		}
		rows = append(rows, []string{line, away(m.now.Truncate(time.Second), r.At)})
	}
	align(&b, rows)
	return b.String()
}

func newEvery(s *session) *cobra.Command {
	cmd, f := putCommand(s, cobra.Command{
		Use:   "every DURATION|DAYS [flags] -- CMD ARG...",
		Short: "Run something again and again",
		Long: `Run something again and again: every 30s, 15m, 1h30m, "2 hours", PT10M, counted from now. One that takes longer than that does not overlap
itself unless --overlap says so. Behind the duration may stand what else a schedule has: jitter 30s, until 2027-01-01, times 10.

Or at times of day, which are those of this machine's zone or that of --zone: every weekday at 9, every day at noon, every mon, wed and fri
at 9:00 and 17:00, every month on the 1st and the last at 6:30. It is put as the cron expression that it means.`,
		Example: `  duly every 1h -- ./sync
  duly every 15m jitter 30s --name poll --timeout 5m -- ./poll
  duly every weekday at 9 --name standup -- notify-send standup
  duly every 24h --post https://example.com/daily --retry 5`,
	}, "duly every 1h -- ./sync", func(f *putFlags, words []string, spec *api.Spec) error {
		text := strings.Join(words, " ")
		sched, err := read("every "+text, "")
		if err != nil {
			return asCommand(err)
		}
		if sched.Zone() != "" || f.zone != "" {
			if sched, err = f.inZone(sched, text, true); err != nil {
				return err
			}
		}
		spec.Schedule = sched.String()
		return nil
	})
	f.add(cmd, false)
	f.recurring(cmd)
	zoneFlag(cmd, &f.zone, "read times of day in the IANA zone `Z` (default: what is said, else this machine's)")
	return cmd
}

// asCommand makes the hint that an expression was meant one that a command was.
func asCommand(err error) error {
	if no, ok := errors.AsType[*refusal](err); ok {
		for _, kind := range [...]string{"cron", "calendar"} {
			if meant, ok := strings.CutPrefix(no.hint, didYouMean+kind+" "); ok {
				no.hint = didYouMean + "duly " + kind + " '" + strings.TrimSuffix(meant, "?") + "'?"
			}
		}
		if meant, ok := strings.CutPrefix(no.hint, didYouMean+"every "); ok {
			no.hint = didYouMean + "duly every " + meant
		}
	}
	return err
}

func newCron(s *session) *cobra.Command {
	return byCalendar(s, cobra.Command{
		Use:   "cron 'EXPR' [flags] -- CMD ARG...",
		Short: "Run something by the calendar",
		Long: `Run something by the calendar. EXPR is a cron expression: 5 fields, 6 with seconds first, 7 with a year last, or a macro such as @daily.
Its times are those of this machine's zone, unless --zone or EXPR say another. duly next 'EXPR' --zone Z shows when that is.`,
		Example: `  duly cron '0 3 * * *' -- ./backup
  duly cron '0 9 * * mon-fri' --zone Europe/Berlin --name standup -- notify-send standup
  duly cron @hourly --overlap skip --timeout 50m -- ./sync`,
	}, "duly cron '0 3 * * *' -- ./backup", "cron", func(words []string, err error) error {
		if len(words) > 1 {
			return &usageError{
				what: "the shell took the expression apart into " + strconv.Itoa(len(words)) + " words",
				hint: "put it in single quotes, which keep * from becoming the names of files: duly cron '0 3 * * *' -- ./backup",
			}
		}
		return asCommand(err)
	})
}

func newCalendar(s *session) *cobra.Command {
	return byCalendar(s, cobra.Command{
		Use:   "calendar 'EXPR' [flags] -- CMD ARG...",
		Short: "Run something by a calendar line of systemd",
		Long: `Run something by the calendar. EXPR is what a systemd timer has as OnCalendar=: weekdays, a date, a time and a zone, as systemd.time(7)
describes them. Its times are those of this machine's zone, unless --zone or EXPR say another. duly next --kind calendar 'EXPR' shows when that is.`,
		Example: `  duly calendar 'Mon..Fri 09:00' -- ./report
  duly calendar '*-*~01 08:30' --zone Europe/Berlin --name month-end -- ./close
  duly calendar weekly -- ./rotate`,
	}, "duly calendar 'Mon..Fri 09:00' -- ./report", "calendar", func(_ []string, err error) error { return asCommand(err) })
}

// byCalendar is a command whose words are an expression of a kind that goes by the calendar. Refuses says what is wrong with it.
func byCalendar(s *session, c cobra.Command, example, kind string, refuses func(words []string, err error) error) *cobra.Command {
	cmd, f := putCommand(s, c, example, func(f *putFlags, words []string, spec *api.Spec) error {
		text := strings.Join(words, " ")
		sched, err := read(text, kind)
		if err != nil {
			return refuses(words, err)
		}
		if sched, err = f.inZone(sched, text, true); err != nil {
			return err
		}
		spec.Schedule = sched.String()
		return nil
	})
	f.add(cmd, false)
	f.recurring(cmd)
	zoneFlag(cmd, &f.zone, "read the times in the IANA zone `Z` (default: what EXPR says, else this machine's)")
	return cmd
}

// inZone gives a schedule by the calendar the zone that the flag says, or if asked this machine's, unless the text names one.
func (f *putFlags) inZone(sched schedule.Schedule, text string, local bool) (schedule.Schedule, error) {
	zone := f.zone
	if zone == "" && local && sched.Zone() == "UTC" && zoneNamed(text) == "" && !saysUTC(text) {
		var err error
		if zone, err = f.s.localZone(); err != nil {
			return sched, err
		}
	}
	if zone == "" {
		return sched, nil
	}
	in := sched.In(zone)
	if err := mistake(in); err != nil {
		return sched, refuseFlag("zone", zone, err)
	}
	return in, nil
}

// saysUTC says whether the expression in a text names UTC, or its own zone in a prefix: a schedule in UTC does not tell.
func saysUTC(text string) bool {
	return strings.Contains(text, "TZ=") || slices.ContainsFunc(strings.Fields(text), func(w string) bool {
		return strings.EqualFold(w, "UTC") || w[0] == '@' && strings.Trim(w[1:], "0123456789") == ""
	})
}

func newPut(s *session) *cobra.Command {
	var text string
	f := &putFlags{s: s}
	cmd := &cobra.Command{
		Use:   "put NAME --schedule 'S' [flags] -- CMD ARG...",
		Short: "Put a task under a name, with any schedule",
		Long: `Put a task under a name; a task of that name is replaced, unless --on-conflict says otherwise. Putting what is there already changes
nothing, so that a script may do it each time.

S is the text form of a schedule, as duly next takes it. An expression of cron, calendar or rrule in it is read in UTC, unless --zone or S say another zone.
` + putTail,
		Example: `  duly put backup --schedule '0 3 * * *' --zone Europe/Berlin -- ./backup
  duly put poll --schedule 'every 15m jitter 30s until 2027-01-01' --tag net -- ./poll
  duly put hook --schedule 'at 2026-12-24T18:00[Europe/Berlin]' --post https://example.com/hook`,
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     s.completeCommand(s.completeNames(client.Query{}, 1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			const example = "duly put backup --schedule '0 3 * * *' -- ./backup"
			if dash := cmd.ArgsLenAtDash(); dash == 0 || len(args) == 0 {
				return &usageError{what: "the name is missing", hint: example}
			}
			words, err := f.split(cmd, args, example)
			switch {
			case err != nil:
				return err
			case len(words) > 1:
				return &usageError{what: "a task has one name, but here are " + strconv.Itoa(len(words)) + " words before --", hint: example}
			case text == "":
				return &usageError{what: "--schedule is missing", hint: example}
			}
			f.name = words[0]
			return f.runPut(cmd.Context(), text)
		},
	}
	cmd.Flags().StringVar(&text, "schedule", "", "run it by the schedule `S`, such as 'every 1h', '0 3 * * *', 'in 5m'")
	f.add(cmd, true)
	f.once(cmd)
	f.recurring(cmd)
	zoneFlag(cmd, &f.zone, "read the times of a cron, calendar or rrule expression in the IANA zone `Z` (default: what S says, else UTC)")
	return cmd
}

func (f *putFlags) runPut(ctx context.Context, text string) error {
	if err := f.checkRecurring(); err != nil {
		return err
	}
	sched, said, err := readNow(text, "", f.zone, f.s.Now())
	if err != nil {
		return err
	}
	if !said {
		if sched, err = f.inZone(sched, text, false); err != nil {
			return err
		}
	}
	spec, err := f.spec()
	if err != nil {
		return err
	}
	spec.Schedule = sched.String()
	return f.put(ctx, spec)
}

// inWords is a schedule in English, for those that recur.
func inWords(spec *api.Spec) string {
	sched, err := schedule.Parse(spec.Schedule)
	if err != nil || !sched.Recurring() {
		return ""
	}
	return strings.Replace(sched.Words(), ", counted from when it is accepted", "", 1) // which is now
}
