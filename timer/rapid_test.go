package timer

import (
	"flag"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// checkRapid is rapid.Check with so many cases of about so many steps each, unless flags ask for others.
func checkRapid(t *testing.T, cases, steps int, prop func(*rapid.T)) {
	t.Helper()
	asked := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { asked[f.Name] = true })
	for name, value := range map[string]int{"rapid.checks": max(1, rounds(cases)), "rapid.steps": steps} {
		f := flag.Lookup(name)
		if asked[name] {
			continue
		}
		before := f.Value.String()
		if err := f.Value.Set(strconv.Itoa(value)); err != nil {
			t.Fatalf("set %s: %v", name, err)
		}
		t.Cleanup(func() { _ = f.Value.Set(before) })
	}
	rapid.Check(t, prop)
}
