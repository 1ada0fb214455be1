package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/schedule/when"
	"github.com/dulyhq/duly/target"
)

// The names by which the program is at(1), atq(1) and atrm(1). What these print is in at's words, which other people's scripts read.
const (
	asAt   = "at"
	asAtq  = "atq"
	asAtrm = "atrm"
)

// CalledAs returns as which of at, atq and atrm the program was called, by the name of the link that it was called by; "" for duly.
func CalledAs(arg0 string) string {
	name := filepath.Base(arg0)
	if runtime.GOOS == "windows" || !slices.Contains([]string{asAt, asAtq, asAtrm}, name) {
		return ""
	}
	return name
}

// atUsage is what at, atq and atrm print for -h.
const atUsage = `at [-q QUEUE] [-f FILE] [-v] TIMESPEC...   run the commands on standard input once, by /bin/sh
at [-q QUEUE] [-f FILE] [-v] -t [[CC]YY]MMDDhhmm[.SS]
at -l [NUMBER...], atq [-q QUEUE]          list what is to run
at -r NUMBER..., at -d, atrm NUMBER...     have it not run
at -c NUMBER...                            print it

This is duly, called by a link of that name. duly at --help says what TIMESPEC can be; duly logs at/NUMBER prints what was printed.
`

// atFlags are what is said to at, atq and atrm.
type atFlags struct {
	s *session

	verb    byte // l, r, c; 0 puts
	queue   string
	file    string
	stamp   string
	mail    bool
	verbose bool
	words   []string
}

// runAt is the run of at, atq or atrm.
func (s *session) runAt(ctx context.Context) error {
	f := &atFlags{s: s}
	switch s.As {
	case asAtq:
		f.verb = 'l'
	case asAtrm:
		f.verb = 'r'
	}
	switch done, err := f.parse(s.Args); {
	case err != nil || done:
		return err
	case f.verb == 'l':
		return f.list(ctx)
	case f.verb == 'r':
		return f.remove(ctx)
	case f.verb == 'c':
		return f.print(ctx)
	}
	return f.put(ctx)
}

// parse reads the flags as getopt(3) does: letters together, a value in the same word or the next, and flags between other words. It is
// done if they only ask for a text.
func (f *atFlags) parse(args []string) (done bool, err error) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			f.words = append(f.words, args[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' || isSpan(arg) {
			f.words = append(f.words, arg)
			continue
		}
		for j := 1; j < len(arg); j++ {
			to := map[byte]*string{'q': &f.queue, 'f': &f.file, 't': &f.stamp}[arg[j]]
			if to != nil {
				if *to = arg[j+1:]; *to == "" {
					if i++; i == len(args) {
						return false, f.wrong(fmt.Sprintf("-%c: want a value behind it", arg[j]))
					}
					*to = args[i]
				}
				break
			}
			if done, err = f.flag(arg[j]); done || err != nil {
				return done, err
			}
		}
	}
	return false, f.check()
}

// isSpan says whether a word is a length before now, such as the -1 of "noon -1 hour", and no flag.
func isSpan(arg string) bool { return arg[1] >= '0' && arg[1] <= '9' }

// flag is told of a flag without a value.
func (f *atFlags) flag(letter byte) (done bool, err error) {
	switch letter {
	case 'l', 'r', 'd', 'c':
		if letter == 'd' {
			letter = 'r'
		}
		if f.verb != 0 && f.verb != letter {
			return false, f.wrong(fmt.Sprintf("-%c beside another that says what to do", letter))
		}
		f.verb = letter
	case 'm':
		f.mail = true
	case 'M': // no mail is what there is
	case 'v':
		f.verbose = true
	case 'V':
		_, err := io.WriteString(f.s.Stdout, versionText())
		return true, err
	case 'h':
		_, err := io.WriteString(f.s.Stdout, atUsage)
		return true, err
	case 'b':
		return false, f.wrong("-b: duly does not wait for a low load")
	default:
		return false, f.wrong(fmt.Sprintf("there is no flag %q", "-"+string(rune(letter))))
	}
	return false, nil
}

func (f *atFlags) wrong(what string) error {
	return &usageError{what: what, hint: f.s.As + " -h shows what it takes"}
}

func (f *atFlags) check() error {
	if q := f.queue; q != "" && (len(q) != 1 || q[0]|0x20 < 'a' || q[0]|0x20 > 'z') {
		return f.wrong(fmt.Sprintf("-q %q: want a letter from a to z or A to Z", q))
	}
	switch {
	case f.verb == 0 && f.stamp == "" && len(f.words) == 0:
		return &usageError{what: "it is not said when", hint: "echo 'COMMANDS' | at now + 1 hour"}
	case f.verb == 0 && f.stamp != "" && len(f.words) > 0:
		return f.wrong(fmt.Sprintf("it is said in two ways when: -t %s, and %q", f.stamp, strings.Join(f.words, " ")))
	case f.verb != 0 && (f.file != "" || f.stamp != ""):
		return f.wrong("-f and -t are for what is to run")
	case (f.verb == 'r' || f.verb == 'c') && len(f.words) == 0:
		return &usageError{what: "want the numbers of what is meant", hint: "atq lists them"}
	}
	return nil
}

// instant is when it is to run.
func (f *atFlags) instant() (time.Time, error) {
	now, text := f.s.Now(), strings.Join(f.words, " ")
	if f.stamp != "" {
		var err error
		if text, err = readStamp(f.stamp, now.In(f.s.Local).Year()); err != nil {
			return time.Time{}, f.wrong(err.Error())
		}
	}
	t, err := when.Read(text, now, f.s.Local)
	if e, ok := errors.AsType[*when.Error](err); ok {
		return t, &misread{err: e, verb: asAt, now: now}
	}
	return t, err
}

var stamp = regexp.MustCompile(`^(\d\d)?(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d\d))?$`)

// readStamp reads what touch(1) and at(1) have behind -t, and returns it as a text that package when reads.
func readStamp(text string, year int) (string, error) {
	m := stamp.FindStringSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("-t %q: want [[CC]YY]MMDDhhmm[.SS], such as 202612241800", text)
	}
	if short := m[1]; short != "" && m[2] == "" { // of two digits, those up to 68 are of this century
		century := "20"
		if short >= "69" {
			century = "19"
		}
		m[1], m[2] = century, short
	}
	if m[1] == "" {
		m[1], m[2] = fmt.Sprintf("%04d", year)[:2], fmt.Sprintf("%04d", year)[2:]
	}
	if m[7] == "" {
		m[7] = "00"
	}
	return fmt.Sprintf("%s%s-%s-%s %s:%s:%s", m[1], m[2], m[3], m[4], m[5], m[6], m[7]), nil
}

// put is at TIMESPEC.
func (f *atFlags) put(ctx context.Context) error {
	at, err := f.instant()
	if err != nil {
		return err
	}
	c, err := f.s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Ready(ctx); err != nil { // before anybody types commands for nobody
		return err
	}
	if f.verbose {
		if err := f.say("%s", f.shown(at)); err != nil {
			return err
		}
	}
	if f.mail {
		if err := f.say("warning: no mail is sent; duly logs shows what was printed"); err != nil {
			return err
		}
	}
	if err := f.say("warning: commands will be executed using /bin/sh"); err != nil {
		return err
	}
	cmd, err := f.command()
	if err != nil {
		return err
	}
	spec := api.Spec{Command: cmd, At: at, Conflict: "fail", Tags: []string{atTag, queueTag + f.letter()}}
	if u, err := user.Current(); err == nil {
		spec.Tags = append(spec.Tags, userTag+u.Username)
	}
	entry, err := numbered(ctx, c, spec)
	if err != nil {
		return err
	}
	return f.say("job %s at %s", strings.TrimPrefix(entry.Name, atPrefix), f.shown(entry.DueAt))
}

// letter is the queue, which is shown and means nothing.
func (f *atFlags) letter() string {
	if f.queue == "" {
		return "a"
	}
	return f.queue
}

// shown is an instant as at prints it.
func (f *atFlags) shown(t time.Time) string { return t.In(f.s.Local).Format(time.ANSIC) }

// say prints a line where at does.
func (f *atFlags) say(format string, args ...any) error {
	_, err := fmt.Fprintf(f.s.Stderr, format+"\n", args...)
	return err
}

// numbered puts a task under the next number. Whatever at has put before is still to end, or has an entry of its end in the history, so
// that all of these together are no fewer than the last number: one that has run is not given again while the history knows of it. Those
// who put at the same time find a number taken, and take the one behind it.
func numbered(ctx context.Context, c *client.Client, spec api.Spec) (entry api.Entry, err error) {
	n := int64(1)
	for _, err := range c.List(ctx, client.Query{Prefix: atPrefix, Tag: atTag, Limit: lsPage}) {
		if err != nil {
			return entry, err
		}
		n++
	}
	seq, err := c.Seq(ctx) // after the list: what ends in between counts twice, and not never
	if err != nil {
		return entry, err
	}
	const most = 10_000
	for last := n + seq + most; n+seq < last; n++ {
		entry, err = c.Put(ctx, atPrefix+strconv.FormatInt(n+seq, 10), spec)
		if !isTaken(err) {
			break
		}
	}
	return entry, err
}

// command is /bin/sh in this directory, with this environment and umask, that reads the commands.
func (f *atFlags) command() (*target.Command, error) {
	text, err := f.commands()
	if err != nil {
		return nil, err
	}
	c := &target.Command{Args: []string{"/bin/sh"}, LaterCodes: []int{}}
	c.Stdin = fmt.Sprintf(umaskLine, umask()) + text
	if !strings.HasSuffix(text, "\n") {
		c.Stdin += "\n"
	}
	if c.Dir, err = os.Getwd(); err != nil {
		return nil, &usageError{what: "this directory is gone: " + err.Error()}
	}
	if c.Env, err = f.environment(); err != nil {
		return nil, err
	}
	if err := c.Check(); err != nil {
		return nil, &usageError{what: err.Error()}
	}
	return c, nil
}

// umaskLine is the first line of what the shell reads.
const umaskLine = "umask %04o\n"

// notKept are variables that mean this shell or this terminal, which at does not keep either.
var notKept = []string{"TERM", "_", "SHELLOPTS", "BASHOPTS", "BASH_VERSINFO", "EUID", "GROUPS", "PPID", "UID"}

// variable is a name that a shell can give to one.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environment is the whole environment, as at keeps it: other than for duly at, for whose users it would be a surprise, that is what
// POSIX promises of at. What are secrets by their names is not shown of it. To another machine only what duly at sends goes.
func (f *atFlags) environment() (map[string]string, error) {
	if !f.s.onThisMachine() {
		return captureEnv(f.s.Environ, nil)
	}
	env := map[string]string{}
	for _, e := range f.s.Environ {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case !variable.MatchString(name) || slices.Contains(notKept, name):
			continue
		case strings.HasPrefix(name, "DULY_") && !slices.Contains([]string{"DULY_DATA", "DULY_SOCKET", "DULY_URL"}, name):
			continue // of the task that runs at, or the token; by these a command that runs at again finds the daemon
		case !utf8.ValidString(value):
			if err := f.say("warning: the variable %s is not UTF-8, and is left out", name); err != nil {
				return nil, err
			}
			continue
		}
		env[name] = value
	}
	return env, nil
}

// commands reads what is to run: from the file, or from standard input, with a prompt where somebody types it.
func (f *atFlags) commands() (string, error) {
	if f.file != "" {
		file, err := os.Open(f.file)
		if err != nil {
			return "", &usageError{what: "-f: " + err.Error()}
		}
		defer func() { _ = file.Close() }() // only read
		return readAll(file, "-f "+f.file)
	}
	if _, typed := terminal(f.s.Stdin); !typed {
		return readAll(f.s.Stdin, "standard input")
	}
	var text strings.Builder
	r := bufio.NewReader(f.s.Stdin)
	for {
		if _, err := io.WriteString(f.s.Stderr, "at> "); err != nil {
			return "", err
		}
		line, err := r.ReadString('\n')
		text.WriteString(line)
		switch {
		case errors.Is(err, io.EOF):
			return text.String(), f.say("<EOT>")
		case err != nil:
			return "", &usageError{what: "standard input: " + err.Error()}
		case text.Len() > mostInput:
			return "", &usageError{what: "there is more than 1 MiB", hint: "let the commands read a file"}
		}
	}
}
