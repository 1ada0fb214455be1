package crontab

import (
	"slices"
	"strconv"
	"strings"
)

// A unit is what a field counts.
type unit struct {
	name   string
	lo, hi int
	step   int      // the longest that package schedule takes
	last   int      // up to which a random value goes
	names  []string // the first is lo
}

// The fields of a crontab.
const (
	minute = iota
	hour
	dayOfMonth
	month
	dayOfWeek
)

var units = [...]unit{
	minute:     {"minute", 0, 59, 59, 59, nil},
	hour:       {"hour", 0, 23, 23, 23, nil},
	dayOfMonth: {"day of month", 1, 31, 31, 28, nil}, // every month has the 28th
	month:      {"month", 1, 12, 12, 12, []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	dayOfWeek:  {"day of week", 0, 7, 7, 6, []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

// number reads a number or a name.
func (u *unit) number(text string) (int, bool) {
	if i := slices.Index(u.names, strings.ToLower(text)); i >= 0 {
		return u.lo + i, true
	}
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// translate writes what cron reads and package schedule does not as it does: a random value of cronie's, and a step that is longer than its
// field. It returns whether the random values are right.
func (r *reader) translate(fields []field) bool {
	for i := range fields {
		f, u := &fields[i], &units[i]
		if len(f.text) > 1000 || !strings.ContainsAny(f.text, "~/") {
			continue // what is longer is wrong anyway
		}
		starred := f.text[0] == '*' && (i == dayOfMonth && fields[dayOfWeek].text[0] != '*' || i == dayOfWeek && fields[dayOfMonth].text[0] != '*')
		items := strings.Split(f.text, ",")
		for n, item := range items {
			if h, ok := u.random(item); ok {
				items[n], f.same = h, false
				r.warn(f.at, "%s %s: cronie picks a value whenever it reads the crontab; here it follows from the task's name, and stays", u.name, quote(item))
			}
			if strings.Contains(items[n], "~") {
				r.fail(f.at, "%s %s: want two values of %d to %d with ~ between them, the lower one first", u.name, quote(item), u.lo, u.last)
				return false
			}
			if first, ok := u.once(item); ok && !starred {
				items[n], f.same = strconv.Itoa(first), false
				r.warn(f.at, "%s %s: the step is longer than the field, so that this is %d alone, here as with cron", u.name, quote(item), first)
			}
		}
		f.text = strings.Join(items, ",")
	}
	return true
}

// random is a range as 5~20, either end of which may be left out, as a value that follows from the task's name.
func (u *unit) random(item string) (text string, ok bool) {
	from, to, ok := strings.Cut(item, "~")
	if !ok {
		return "", false
	}
	lo, hi := u.lo, u.last
	if from != "" {
		if lo, ok = u.number(from); !ok {
			return "", false
		}
	}
	if to != "" {
		if hi, ok = u.number(to); !ok || hi > u.hi {
			return "", false
		}
		hi = min(hi, u.last)
	}
	if lo > hi || lo < u.lo {
		return "", false
	}
	return "h(" + strconv.Itoa(lo) + "-" + strconv.Itoa(hi) + ")", true
}

// once returns the only value that an item has whose step is longer than its field.
func (u *unit) once(item string) (first int, ok bool) {
	of, step, ok := strings.Cut(item, "/")
	if n, isNumber := u.number(step); !ok || !isNumber || n <= u.step {
		return 0, false
	}
	if of == "*" {
		return u.lo, true
	}
	from, to, ok := strings.Cut(of, "-")
	first, right := u.number(from)
	last, rightToo := u.number(to)
	return first, ok && right && rightToo && u.lo <= first && first <= last && last <= u.hi
}

// dialect warns of what package schedule reads and cron does not, or otherwise.
func (r *reader) dialect(fields []field) {
	if len(fields) == 1 {
		return
	}
	for i := range fields {
		f, u := &fields[i], &units[i]
		for item := range strings.SplitSeq(f.text, ",") {
			if strings.Contains(item, "~") || u.plain(item) {
				continue
			}
			r.warn(f.at, "%s %s is not of crontab(5), and another cron refuses it or reads it otherwise; here it is read as duly cron does", u.name, quote(item))
			break
		}
	}
}

// plain says whether an item is as crontab(5) has it: *, a value, a range, and of * and ranges every so many.
func (u *unit) plain(item string) bool {
	of, step, stepped := strings.Cut(item, "/")
	if stepped && (step == "" || strings.Trim(step, "0123456789") != "") {
		return false
	}
	if of == "*" {
		return true
	}
	from, to, ranged := strings.Cut(of, "-")
	lo, ok := u.number(from)
	if !ranged {
		return ok && !stepped
	}
	hi, right := u.number(to)
	if hi == 0 && u.hi == 7 {
		hi = 7 // sat-sun
	}
	return ok && right && lo <= hi
}
