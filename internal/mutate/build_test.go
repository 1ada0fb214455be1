//go:build unix

package mutate_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A target is what is asked about together: directories whose code is changed, and packages whose tests are to notice.
type target struct {
	name  string
	code  []string
	tests []string
}

// targets are the packages that everything else stands on.
var targets = []target{
	{name: "schedule", code: []string{"schedule"}, tests: []string{"schedule", "schedule/when"}},
	{name: "timer", code: []string{"timer"}, tests: []string{"timer"}},
	{
		name: "store", code: []string{"store", "store/internal/record", "store/memory"},
		tests: []string{"store", "store/internal/record", "store/memory", "store/storetest"},
	},
	{name: "duly", code: []string{"."}, tests: []string{".", "internal/contract", "internal/sim"}},
}

// A built target has its test binaries, with the mutants of a sample in them.
type built struct {
	target

	total, broken int // mutants that compile, and that don't
	sample        []*mutant
	binaries      []*binary
	scratch       string
	records       atomic.Int64
	patience      time.Duration // what a run may take beyond four times what it should
}

// A binary is a package's tests.
type binary struct {
	of, file, dir string // package, file, and the directory it runs in: a copy, because a test that fails may leave a file behind
}

// build finds a target's mutants, draws n of them by the seed, or takes all for n = 0, and compiles them. Mutants that pick
// refuses are not drawn.
func build(t *testing.T, root string, of target, n int, seed uint64, pick func(*mutant) bool) *built {
	t.Helper()
	b := &built{target: of, scratch: t.TempDir(), patience: 5 * time.Second}
	var codes []*code
	mine := map[*mutant]*code{}
	var all []*mutant
	for _, rel := range of.code {
		c, found, imports, err := load(root, rel)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range found {
			m.number = i + 1
		}
		good, err := c.compilable(found, imports)
		if err != nil {
			t.Fatal(err)
		}
		b.total += len(good)
		b.broken += len(found) - len(good)
		codes = append(codes, c)
		for _, m := range good {
			if mine[m] = c; pick(m) {
				all = append(all, m)
			}
		}
	}
	b.sample = draw(all, n, seed)
	overlay := map[string]string{}
	of2 := map[*source][]*mutant{}
	for i, m := range b.sample {
		m.number = i + 1
		of2[m.source] = append(of2[m.source], m)
	}
	for i, c := range codes {
		name := filepath.Join(b.scratch, fmt.Sprintf("switch%d.go", i))
		writeFile(t, name, c.switchOf(len(b.sample)))
		overlay[filepath.Join(c.Dir, "mutant_switch.go")] = name
		for j, src := range c.sources {
			if len(of2[src]) == 0 {
				continue
			}
			text, _ := render(src, of2[src])
			name := filepath.Join(b.scratch, fmt.Sprintf("code%d-%d.go", i, j))
			writeFile(t, name, string(text))
			overlay[filepath.Join(root, filepath.FromSlash(src.name))] = name
		}
	}
	b.compile(t, root, overlay)
	return b
}

// draw takes n mutants, in their order, by a hash of the seed and the id: a change elsewhere does not change the draw.
func draw(all []*mutant, n int, seed uint64) []*mutant {
	if n == 0 || n >= len(all) {
		return all
	}
	drawn := map[*mutant]bool{}
	for _, m := range shuffled(all, seed)[:n] {
		drawn[m] = true
	}
	var out []*mutant
	for _, m := range all {
		if drawn[m] {
			out = append(out, m)
		}
	}
	return out
}

// shuffled is the order in which mutants are drawn.
func shuffled(all []*mutant, seed uint64) []*mutant {
	weight := map[*mutant]uint64{}
	for _, m := range all {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%d %s %d", seed, m.id, seed) // a hash takes everything
		x := h.Sum64()                                      // whose high bits are not mixed well
		x ^= x >> 32
		x *= 0xd6e8feb86659fd93
		weight[m] = x ^ x>>32
	}
	by := slices.Clone(all)
	sortFunc(by, func(a, b *mutant) int { return cmp.Compare(weight[a], weight[b]) })
	return by
}

func (b *built) compile(t *testing.T, root string, overlay map[string]string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(b.scratch, "overlay.json")
	writeFile(t, file, string(text))
	ground := filepath.Join(b.scratch, "ground")
	if err := copyTree(ground, root); err != nil {
		t.Fatal(err)
	}
	for i, of := range b.tests {
		bin := &binary{of: of, file: filepath.Join(b.scratch, fmt.Sprintf("tests%d", i)), dir: filepath.Join(ground, filepath.FromSlash(of))}
		cmd := exec.Command("go", "test", "-c", "-overlay", file, "-o", bin.file, "./"+of)
		cmd.Dir, cmd.Env = root, append(os.Environ(), "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build the tests of %s: %v\n%s", of, err, out)
		}
		b.binaries = append(b.binaries, bin)
	}
}

// copyTree copies the files of a directory, but for what is hidden.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && rel != "." {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, 0o600)
	})
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
