//go:build diff

package schedule_test

import (
	"slices"
	"strings"
	"time"
)

// What follows are the ways in which the package rrule goes wrong, so that its answers can be told from those that nothing explains.

// anyPositions is BYSETPOS as rrule has it: a position before the first day is on the first, and one that is named in two ways counts
// twice.
func anyPositions(list []int, all []int64, size int) (chosen []int64) {
	if len(all) == 0 || size == 0 {
		return nil
	}
	days := len(all) / size
	for _, pos := range list {
		if pos > 0 {
			pos--
		}
		day, at := pos/size, pos%size
		if at < 0 {
			day, at = day-1, at+size
		}
		if day < 0 {
			day = max(days+day, 0)
		}
		if day < days {
			chosen = append(chosen, all[day*size+at])
		}
	}
	slices.Sort(chosen)
	return chosen
}

// easterEveryYear is a rule with BYEASTER as rrule has it: yearly, and never where there are several.
func easterEveryYear(rule string) string {
	parts := strings.Split(rule, ";")
	for i, part := range parts {
		if value, ok := strings.CutPrefix(part, "BYEASTER="); ok {
			parts[0] = "FREQ=YEARLY"
			if strings.Contains(value, ",") {
				parts[i] = "BYEASTER=9999"
			}
		}
	}
	return strings.Join(parts, ";")
}

// A carrier steps through hours, minutes or seconds as rrule does. What one field carries to the next is added to that again and again
// until it is one that the rule names, and the fields below do not know.
type carrier struct {
	n     *naiveRule
	day   time.Time
	at    [3]int // hour, minute, second
	steps int
}

var carrySizes = [...]int{24, 60, 60}

// named says that a field and those above have values that the rule names.
func (c *carrier) named(field int) bool {
	for i, list := range [][]int{c.n.hours, c.n.minutes, c.n.seconds} {
		if i <= field && !slices.Contains(list, c.at[i]) {
			return false
		}
	}
	return true
}

// add moves a field on, beyond the end of the day if that does not match; it is false where that has no end.
func (c *carrier) add(field, step int, filtered bool) bool {
	if filtered {
		size, at := 1, 0
		for i := range field + 1 {
			size, at = size*carrySizes[i], at*carrySizes[i]+c.at[i]
		}
		c.at[field] += (size - 1 - at) / step * step
	}
	for ; c.steps < 2_000_000; c.steps++ {
		c.at[field] += step
		carry := c.at[field] / carrySizes[field]
		if c.at[field] %= carrySizes[field]; carry > 0 && field == 0 {
			c.day = c.day.AddDate(0, 0, carry)
		} else if carry > 0 && !c.add(field-1, carry, false) {
			return false
		}
		if c.named(field) {
			return true
		}
	}
	return false
}

// carried is unitsOfDays with these steps.
func (n *naiveRule) carried(end int64, give func(c int64) bool) {
	s := time.Unix(n.start, 0).UTC()
	c := carrier{n: n, day: time.Date(s.Year(), s.Month(), s.Day(), 0, 0, 0, 0, time.UTC), at: [3]int{s.Hour(), s.Minute(), s.Second()}}
	field := map[string]int{"HOURLY": 0, "MINUTELY": 1, "SECONDLY": 2}[n.freq]
	for first := true; c.day.Unix() <= end; first = false {
		var all []int64
		matches := n.matchesDay(c.day)
		if matches && (!first || c.named(field)) {
			unit := *n
			for i, list := range []*[]int{&unit.hours, &unit.minutes, &unit.seconds} {
				if i <= field {
					*list = []int{c.at[i]}
				}
			}
			all = unit.times(c.day.Unix(), unit.hours, unit.minutes)
		} else if matches && n.positions != nil {
			for _, position := range n.parts["BYSETPOS"] { // those from the end of a first unit that has nothing are the day's midnight
				if position < 0 && !give(c.day.Unix()) {
					return
				}
			}
		}
		for _, at := range n.choose(all, len(all)) {
			if !give(at) {
				return
			}
		}
		if !c.add(field, n.interval, !matches) {
			return
		}
	}
}
