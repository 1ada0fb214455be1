// Package crontab reads crontabs as cron reads them, and says what of them is not here as it is there.
//
// It is for text alone: it looks at no file, no user and no daemon. Its central function is [Read], which makes a [Table] of a crontab: the
// lines that are to run, and what there is to say about it, each with its place. [Names] gives the lines names that they keep.
//
// What is read is what crontab(5) of Vixie's cron describes, with what cronie adds to it: a setting holds from its line on, quotes around
// values are taken off and nothing in them is expanded, an unescaped % ends the command and begins its standard input, a comment has a line
// of its own. Where crons differ, and where duly does, docs/migrating/crontab.md says what holds.
package crontab

import (
	"slices"
	"time"

	"github.com/dulyhq/duly/schedule"
)

// The limits. No crontab that a cron takes comes near them: of cronie's, whose are the narrowest that anybody documents, a line has the same
// and a table a tenth of the entries.
const (
	// MaxFile is how long a crontab may be, in bytes.
	MaxFile = 4 << 20

	maxLine     = 128<<10 - 1 // what Linux hands to a process in one string
	maxEntries  = 10_000
	maxSettings = 1000
	maxEnviron  = 128 << 10 // names and values of all settings
	maxFindings = 1000
)

// Options say how a crontab is to be read.
type Options struct {
	// System is for /etc/crontab and the files in /etc/cron.d, whose lines have a user before the command.
	System bool
	// Zone is the IANA zone of the lines before any CRON_TZ. Empty is UTC.
	Zone string
	// Now is where the year begins in which it is looked at what daylight saving does to a line.
	Now time.Time
}

// A Table is a crontab that was read.
type Table struct {
	Entries  []Entry   // what is to run, in the order of its lines
	Findings []Finding // in the order of their lines
}

// Bad says whether anything in the crontab is wrong, so that it must not be taken.
func (t *Table) Bad() bool {
	for i := range t.Findings {
		if t.Findings[i].Severity == Error {
			return true
		}
	}
	return false
}

// An Entry is a line that is to run.
type Entry struct {
	Line     int
	User     string // of a system's crontab
	Schedule schedule.Schedule
	Text     string // the command as it stands there
	Command  string // what the shell gets
	Stdin    string
	Shell    string // as SHELL says; empty where it says nothing
	Home     string // as HOME says; empty where it says nothing

	userAt, commandAt int      // columns
	zone              string   // that its times are read in
	hour              string   // the field
	last              *setting // the last of those before it
}

// Settings are the variables that are set before the line.
func (e *Entry) Settings() map[string]string {
	all := map[string]string{}
	for s := e.last; s != nil; s = s.before {
		if _, later := all[s.name]; !later {
			all[s.name] = s.value
		}
	}
	return all
}

// A Severity says what a finding means for its crontab.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // it can't be read as it stands, and is not taken
	Warning Severity = "warning" // it can, and may not do what was meant, or what it does elsewhere
)

// A Finding is something to be said of a line.
type Finding struct {
	Line     int
	Column   int // in bytes, from 1
	Severity Severity
	Ignored  bool   // what stands there has no effect here
	Text     string // what it is, and what would be right
}

// Place returns where the variable is set that an entry has: the line and column of the setting, or those of the entry's command where
// nothing in the crontab sets it.
func (e *Entry) Place(variable string) (line, column int) {
	for s := e.last; s != nil; s = s.before {
		if s.name == variable {
			return s.line, s.valueAt + 1
		}
	}
	return e.Line, e.commandAt
}

// Ignore adds that an entry does not run, for a reason that its user has.
func (t *Table) Ignore(e *Entry, text string) {
	t.Add(Finding{Line: e.Line, Column: e.userAt, Severity: Warning, Ignored: true, Text: text})
}

// Refuse adds what is wrong with the command of an entry.
func (t *Table) Refuse(e *Entry, text string) {
	t.Add(Finding{Line: e.Line, Column: e.commandAt, Severity: Error, Text: text})
}

// Add adds a finding behind those of its line.
func (t *Table) Add(f Finding) {
	i := len(t.Findings)
	for i > 0 && t.Findings[i-1].Line > f.Line {
		i--
	}
	t.Findings = slices.Insert(t.Findings, i, f)
}
