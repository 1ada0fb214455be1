package timer

import (
	"flag"
	"testing"

	"pgregory.net/rapid"
)

// checkRapid is rapid.Check with at least so many cases of about so many steps each, unless flags ask for others.
func checkRapid(t *testing.T, cases, steps string, prop func(*rapid.T)) {
	t.Helper()
	asked := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { asked[f.Name] = true })
	for name, value := range map[string]string{"rapid.checks": cases, "rapid.steps": steps} {
		f := flag.Lookup(name)
		if asked[name] {
			continue
		}
		before := f.Value.String()
		if err := f.Value.Set(value); err != nil {
			t.Fatalf("set %s: %v", name, err)
		}
		t.Cleanup(func() { _ = f.Value.Set(before) })
	}
	rapid.Check(t, prop)
}
