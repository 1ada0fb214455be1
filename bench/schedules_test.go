package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Every case of every set is one that duly reads, and the child answers each in each pass, after the instant asked from.
func TestScheduleChild(t *testing.T) {
	for _, set := range scheduleSets {
		const n = 300
		var out bytes.Buffer
		if code := scheduleChild(fmt.Sprintf("%s %s 1 %d 0 0", engineDuly, set.name, n), &out); code != 0 {
			t.Fatalf("%s: exit status %d: %s", set.name, code, &out)
		}
		cases, answers := makeCases(set.name, 1, n), 0
		for line := range strings.Lines(out.String()) {
			var pass, index int
			var nanos, answer int64
			if k, _ := fmt.Sscan(line, &pass, &index, &nanos, &answer); k != 4 {
				continue
			}
			answers++
			if answer == -1 || answer != 0 && !time.Unix(answer, 0).After(cases[index].from) {
				t.Errorf("%s: %s from %v: answers %v", set.name, cases[index].text(), cases[index].from, answer)
			}
		}
		if answers != n*schedulePasses {
			t.Errorf("%s: %d answers to %d questions", set.name, answers, n*schedulePasses)
		}
	}
}
