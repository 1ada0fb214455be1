package crontab

import (
	"crypto/sha256"
	"encoding/hex"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Names gives the entries names that they keep: each begins with the crontab's name, and goes on with the command's first word and a
// hash of the command and its user. So neither the place of a line in the crontab nor its schedule is part of its name. Lines of the same
// command are told apart by a number behind a point: one whose schedule is that of a task which is there has that one's name, and the others
// have those that are left, in their order. There are the tasks of the last time by their names, with the text of their schedules.
func Names(table string, entries []Entry, there map[string]string) []string {
	names := make([]string, len(entries))
	groups := map[string]*group{}
	for i := range entries {
		b := base(&entries[i], table)
		if groups[b] == nil {
			groups[b] = &group{base: b, there: map[int]string{}, taken: map[int]bool{}}
		}
		groups[b].lines = append(groups[b].lines, i)
	}
	for name, text := range there {
		if g, n := groups[name], 1; g != nil {
			g.there[n] = text
		} else if b, n := cutNumber(name); groups[b] != nil {
			groups[b].there[n] = text
		}
	}
	for _, g := range groups {
		g.name(names, entries)
	}
	return names
}

// cutNumber takes the number off a name.
func cutNumber(name string) (base string, n int) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", 0
	}
	n, err := strconv.Atoi(name[i+1:])
	if err != nil || n < 2 || name[i+1] == '0' || name[i+1] == '+' {
		return "", 0
	}
	return name[:i], n
}

// A group is the lines of one command.
type group struct {
	base  string
	lines []int
	there map[int]string // by the numbers of the tasks that are there
	taken map[int]bool
}

// name names the lines of the group.
func (g *group) name(names []string, entries []Entry) {
	bySchedule := map[string][]int{}
	var left []int
	for n := range g.there {
		left = append(left, n)
	}
	slices.Sort(left)
	for _, n := range left {
		bySchedule[g.there[n]] = append(bySchedule[g.there[n]], n)
	}
	var rest []int
	for _, i := range g.lines {
		text := entries[i].Schedule.String()
		if same := bySchedule[text]; len(same) > 0 {
			bySchedule[text] = same[1:]
			names[i] = g.take(same[0])
		} else {
			rest = append(rest, i)
		}
	}
	left = slices.DeleteFunc(left, func(n int) bool { return g.taken[n] })
	free := 1
	for _, i := range rest {
		if len(left) > 0 {
			names[i], left = g.take(left[0]), left[1:]
			continue
		}
		for g.taken[free] {
			free++
		}
		names[i] = g.take(free)
	}
}

func (g *group) take(n int) string {
	g.taken[n] = true
	if n == 1 {
		return g.base
	}
	return g.base + "." + strconv.Itoa(n)
}

// base is the name of the first line of a command.
func base(e *Entry, table string) string {
	sum := sha256.Sum256([]byte(e.User + "\x00" + strings.Trim(e.Text, spaces)))
	return table + "-" + stem(e.Command) + "-" + hex.EncodeToString(sum[:4])
}

// stem is the part of a name by which a person knows the command: its first word that is no assignment, without its directory.
func stem(command string) string {
	word := ""
	for w := range strings.FieldsSeq(command) {
		if word = w; !strings.Contains(w, "=") {
			break
		}
	}
	return Plain(path.Base(word), 20, "task")
}

// Plain is a text of few characters that need no quotes anywhere: its letters, digits, points, dashes and underscores, so many of them at most.
func Plain(text string, most int, otherwise string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		}
		return -1
	}, text)
	if text = strings.Trim(text[:min(len(text), most)], "-_."); text == "" {
		return otherwise
	}
	return text
}
