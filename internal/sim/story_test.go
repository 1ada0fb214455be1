package sim_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestStory_KeepsTheFirstComplaint: of a world that goes on for long after it went wrong, what led to that is shown.
func TestStory_KeepsTheFirstComplaint(t *testing.T) {
	for name, tc := range map[string]struct {
		lines int
		wrong []int
		want  []int // pairs: from, to
	}{
		"all of it":            {lines: 40, wrong: []int{3}, want: []int{0, 40}},
		"nothing wrong":        {lines: 100, want: []int{60, 100}},
		"wrong at the end":     {lines: 100, wrong: []int{61, 80}, want: []int{60, 100}},
		"wrong at once":        {lines: 100, wrong: []int{0, 70}, want: []int{0, 2, 80, 100}},
		"wrong long before":    {lines: 1000, wrong: []int{500, 700}, want: []int{482, 502, 980, 1000}},
		"wrong not long after": {lines: 100, wrong: []int{59}, want: []int{41, 61, 80, 100}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{plan: &plan{}}
			for i := range tc.lines {
				w.lines = append(w.lines, fmt.Sprintf("line %d", i))
			}
			for _, i := range tc.wrong {
				w.lines[i] = fmt.Sprintf("line %d  %sso it is", i, complaint)
			}
			var want []string
			end := 0
			for i := 0; i < len(tc.want); i += 2 {
				if from := tc.want[i]; from > end {
					want = append(want, fmt.Sprintf("... %d lines", from-end))
				}
				want = append(want, w.lines[tc.want[i]:tc.want[i+1]]...)
				end = tc.want[i+1]
			}
			if got := strings.Split(strings.TrimSuffix(w.story(40), "\n"), "\n")[1:]; strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("the story is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}
