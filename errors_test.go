package duly_test

import (
	"testing"

	"github.com/dulyhq/duly"
)

// The message names the first attempts that still run, on one line, however many there are.
func TestUnfinishedError(t *testing.T) {
	for want, names := range map[string][]string{
		`duly: 0 attempts still run`:                                nil,
		`duly: 1 attempts still run: "a\nb"`:                        {"a\nb"},
		`duly: 3 attempts still run: "a", "b", "c"`:                 {"a", "b", "c"},
		`duly: 4 attempts still run: "a", "b", "c", ...`:            {"a", "b", "c", "d"},
		`duly: 6 attempts still run: "long", "longer", "last", ...`: {"long", "longer", "last", "x", "y", "z"},
	} {
		u := &duly.UnfinishedError{}
		for _, name := range names {
			u.Running = append(u.Running, duly.AttemptInfo{Name: name})
		}
		if got := u.Error(); got != want {
			t.Errorf("message %q, want %q", got, want)
		}
	}
}
