package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/crontab"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/target"
)

// CrontabLine is what duly crontab import prints; docs/cli-json.md promises it.
type CrontabLine struct {
	File     string    `json:"file"`
	Line     int       `json:"line,omitempty"`
	Outcome  string    `json:"outcome"` // created, updated, unchanged, ignored, refused, gone, cancelled
	Name     string    `json:"name,omitempty"`
	Schedule string    `json:"schedule,omitempty"`
	DueAt    time.Time `json:"due_at,omitzero"`
	Text     string    `json:"text,omitempty"` // the command, or why it is ignored or refused
}

// An importing is one run of duly crontab import.
type importing struct {
	*crontabbing

	table string // the crontab's name
	from  string // the tag of where the crontab is
	specs []api.Spec
	lines []CrontabLine // of the specs
	other []CrontabLine // what is ignored
	warns int           // what else there is to say of the crontab
}

// maxSpec is how long a task may be as the daemon takes it: a little less than it takes, for the name.
const maxSpec = 1<<20 - 1<<10

// runImport makes tasks of a crontab. What is wrong with it is found before anything is put.
func (f *crontabbing) runImport(ctx context.Context) error {
	m := &importing{crontabbing: f}
	if err := m.checkFlags(); err != nil {
		return err
	}
	t, err := f.read()
	if err != nil {
		return err
	}
	host, err := f.host(f.socketPath())
	if err != nil {
		return err
	}
	entries, err := m.plan(t, host)
	if err != nil {
		return err
	}
	if t.Bad() {
		return f.badly(t)
	}
	if f.prune && len(entries) == 0 {
		return &usageError{
			what: "there is no line to run in the crontab, and --prune would cancel all of its tasks",
			hint: "if that is meant: " + f.s.Name + " cancel --tag " + m.tag(),
		}
	}
	for i := range t.Findings {
		if x := &t.Findings[i]; x.Ignored {
			m.other = append(m.other, CrontabLine{File: f.file, Line: x.Line, Outcome: "ignored", Text: x.Text})
		} else {
			m.warns++
		}
	}
	m.warns -= len(m.missing) // they are said anyway
	c, err := f.s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	there, from, err := m.there(ctx, c)
	if err != nil {
		return err
	}
	if err := m.same(from); err != nil {
		return err
	}
	for i, name := range crontab.Names(m.table, entries, there) {
		m.specs[i].Name, m.lines[i].Name = name, name
		m.specs[i].Tags = []string{"crontab", m.tag(), m.from}
		m.specs[i].Conflict = "fail" // what is there under this name is somebody else's
		if _, ours := there[name]; ours {
			m.specs[i].Conflict = "replace"
			delete(there, name)
		}
	}
	if err := m.put(ctx, c); err != nil {
		return m.broken(err)
	}
	gone, err := m.gone(ctx, c, slices.Sorted(maps.Keys(there)))
	return errors.Join(err, m.report(gone))
}

// broken says of an import that was cut off what of it was put, and that it can be done again.
func (m *importing) broken(err error) error {
	all := len(m.lines)
	m.lines = slices.DeleteFunc(m.lines, func(l CrontabLine) bool { return l.Outcome == "" })
	if len(m.lines) == 0 {
		return err
	}
	rerr := m.report(nil)
	if _, refused := errors.AsType[*failure](rerr); rerr != nil && !refused {
		return errors.Join(err, rerr)
	}
	return &failure{
		exitFailed, fmt.Sprintf("%d of %d lines are done: %v", len(m.lines), all, err), "import it again: that does the rest, and leaves alone what is done",
	}
}

// checkFlags refuses words that the daemon would refuse, and finds the crontab's name.
func (m *importing) checkFlags() error {
	words := putFlags{overlap: m.overlap, catchUp: m.catchUp}
	if err := words.checkRecurring(); err != nil {
		return err
	}
	const most = 100
	switch {
	case m.name != "":
		if m.table = crontab.Plain(m.name, most, ""); m.table != m.name {
			return &usageError{what: fmt.Sprintf("--name %q: want at most %d of a to z, 0 to 9, -, _ and .", m.name, most)}
		}
	case m.file == "-":
		m.table = "crontab"
	default:
		m.table = crontab.Plain(filepath.Base(m.file), most, "crontab")
	}
	if m.name == "" && m.system && m.table == "crontab" {
		m.table = "system-crontab" // /etc/crontab is not what crontab -l prints, which --prune would cancel
	}
	return nil
}

// tag is by what the tasks of the crontab are found.
func (m *importing) tag() string { return "crontab:" + m.table }

// socketPath is where the daemon's socket is, if that is how it is reached.
func (f *crontabbing) socketPath() string {
	s := f.s
	if s.socket != "" {
		return s.socket
	}
	if s.data == "" {
		if s.or(s.url, "DULY_URL") != "" {
			return ""
		}
		if path := s.getenv("DULY_SOCKET"); path != "" {
			return path
		}
	}
	data, err := home.Data(s.data, s.getenv)
	if err != nil {
		return "" // connect says so
	}
	path, err := home.Socket(data)
	if err != nil {
		return ""
	}
	return path
}

// plan makes the tasks, without their names, of the lines that can run, and says of the others why they can't.
func (m *importing) plan(t *crontab.Table, host account) ([]crontab.Entry, error) {
	var entries []crontab.Entry
	for i := range t.Entries {
		e := &t.Entries[i]
		as, ok := m.accountOf(t, e, host)
		if !ok {
			continue
		}
		spec := m.spec(e, as)
		if err := spec.Command.Check(); err != nil {
			t.Refuse(e, err.Error())
			continue
		}
		b, err := json.Marshal(&spec)
		if err != nil {
			return nil, err
		}
		if len(b) > maxSpec {
			t.Refuse(e, fmt.Sprintf("the command and its settings make a task of %d bytes: want at most %d", len(b), maxSpec))
			continue
		}
		if m.s.onThisMachine() {
			m.look(t, e, as)
		}
		entries = append(entries, *e)
		m.specs = append(m.specs, spec)
		m.lines = append(m.lines, CrontabLine{File: m.file, Line: e.Line, Schedule: spec.Schedule, Text: e.Text})
	}
	return entries, nil
}

// spec is the task of a line: what cron would run, in the environment that it would have there.
func (m *importing) spec(e *crontab.Entry, as account) api.Spec {
	env := e.Settings()
	for name, value := range map[string]string{"SHELL": "/bin/sh", "HOME": as.home, "PATH": defaultPath} {
		if _, said := env[name]; !said {
			env[name] = value
		}
	}
	env["LOGNAME"], env["USER"] = as.name, as.name
	c := &target.Command{Dir: env["HOME"], Env: env, Stdin: e.Stdin, LaterCodes: []int{}}
	if shell := env["SHELL"]; shell == "/bin/sh" && as.by == nil {
		c.Shell = e.Command
	} else {
		c.Args = append(slices.Clone(as.by), shell, "-c", e.Command)
	}
	return api.Spec{
		Command: c, Schedule: e.Schedule.String(), Policy: api.Policy{Overlap: m.overlap, CatchUp: m.catchUp, AtMostOnce: m.once},
	}
}

// there finds the tasks of the crontab's last import, with their schedules, and the tags of where it was.
func (m *importing) there(ctx context.Context, c *client.Client) (all map[string]string, from []string, err error) {
	all = map[string]string{}
	for t, err := range c.List(ctx, client.Query{Tag: m.tag(), Limit: lsPage}) {
		if err != nil {
			return nil, nil, err
		}
		// Anybody may give a task the tag. What an import has made has a command, both tags and such a name as well.
		made := t.Command != nil && slices.Contains(t.Tags, "crontab") && strings.HasPrefix(t.Name, m.table+"-")
		if !made || t.Ended || !t.Recurring {
			continue
		}
		all[t.Name] = t.Schedule
		for _, tag := range t.Tags {
			if strings.HasPrefix(tag, fromTag) && !slices.Contains(from, tag) {
				from = append(from, tag)
			}
		}
	}
	return all, from, nil
}

// fromTag begins the tag that says where a crontab is.
const fromTag = "crontab-from:"

// same finds the tag of where the crontab is, and refuses a crontab of the name of another one, unless --name says that it is the same: each
// would take the other's tasks for lines that are gone.
func (m *importing) same(from []string) error {
	const most = 255 // of a tag
	path := m.path()
	if m.from = fromTag + path; len(m.from) > most || !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) {
		sum := sha256.Sum256([]byte(path))
		m.from = fromTag + "sha256:" + hex.EncodeToString(sum[:])
	}
	if m.name != "" {
		if len(from) == 1 {
			m.from = from[0]
		}
		return nil
	}
	for _, tag := range from {
		if tag != m.from {
			where := strings.TrimPrefix(tag, fromTag)
			if where == "-" {
				where = "standard input"
			}
			return &failure{
				exitConflict, fmt.Sprintf("the tasks of the crontab %s were imported from %s: nothing was put", m.table, where),
				"--name NAME tells two crontabs apart; --name " + m.table + " says that this is the same",
			}
		}
	}
	return nil
}

// outcomesOfImport are what becomes of a line, by what becomes of its put.
var outcomesOfImport = map[string]string{"created": "created", "replaced": "updated", "unchanged": "unchanged"}

// put puts the tasks, up to a thousand as one. What another import of the crontab has put meanwhile is put in its place, as if that one had
// been the first of them.
func (m *importing) put(ctx context.Context, c *client.Client) error {
	all := make([]int, len(m.specs))
	for i := range all {
		all[i] = i
	}
	taken, err := m.putThese(ctx, c, all)
	if len(taken) > 0 && err == nil {
		var there map[string]string
		var from []string
		if there, from, err = m.there(ctx, c); err != nil {
			return err
		}
		var ours, others []int
		for _, i := range taken {
			if _, ok := there[m.specs[i].Name]; ok && slices.Equal(from, []string{m.from}) {
				m.specs[i].Conflict = "replace"
				ours = append(ours, i)
			} else {
				others = append(others, i)
			}
		}
		taken, err = m.putThese(ctx, c, ours)
		taken = append(taken, others...)
	}
	for _, i := range taken {
		m.lines[i].Outcome, m.lines[i].Text = "refused", "its name has a task that is not of this crontab: cancel that, or say another --name"
	}
	return err
}

// putThese puts some of the tasks. It returns those whose names are taken, and the first of what else went wrong.
func (m *importing) putThese(ctx context.Context, c *client.Client, these []int) (taken []int, err error) {
	n := 0
	for entry, perr := range c.PutMany(ctx, func(yield func(api.Spec) bool) {
		for _, i := range these {
			if !yield(m.specs[i]) {
				return
			}
		}
	}) {
		i := these[n]
		n++
		l := &m.lines[i]
		switch {
		case errors.Is(perr, duly.ErrExists), errors.Is(perr, duly.ErrKindMismatch):
			taken = append(taken, i)
		case perr == nil:
			l.Outcome, l.DueAt = outcomesOfImport[entry.Outcome], entry.DueAt
		case err == nil:
			err = fmt.Errorf("line %d of the crontab: %w", l.Line, perr)
		}
	}
	return taken, err
}

// gone deals with the tasks whose lines are not in the crontab any more.
func (m *importing) gone(ctx context.Context, c *client.Client, names []string) (lines []CrontabLine, err error) {
	for _, name := range names {
		l := CrontabLine{File: m.file, Outcome: "gone", Name: name, Text: "its line is not in the crontab any more: it runs on until --prune, or duly cancel"}
		if m.prune {
			if _, err := c.Cancel(ctx, name); err != nil {
				return lines, err
			}
			l.Outcome, l.Text = "cancelled", "its line is not in the crontab any more"
		}
		lines = append(lines, l)
	}
	return lines, nil
}

// report prints what became of the lines, in their order, and on standard error what they need and do not find.
func (m *importing) report(gone []CrontabLine) error {
	say := m.s.stderr()
	for i := range m.missing {
		if err := m.say(say, &m.missing[i]); err != nil {
			return err
		}
	}
	lines := slices.Concat(m.lines, m.other)
	slices.SortStableFunc(lines, func(a, b CrontabLine) int { return a.Line - b.Line })
	lines = append(lines, gone...)
	p, count := m.s.printer(), map[string]int{}
	rows := make([][]cell, 0, len(lines))
	for i := range lines {
		l := &lines[i]
		count[l.Outcome]++
		if m.output != "table" {
			if err := p.object(m.output, l); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []cell{{lineText(l), plain}, {l.Outcome, styleOf(l.Outcome)}, {l.Name, bold}, {p.instant(l.DueAt), plain}, {l.Text, dim}})
	}
	if m.output == "table" {
		if err := p.table([]string{"LINE", "", "NAME", "DUE", "WHAT"}, rows); err != nil {
			return err
		}
		if err := m.sum(p, count); err != nil {
			return err
		}
	}
	if count["refused"] > 0 {
		return &failure{status: exitConflict}
	}
	return nil
}

// sum says on a terminal how many lines became what, and where more is said.
func (m *importing) sum(p *printer, count map[string]int) error {
	if !p.terminal {
		return nil
	}
	var parts []string
	for _, outcome := range []string{"created", "updated", "unchanged", "refused", "ignored", "gone", "cancelled"} {
		if n := count[outcome]; n > 0 {
			parts = append(parts, strconv.Itoa(n)+" "+outcome)
		}
	}
	text := strings.Join(parts, ", ")
	if text == "" {
		text = "there is no line to run"
	}
	if m.warns > 0 {
		text += "; duly crontab lint warns of " + counted(int64(m.warns), "other thing", "other things")
	}
	return p.linef("%s", text)
}

func lineText(l *CrontabLine) string {
	if l.Line == 0 {
		return ""
	}
	return strconv.Itoa(l.Line)
}

func styleOf(outcome string) style {
	switch outcome {
	case "created", "updated", "cancelled":
		return green
	case "ignored", "gone":
		return yellow
	case "refused":
		return red
	}
	return plain
}
