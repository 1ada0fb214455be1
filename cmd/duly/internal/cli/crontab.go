package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/cmd/duly/internal/crontab"
)

const crontabLong = `Read a crontab as it is, for the daemon in place of cron. FILE may be -, for standard input:
crontab -l | duly crontab import -

  lint     say what is wrong in it, and where duly does otherwise than cron, a finding a line: FILE:LINE: severity: what. Nothing is put
           and no daemon is asked
  import   make a task of each line, and say what became of it: created, updated, unchanged, or ignored and why

As with cron CRON_TZ, SHELL, HOME and all settings hold from their line on, % begins standard input, and RANDOM_DELAY delays; commands run
in HOME, may overlap, and are neither caught up nor started again. --system reads a user before each command; lines of other users than the daemon's run if
the daemon is root and setpriv(1) is there, else they are ignored. @reboot, mail, and lines that never run are ignored. A SHELL or HOME
that is not there is told.

Importing again changes nothing but what was changed in FILE. A task's name is made of that of the crontab, the command's first word and a
hash of the command, so that a line keeps its task when it is moved, or gets another schedule. A task whose line is gone runs on, which
is said, until --prune cancels it. If anything in FILE is wrong, nothing is put. What is cut off is done by importing again. Files of the
same name in two directories are told apart by --name.

Exit status: 1 if lint finds an error, 0 with nothing but warnings; of import 1 if it was cut off, 2 if FILE is wrong, 4 if a name belongs to
another task, or the crontab's to another file.`

const crontabExample = `  duly crontab lint /var/spool/cron/crontabs/ann
  duly crontab import - < crontab.saved
  duly crontab import /etc/cron.d/backup --system
  duly crontab import /etc/crontab --system --prune`

// crontabWords are what duly crontab can be told to do.
var crontabWords = []string{"lint", "import"}

// A crontabbing is one run of duly crontab.
type crontabbing struct {
	s *session

	file    string
	system  bool
	zone    string
	user    string
	name    string
	overlap string
	catchUp string
	once    bool
	prune   bool
	output  string

	looked  map[string]bool   // shells and directories that were looked at
	missing []crontab.Finding // of those that are not there
}

// ofImport are the flags that say nothing to lint.
var ofImport = []string{"name", "overlap", "catch-up", "at-most-once", "prune"}

func newCrontab(s *session) *cobra.Command {
	f := &crontabbing{s: s}
	cmd := &cobra.Command{
		Use:                   "crontab lint|import FILE [flags]",
		Short:                 "Check a crontab, or make tasks of it",
		Long:                  crontabLong,
		Example:               crontabExample,
		DisableFlagsInUseLine: true,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			switch len(args) {
			case 0:
				return crontabWords, cobra.ShellCompDirectiveNoFileComp
			case 1:
				return nil, cobra.ShellCompDirectiveDefault
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{what: cmd.CommandPath() + " takes a word, lint or import, and a file", hint: cmd.CommandPath() + " --help tells what they do"}
			}
			if want := wantWord(args[0], crontabWords); want != "" {
				return &usageError{what: fmt.Sprintf("%s %q: want %s", cmd.CommandPath(), args[0], want)}
			}
			if len(args) != 2 {
				return &usageError{what: fmt.Sprintf("%s %s takes one file", cmd.CommandPath(), args[0]), hint: "crontab -l | duly crontab " + args[0] + " - reads standard input"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.file = args[1]
			if args[0] == "import" {
				return f.runImport(cmd.Context())
			}
			for _, name := range ofImport {
				if cmd.Flags().Changed(name) {
					return &usageError{what: "--" + name + " is of duly crontab import"}
				}
			}
			return f.lint()
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&f.system, "system", false, "the lines have a user before the command, as those of /etc/crontab and in /etc/cron.d")
	zoneFlag(cmd, &f.zone, "read times before any CRON_TZ in the IANA zone `Z` (default: this machine's)")
	flags.StringVar(&f.user, "user", "", "the `USER` that the daemon runs as (default: the owner of its socket, for lint you)")
	flags.StringVar(&f.name, "name", "", "of import: the crontab's `NAME`, with which the tasks' names begin (default: that of FILE; crontab for -)")
	flags.StringVar(&f.overlap, "overlap", "allow", "of import: when one is still running: `HOW` is skip, buffer, buffer-many:N, cancel or allow")
	flags.StringVar(&f.catchUp, "catch-up", "none", "of import: of those missed while the daemon was down: `WHICH` is latest, earliest, none or all:N")
	flags.BoolVar(&f.once, "at-most-once", true, "of import: never start a line twice for one time, not even where the daemon has died while it ran")
	flags.BoolVar(&f.prune, "prune", false, "of import: cancel the tasks of an earlier import whose lines are gone")
	outputFlag(cmd, &f.output)
	return cmd
}

// read reads the crontab.
func (f *crontabbing) read() (*crontab.Table, error) {
	zone := f.zone
	if zone == "" {
		var err error
		if zone, err = f.s.localZone(); err != nil {
			return nil, err
		}
	} else if _, err := loadZone(zone); err != nil {
		return nil, refuseFlag("zone", zone, err)
	}
	in := f.s.Stdin
	if f.file != "-" {
		file, err := os.Open(f.file)
		if err != nil {
			return nil, &usageError{what: err.Error()}
		}
		defer func() { _ = file.Close() }() // only read
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, crontab.MaxFile+1))
	switch {
	case errors.Is(err, syscall.EISDIR):
		return nil, &usageError{what: err.Error(), hint: "one file is one crontab: give those in it, one by one"}
	case err != nil:
		return nil, &usageError{what: err.Error()}
	}
	t := crontab.Read(string(text), crontab.Options{System: f.system, Zone: zone, Now: f.s.Now()})
	if path := f.path(); f.system && filepath.Base(filepath.Dir(path)) == "cron.d" {
		if why := crontab.PassedOver(filepath.Base(path)); why != "" {
			t.Add(crontab.Finding{Line: 1, Column: 1, Severity: crontab.Warning, Text: why})
		}
	}
	return t, nil
}

// path is where the crontab is, or - of standard input.
func (f *crontabbing) path() string {
	if f.file == "-" {
		return "-"
	}
	path, err := filepath.Abs(f.file)
	if err != nil {
		return filepath.Clean(f.file) // this directory is gone
	}
	return path
}

// CrontabFinding is what duly crontab lint prints; docs/cli-json.md promises it.
type CrontabFinding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"`
	Ignored  bool   `json:"ignored,omitempty"`
	Text     string `json:"text"`
}

// lint says what there is to say of a crontab.
func (f *crontabbing) lint() error {
	t, err := f.read()
	if err != nil {
		return err
	}
	host, err := f.host("")
	if err != nil {
		return err
	}
	for i := range t.Entries {
		if as, ok := f.accountOf(t, &t.Entries[i], host); ok {
			f.look(t, &t.Entries[i], as)
		}
	}
	p := f.s.printer()
	for i := range t.Findings {
		x := &t.Findings[i]
		if f.output == "table" {
			err = f.say(p, x)
		} else {
			err = p.object(f.output, CrontabFinding{f.file, x.Line, x.Column, string(x.Severity), x.Ignored, x.Text})
		}
		if err != nil {
			return err
		}
	}
	if p.terminal && f.output == "table" && len(t.Findings) == 0 {
		if err := p.linef("%s: %s, and nothing to say of them", f.file, counted(int64(len(t.Entries)), "line to run", "lines to run")); err != nil {
			return err
		}
	}
	if t.Bad() {
		return &failure{status: exitFailed}
	}
	return nil
}

// say prints a finding as compilers do, so that editors find the line.
func (f *crontabbing) say(p *printer, x *crontab.Finding) error {
	st := yellow
	if x.Severity == crontab.Error {
		st = red
	}
	ignored := ""
	if x.Ignored {
		ignored = "ignored: "
	}
	return p.linef("%s:%d: "+p.paint(st, string(x.Severity))+": %s", f.file, x.Line, ignored+x.Text)
}

// An account is as whom commands run.
type account struct {
	name, home string
	by         []string // what runs a program as this user; nil where the daemon is the same
}

// defaultPath is where cron looks for programs: that of cronie begins with that of Vixie's.
const defaultPath = "/usr/bin:/bin:/usr/sbin:/sbin"

// host returns the account that the daemon runs as: that of the flag, of the owner of its socket, or yours.
func (f *crontabbing) host(socket string) (account, error) {
	if f.user != "" {
		u, err := user.Lookup(f.user)
		if err != nil {
			return account{}, &usageError{what: fmt.Sprintf("--user %q: want a user of this machine: %v", f.user, err)}
		}
		return account{name: u.Username, home: u.HomeDir}, nil
	}
	if u, ok := ownerOf(socket); ok {
		return account{name: u.Username, home: u.HomeDir}, nil
	}
	u, err := user.Current()
	if err != nil {
		return account{}, &usageError{what: "it is not known who you are: " + err.Error(), hint: "--user says as whom the daemon runs"}
	}
	return account{name: u.Username, home: u.HomeDir}, nil
}

// accountOf returns the account that a line runs as. If it can't, it says so of the line.
func (f *crontabbing) accountOf(t *crontab.Table, e *crontab.Entry, host account) (account, bool) {
	if e.User == "" || e.User == host.name {
		return host, true
	}
	u, err := user.Lookup(e.User)
	switch {
	case err != nil:
		t.Ignore(e, fmt.Sprintf("there is no user %q here: want one that id(1) knows", e.User))
		return account{}, false
	case host.name != "root":
		whose := e.User + "'s"
		if e.User != "root" {
			whose += ", or of root's"
		}
		t.Ignore(e, fmt.Sprintf("it is for the user %s, and the daemon is %s's: import it into a daemon of %s", e.User, host.name, whose))
		return account{}, false
	}
	by, ok := setpriv()
	if !ok {
		t.Ignore(e, fmt.Sprintf("it is for the user %s, and root's daemon needs setpriv(1) of util-linux to run it: import it into a daemon of %s's", e.User, e.User))
		return account{}, false
	}
	return account{e.User, u.HomeDir, append(by, "--reuid="+u.Uid, "--regid="+u.Gid, "--init-groups", "--")}, true
}

// look warns of a shell and of a directory that a line runs with and that are not there, once for all lines that have them. What may not
// be seen from here is not said to be missing.
func (f *crontabbing) look(t *crontab.Table, e *crontab.Entry, as account) {
	home := e.Home
	if home == "" {
		home = as.home
	}
	for _, x := range []struct {
		name, path, want string
		is               func(fs.FileInfo) bool
	}{
		{"SHELL", e.Shell, "program", func(i fs.FileInfo) bool { return i.Mode().IsRegular() && i.Mode()&0o111 != 0 }},
		{"HOME", home, "directory", fs.FileInfo.IsDir},
	} {
		line, column := e.Place(x.name)
		key := x.name + "=" + x.path
		if line != e.Line {
			key += "\x00" + strconv.Itoa(line) // of a setting each is told
		}
		if !filepath.IsAbs(x.path) || f.looked[key] {
			continue
		}
		if f.looked == nil {
			f.looked = map[string]bool{}
		}
		f.looked[key] = true
		info, err := os.Stat(x.path)
		if err == nil && !x.is(info) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			text := fmt.Sprintf("%s %q: there is no such %s here: commands fail that run with it", x.name, x.path, x.want)
			f.missing = append(f.missing, crontab.Finding{Line: line, Column: column, Severity: crontab.Warning, Text: text})
			t.Add(f.missing[len(f.missing)-1])
		}
	}
}

// setpriv finds the program that runs another as another user.
func setpriv() (by []string, ok bool) {
	for dir := range strings.SplitSeq(defaultPath, ":") {
		path := filepath.Join(dir, "setpriv")
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return []string{path}, true
		}
	}
	return nil, false
}

// badly is how an import ends of a crontab that is wrong.
func (f *crontabbing) badly(t *crontab.Table) error {
	say, n := f.s.stderr(), int64(0)
	for i := range t.Findings {
		if x := &t.Findings[i]; x.Severity == crontab.Error {
			n++
			if err := f.say(say, x); err != nil {
				return err
			}
		}
	}
	return &failure{exitUsage, counted(n, "thing is", "things are") + " wrong in the crontab: nothing was put", ""}
}
