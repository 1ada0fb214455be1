package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	defaultCount = 5
	maxCount     = 10_000
)

const nextLong = `Show when a schedule will run, and what daylight saving does to it. Nothing is started and nothing is asked of the net.

EXPR is the text form of a schedule:

  cron 0 9 * * mon-fri in Europe/Berlin      every 1h30m      at 2026-12-24T18:00[Europe/Berlin]      in 5m
  calendar Mon..Fri 09:00 Europe/Berlin      calendar *-*~01 08:30      as OnCalendar= of a systemd timer takes it
  (cron 0 9 * * mon-fri) or (cron 0 12 * * sat)      cron @daily except (cron * * 25 12 *)
  rrule FREQ=MONTHLY;BYDAY=-1FR DTSTART:20260130T090000 in Europe/Berlin

or a cron expression alone: 5 fields, 6 with seconds first, 7 with a year last, or a macro; or a recurrence of iCalendar alone, also
as the lines DTSTART, RRULE, RDATE, EXRULE and EXDATE. --kind says what else a text without its first word is. Put it in single
quotes, so that the shell leaves * and ; alone.

T is an instant such as 2026-12-24T17:00:00Z or 2026-12-24T18:00[Europe/Berlin], or as duly at takes it, also one that has
passed: 'tomorrow 17:00', '3 days ago'. Without an offset, or as a date alone, it is read in the zone that the answer is shown in. A schedule that counts from when it is accepted (in, every, pace) counts
from --from.

Exit status: 0; 2 where an expression or a flag is wrong, and then nothing is printed on standard output; 1 otherwise.
docs/cli-json.md describes -o json, -o jsonl and --stdin.`

const nextExample = `  duly next '0 9 * * mon-fri' --zone Europe/Berlin
  duly next '30 2 * * *' --zone Europe/Berlin --from 2026-03-28 --dst-gap skip
  duly next 'every 15m' '@daily' -n 3 -o jsonl`

// nextFlags are the flags of `duly next`.
type nextFlags struct {
	request

	output string
	stdin  bool
}

func newNext(now func() time.Time) *cobra.Command {
	f := nextFlags{request: request{n: defaultCount}, output: "table"}
	cmd := &cobra.Command{
		Use:                   "next [flags] 'EXPR'...",
		Short:                 "Show when a schedule will run",
		Long:                  nextLong,
		Example:               nextExample,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.stdin {
				return runStdin(cmd, args, now)
			}
			return f.run(cmd.OutOrStdout(), args, now)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.from, "from", "", "show occurrences after `T` (default: now)")
	flags.StringVar(&f.until, "until", "", "show none after `T`")
	flags.VarP((*count)(&f.n), "number", "n", "show `N` occurrences, 1 to 10000")
	flags.StringVar(&f.zone, "zone", "", "read and show times of day in the IANA zone `Z` (default: what EXPR says, else UTC)")
	choice(cmd, &f.kind, "kind", "", "what EXPR is where it does not say: cron, calendar, rrule, every, at, in, pace or pace-from-start", kinds)
	choice(cmd, &f.gap, "dst-gap", "", "a time that the clocks skip: after (the gap), skip or shift (by its length)", gapWords)
	choice(cmd, &f.fold, "dst-fold", "", "a time that the clocks repeat: first, second or both", foldWords)
	choice(cmd, &f.days, "days", "", "where cron restricts both day fields, days that match either or both: or, and", daysWords)
	flags.StringVar(&f.name, "name", "", "the task's `NAME`, from which H and jitter follow")
	choice(cmd, &f.output, "output", "o", "table, json (an indented object for each EXPR) or jsonl (one line each)", outputs)
	flags.BoolVar(&f.stdin, "stdin", false, "read requests from standard input, one JSON object a line, and answer each with a line")
	complete(cmd, "zone", zoneNames)
	return cmd
}

// run answers for each expression. It prints nothing until all of them are known to be good.
func (f *nextFlags) run(stdout io.Writer, args []string, now func() time.Time) error {
	if len(args) == 0 {
		return &usageError{what: "an expression is missing", hint: "duly next '0 9 * * mon-fri'"}
	}
	var answers []*answer
	var refused refusals
	for _, arg := range args {
		r := f.request
		r.expr = arg
		a, err := r.answer(now)
		var no *refusal
		switch {
		case errors.As(err, &no):
			refused = append(refused, no)
		case err != nil:
			return err
		default:
			answers = append(answers, a)
		}
	}
	if len(refused) > 0 {
		if refused[0].text == args[0] {
			if err := fellApart(args); err != nil {
				return err
			}
		}
		return refused.unique()
	}
	w := bufio.NewWriter(stdout)
	if err := f.print(w, answers); err != nil {
		return err
	}
	return w.Flush()
}

func (f *nextFlags) print(w *bufio.Writer, answers []*answer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if f.output == "json" {
		enc.SetIndent("", "  ")
	}
	for i, a := range answers {
		if f.output != "table" {
			if err := enc.Encode(a); err != nil {
				return err
			}
			continue
		}
		text := a.table(f.from != "")
		if i > 0 {
			text = "\n" + text
		}
		if _, err := w.WriteString(text); err != nil {
			return err
		}
	}
	return nil
}

// fellApart notices an expression that the shell took apart because nobody quoted it: many words, or a first one that only
// begins an expression.
func fellApart(args []string) error {
	if len(args) == 1 {
		return nil
	}
	for _, arg := range args {
		if strings.ContainsAny(arg, " \t") {
			return nil
		}
	}
	if !isForm(args[0]) && strings.Trim(args[0], "0123456789*?,-/") != "" && len(args) < 5 {
		return nil
	}
	e := &usageError{what: "the shell took the expression apart into " + strconv.Itoa(len(args)) + " words"}
	e.hint = "put it in single quotes, which keep * from becoming the names of files: duly next '0 9 * * mon-fri'"
	whole := strings.Join(args, " ")
	if _, err := read(whole, ""); err == nil {
		e.hint = "put it in single quotes: duly next '" + whole + "'"
	}
	return e
}

// count is the value of -n.
type count int

func (c *count) String() string { return strconv.Itoa(int(*c)) }

func (c *count) Type() string { return "N" }

func (c *count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxCount {
		return errors.New(countWant)
	}
	*c = count(n)
	return nil
}

const countWant = "want a whole number from 1 to 10000"

// The words that flags and requests can choose from.
var (
	kinds     = []string{"cron", "calendar", "rrule", "every", "at", "in", "pace", "pace-from-start", "union"}
	gapWords  = []string{"after", "skip", "shift"}
	foldWords = []string{"first", "second", "both"}
	daysWords = []string{"or", "and"}
	outputs   = []string{"table", "json", "jsonl"}
)

// oneOf is the value of a flag that takes one of a few words.
type oneOf struct {
	to    *string
	words []string
}

func (o oneOf) String() string { return *o.to }

func (o oneOf) Type() string { return "WORD" }

func (o oneOf) Set(text string) error {
	if want := wantWord(text, o.words); want != "" {
		return errors.New("want " + want)
	}
	*o.to = text
	return nil
}

var _ pflag.Value = oneOf{}

// choice adds a flag that takes one of the words.
func choice(cmd *cobra.Command, to *string, name, short, usage string, words []string) {
	cmd.Flags().VarP(oneOf{to, words}, name, short, usage)
	complete(cmd, name, func() []string { return words })
}

// complete tells the shell what a flag can be.
func complete(cmd *cobra.Command, name string, words func() []string) {
	err := cmd.RegisterFlagCompletionFunc(name, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return words(), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // the flag is not there, or has one already
	}
}
