package contract_test

import (
	"regexp"
	"slices"
	"testing"

	"github.com/dulyhq/duly/internal/contract"
)

// rules are those of the contract that one process can show. A2 and H4 need a database.
var rules = []string{
	"A1", "A3", "A4", "A5", "A6", "A7", "B1", "B2", "B3", "B4", "C1", "C2", "C3", "C4", "C5", "C6", "D1", "D2", "D3", "D4", "D5", "D6",
	"E1", "E2", "E3", "E4", "E5", "F1", "F2", "F3", "G1", "G2", "G3", "G4", "G5", "H1", "H2", "H3", "I1", "I2", "I3", "J1", "J2", "J3", "K1", "K2",
}

// TestCases_CoverTheRules: a rule that no case names is a rule that nobody holds duly to.
func TestCases_CoverTheRules(t *testing.T) {
	named := map[string]bool{}
	names := map[string]bool{}
	for _, c := range contract.Cases() {
		if names[c.Name] || c.Why == "" {
			t.Errorf("%s is there twice, or does not say why", &c)
		}
		names[c.Name] = true
		of := regexp.MustCompile(`[A-K]\d`).FindAllString(c.Rule, -1)
		if len(of) == 0 {
			t.Errorf("%s names no rule", &c)
		}
		for _, r := range of {
			named[r] = true
			if !slices.Contains(rules, r) {
				t.Errorf("%s names %s, which is no rule for one process", &c, r)
			}
		}
	}
	for _, r := range rules {
		if !named[r] {
			t.Errorf("no case names rule %s", r)
		}
	}
}
