package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/target"
)

// putFlags are what every command that puts a task takes: what is to be done, and how.
type putFlags struct {
	s *session

	name    string
	argv    []string // behind --
	shell   string
	env     []string
	dir     string
	stdin   bool
	later   []int
	post    string
	method  string
	headers []string
	body    string

	killAfter target.Duration

	timeout     target.Duration
	retry       int
	backoff     target.Duration
	startWithin target.Duration
	window      target.Duration
	grace       target.Duration
	overlap     string
	catchUp     string
	onConflict  string
	atMostOnce  bool
	stopOnError bool
	key         string
	keyLimit    int
	tags        []string
	priority    int
	zone        string

	wait   bool
	output string
}

const putTail = `
What comes behind -- is run as it is, without a shell, in this directory and with PATH, HOME, the language and the display of this
environment; --env adds variables to them. --shell gives a line to the shell, --post makes an HTTP request instead.

A task that fails is not run again unless --retry asks for it; exit status 75 means "try again later".`

// The ways in which a put meets a task of its name.
var conflicts = []string{"replace", "keep", "fail", "keep-time", "earliest", "debounce"}

// add gives the command its flags.
func (f *putFlags) add(cmd *cobra.Command, named bool) {
	flags := cmd.Flags()
	flags.SortFlags = false
	if !named {
		flags.StringVar(&f.name, "name", "", "the task's `NAME`; a task of that name is replaced (default: one is made up)")
	}
	flags.StringVar(&f.shell, "shell", "", "run `LINE` by the shell, in place of -- CMD ARG...")
	flags.StringArrayVar(&f.env, "env", nil, "give it the variable `NAME[=VALUE]`; without = as it is here; repeat for more")
	flags.StringVar(&f.dir, "dir", "", "run it in `DIR` (default: this one)")
	flags.BoolVar(&f.stdin, "stdin", false, "what is read here from standard input is its standard input")
	f.duration(flags, &f.killAfter, "kill-after", "after its timeout, kill it `D` after it was asked to end (default: 5s)")
	flags.IntSliceVar(&f.later, "later-code", nil, "exit `CODE` that means \"try again later\"; repeat for more (default: 75)")
	flags.StringVar(&f.post, "post", "", "make a POST request to `URL`, in place of -- CMD ARG...")
	flags.StringVar(&f.method, "method", "", "of --post: another `METHOD`, such as PUT")
	flags.StringArrayVar(&f.headers, "header", nil, "of --post: send the header `'NAME: VALUE'`; repeat for more")
	flags.StringVar(&f.body, "body", "", "of --post: send `TEXT`, or what is in a file: @FILE")
	f.duration(flags, &f.timeout, "timeout", "end an attempt after `D`")
	flags.IntVar(&f.retry, "retry", 0, "try again up to `N` times after a failure")
	f.duration(flags, &f.backoff, "backoff", "wait `D` before the first retry, and twice as long before each next")
	choice(cmd, &f.onConflict, "on-conflict", "", "if the name has a task: "+strings.Join(conflicts, ", "), conflicts)
	flags.BoolVar(&f.atMostOnce, "at-most-once", false, "never start it a second time, not even when it is not known whether the first came to an end")
	flags.StringVar(&f.key, "key", "", "tasks of the same `KEY` run one after the other")
	flags.IntVar(&f.keyLimit, "key-limit", 0, "of --key: up to `N` of them at a time")
	flags.StringArrayVar(&f.tags, "tag", nil, "a `TAG` to select it by; repeat for more")
	flags.IntVar(&f.priority, "priority", 0, "`N` above 0 starts before others that are due, below 0 after them")
	flags.BoolVar(&f.wait, "wait", false, "wait until it has run, show its output and lateness, and exit with its status")
	outputFlag(cmd, &f.output)
	cmd.SetFlagErrorFunc(dashError)
}

// once adds the flags of tasks that run once.
func (f *putFlags) once(cmd *cobra.Command) {
	f.duration(cmd.Flags(), &f.startWithin, "start-within", "if it can't start within `D` after it is due, leave it (default: run it however late)")
}

// recurring adds the flags of tasks that run again and again.
func (f *putFlags) recurring(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.overlap, "overlap", "", "when one is still running: `HOW` is skip, buffer, buffer-many:N, cancel or allow (default: skip)")
	flags.StringVar(&f.catchUp, "catch-up", "", "of those missed while the daemon was down: `WHICH` is latest, earliest, none or all:N (default: latest)")
	f.duration(flags, &f.window, "window", "leave those that were missed by more than `D` (default: one period, from 1m to 24h)")
	f.duration(flags, &f.grace, "grace", "of --catch-up none: one that is late by up to `D` is not missed (default: one period, at most 1m)")
	flags.BoolVar(&f.stopOnError, "stop-on-error", false, "no further ones after a failure that is not retried")
}

func (f *putFlags) duration(flags *pflag.FlagSet, to *target.Duration, name, usage string) {
	flags.Var((*durationValue)(to), name, usage)
}

// durationValue is the value of a flag that takes a duration.
type durationValue target.Duration

func (d *durationValue) String() string {
	if *d == 0 {
		return ""
	}
	return target.Duration(*d).String()
}

func (d *durationValue) Type() string { return "D" }

func (d *durationValue) Set(text string) error {
	v, err := target.ParseDuration(text)
	if err != nil || v < 0 {
		return errors.New(`want a duration as "1m30s" or "PT1M30S"`)
	}
	*d = durationValue(v)
	return nil
}

// dashError is flagError for commands that take another command: a flag that is not ours is probably the other's.
func dashError(cmd *cobra.Command, err error) error {
	_, unknown := errors.AsType[*pflag.NotExistError](err)
	err = flagError(cmd, err)
	if e, ok := errors.AsType[*usageError](err); ok && unknown && !strings.HasPrefix(e.hint, didYouMean) {
		e.hint = "what is to run comes behind --, and so do its own flags: " + cmd.CommandPath() + " ... -- CMD ARG..."
	}
	return err
}

// split takes the words before -- from those behind it, which are kept as what is to run.
func (f *putFlags) split(cmd *cobra.Command, args []string, example string) (words []string, err error) {
	dash := cmd.ArgsLenAtDash()
	words = args
	if dash >= 0 {
		words, f.argv = args[:dash], args[dash:]
	}
	ways := 0
	for _, said := range []bool{dash >= 0, f.shell != "", f.post != ""} {
		if said {
			ways++
		}
	}
	switch {
	case len(words) == 0:
		return nil, &usageError{what: "when is missing", hint: example}
	case ways > 1:
		return nil, &usageError{what: "it is said in two ways what is to run", hint: "give one of -- CMD ARG..., --shell LINE and --post URL"}
	case dash >= 0 && (len(f.argv) == 0 || f.argv[0] == ""):
		return nil, &usageError{what: "no command comes behind --", hint: example}
	case ways == 0 && len(words) > 1:
		return nil, &usageError{
			what: "it is not said what is to run",
			hint: "it comes behind --: " + cmd.CommandPath() + " " + wording.Quote(words[0]) + " -- " + quoteArgs(words[1:]),
		}
	case ways == 0:
		return nil, &usageError{what: "it is not said what is to run", hint: "it comes behind --: " + cmd.CommandPath() + " " + quoteArgs(words) + " -- CMD ARG..., or --shell LINE, or --post URL"}
	}
	return words, nil
}

// spec returns the wire object of the put, but for when it is due.
func (f *putFlags) spec() (api.Spec, error) {
	spec := api.Spec{
		Conflict: f.onConflict,
		Policy: api.Policy{
			Backoff: f.backoff, Overlap: f.overlap, CatchUp: f.catchUp, StartWithin: f.startWithin, Window: f.window, Grace: f.grace, Timeout: f.timeout,
			KeyLimit: f.keyLimit, AtMostOnce: f.atMostOnce, StopOnError: f.stopOnError,
		},
		Key: f.key, Tags: f.tags, Priority: f.priority,
	}
	switch {
	case f.retry < 0:
		return spec, &usageError{what: fmt.Sprintf("--retry %d: want 0 or more", f.retry)}
	case f.retry > 0:
		spec.Attempts = f.retry + 1
	}
	var err error
	if f.post != "" {
		spec.HTTP, err = f.callback()
	} else {
		spec.Command, err = f.command()
	}
	return spec, err
}

func (f *putFlags) callback() (*target.Callback, error) {
	for name, said := range map[string]bool{"env": f.env != nil, "dir": f.dir != "", "stdin": f.stdin, "kill-after": f.killAfter != 0, "later-code": f.later != nil} {
		if said {
			return nil, &usageError{what: "--" + name + " beside --post: it is for commands"}
		}
	}
	c := &target.Callback{URL: f.post, Method: strings.ToUpper(f.method), Body: f.body}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, &usageError{what: fmt.Sprintf("--header %q: want 'NAME: VALUE'", h)}
		}
		if c.Header == nil {
			c.Header = map[string]string{}
		}
		c.Header[name] = strings.TrimSpace(value)
	}
	if path, ok := strings.CutPrefix(f.body, "@"); ok {
		file, err := os.Open(path) //nolint:gosec // the user says which file
		if err != nil {
			return nil, &usageError{what: "--body: " + err.Error()}
		}
		defer func() { _ = file.Close() }() // only read
		if c.Body, err = readAll(file, "--body"); err != nil {
			return nil, err
		}
	}
	if err := c.Check(); err != nil {
		return nil, &usageError{what: "--post: " + err.Error()}
	}
	return c, nil
}

func (f *putFlags) command() (*target.Command, error) {
	for name, said := range map[string]bool{"method": f.method != "", "header": f.headers != nil, "body": f.body != ""} {
		if said {
			return nil, &usageError{what: "--" + name + " without --post", hint: "--post URL makes a request"}
		}
	}
	c := &target.Command{Args: f.argv, Shell: f.shell, Grace: f.killAfter, LaterCodes: f.later}
	var err error
	if c.Env, err = captureEnv(f.s.Environ, f.env); err != nil {
		return nil, err
	}
	if c.Dir, err = f.directory(); err != nil {
		return nil, err
	}
	if f.stdin {
		if c.Stdin, err = readAll(f.s.Stdin, "--stdin"); err != nil {
			return nil, err
		}
	}
	if err := c.Check(); err != nil {
		return nil, &usageError{what: err.Error()}
	}
	if c.Shell == "" && f.s.onThisMachine() {
		return c, findProgram(c)
	}
	return c, nil
}

// directory is where the command is to run. That it is there is looked at only if the daemon sees the same files.
func (f *putFlags) directory() (string, error) {
	if f.dir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return "", &usageError{what: "this directory is gone: " + err.Error(), hint: "--dir says another"}
		}
		return dir, nil
	}
	if !f.s.onThisMachine() {
		return f.dir, nil
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return "", &usageError{what: "--dir: " + err.Error()}
	}
	if info, err := os.Stat(dir); err != nil {
		return "", &usageError{what: "--dir: " + err.Error()}
	} else if !info.IsDir() {
		return "", &usageError{what: fmt.Sprintf("--dir %q: want a directory", f.dir)}
	}
	return dir, nil
}

// mostInput is how much of a file or of standard input goes into a task, in bytes: the API takes a little more than this.
const mostInput = 1 << 20

func readAll(r io.Reader, name string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, mostInput+1))
	switch {
	case err != nil:
		return "", &usageError{what: name + ": " + err.Error()}
	case len(b) > mostInput:
		return "", &usageError{what: name + ": there is more than 1 MiB", hint: "let the command read a file"}
	}
	return string(b), nil
}

// put sends the spec and says what came of it. A task without a name gets one that is made up.
func (f *putFlags) put(ctx context.Context, spec api.Spec) error {
	if f.wait {
		f.s.tellLoss()
	}
	c, err := f.s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	var entry api.Entry
	w := &waiting{s: f.s, c: c, name: f.name}
	if f.wait {
		w.before(ctx)
	}
	if f.name != "" {
		entry, err = c.Put(ctx, f.name, spec)
	} else {
		for range 10 { // a name that is taken is as rare as it is random
			spec.Name = madeUp(&spec)
			if entry, err = c.Create(ctx, spec); !isTaken(err) {
				break
			}
		}
	}
	if err != nil {
		return f.refused(err)
	}
	p := f.s.printer()
	if !f.wait || f.output != "table" {
		if err := f.report(p, &entry, &spec); err != nil {
			return err
		}
	}
	if f.wait {
		return w.awaitPut(ctx, &entry)
	}
	return nil
}

// refused tells, of an address that the daemon does not call, how it would.
func (f *putFlags) refused(err error) error {
	if e, ok := errors.AsType[*api.Error](err); ok && e.Problem.Field == "http.url" && strings.Contains(e.Problem.Want, "allowed") {
		return &usageError{
			what: "--post " + e.Problem.Value + ": want " + e.Problem.Want,
			hint: f.s.Name + " serve --allow-private lets callbacks go to loopback and private networks; --allow-addresses CIDR to others",
		}
	}
	return err
}

// report prints what was put: its name, when it is due, and how to cancel it.
func (f *putFlags) report(p *printer, e *api.Entry, spec *api.Spec) error {
	if f.output != "table" {
		return p.object(f.output, e)
	}
	undo := f.s.again("cancel", e.Name)
	if !p.terminal {
		return p.table(nil, [][]cell{cells(e.Name, p.instant(e.DueAt), e.Outcome, undo)})
	}
	name := p.paint(bold, clean(e.Name))
	switch e.Outcome {
	case "already_ran":
		return p.write(name + " has run already: nothing was put\n")
	case "kept":
		return p.write(name + " is kept as it was:" + p.due(e) + "\n")
	}
	line := name + " runs"
	if w := inWords(spec); w != "" {
		line += " " + w + "; first"
	}
	line += p.due(e)
	switch e.Outcome {
	case "replaced":
		line += ", in place of what was there"
	case "unchanged":
		line += ", as before"
	}
	return p.write(line + p.paint(dim, "  (to cancel it: "+clean(undo)+")") + "\n")
}

// due is when a task is due, as the end of a sentence.
func (p *printer) due(e *api.Entry) string {
	if e.DueAt.IsZero() {
		return ""
	}
	return " " + p.distance(e.DueAt) + ", at " + p.instant(e.DueAt)
}

// again is the line that names a task to this daemon once more.
func (s *session) again(verb, name string) string {
	words := []string{verb}
	for _, f := range []struct{ name, value string }{{"data", s.data}, {"socket", s.socket}, {"url", s.url}, {"token-file", s.tokenFile}, {"namespace", s.namespace}} {
		if f.value != "" {
			words = append(words, "--"+f.name, f.value)
		}
	}
	if strings.HasPrefix(name, "-") {
		words = append(words, "--")
	}
	return s.Name + " " + quoteArgs(append(words, name))
}

// checkWord refuses a word of a few, where some of them take a number behind a colon.
func checkWord(flag, value string, words []string, numbered string) error {
	if value == "" || slices.Contains(words, value) {
		return nil
	}
	if n, ok := strings.CutPrefix(value, numbered+":"); ok {
		if i, err := strconv.Atoi(n); err == nil && i > 0 {
			return nil
		}
	}
	return &usageError{what: fmt.Sprintf("--%s %q: want %s", flag, value, wantWord(value, append(slices.Clone(words), numbered+":N")))}
}

// checkRecurring refuses words that the daemon would refuse, in the words of the flags.
func (f *putFlags) checkRecurring() error {
	if err := checkWord("overlap", f.overlap, []string{"skip", "buffer", "cancel", "allow"}, "buffer-many"); err != nil {
		return err
	}
	return checkWord("catch-up", f.catchUp, []string{"latest", "earliest", "none"}, "all")
}
