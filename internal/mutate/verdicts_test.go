//go:build unix

package mutate_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A verdict is what somebody has found about a mutant that survives.
type verdict struct {
	equivalent bool // it can't be told from the code, and does not count
	reason     string
}

// readVerdicts reads testdata/verdicts.txt: a line "equivalent ID" or "left ID", and below it, indented, the reason.
func readVerdicts(name string) (map[string]verdict, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	verdicts := map[string]verdict{}
	id := ""
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t"):
			v, ok := verdicts[id]
			if !ok {
				return nil, fmt.Errorf("%s:%d: a reason without a mutant above it", name, i+1)
			}
			v.reason = strings.TrimSpace(v.reason + " " + strings.TrimSpace(line))
			verdicts[id] = v
		default:
			word, rest, _ := strings.Cut(line, " ")
			if word != "equivalent" && word != "left" || rest == "" {
				return nil, fmt.Errorf("%s:%d: %q; a line is \"equivalent ID\", \"left ID\", or an indented reason", name, i+1, line)
			}
			if _, twice := verdicts[rest]; twice {
				return nil, fmt.Errorf("%s:%d: a second verdict on %s", name, i+1, rest)
			}
			id = rest
			verdicts[id] = verdict{equivalent: word == "equivalent"}
		}
	}
	for id, v := range verdicts {
		if v.reason == "" {
			return nil, fmt.Errorf("%s: no reason is given for %s", name, id)
		}
	}
	return verdicts, nil
}

// TestVerdicts: a verdict on code that has been changed since is void.
func TestVerdicts(t *testing.T) {
	verdicts, err := readVerdicts("testdata/verdicts.txt")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, of := range targets {
		for _, rel := range of.code {
			_, found, _, err := load(root(t), rel)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range found {
				there[m.id] = true
			}
		}
	}
	for id := range verdicts {
		if !there[id] {
			t.Errorf("testdata/verdicts.txt has a verdict on %s, which is no mutant of today's code", id)
		}
	}
}
