//go:build unix

package mutate_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A unit is a test, or a part of one that takes long, with what a run of it without mutants has shown.
type unit struct {
	in      *binary
	pattern string // for -test.run
	took    time.Duration
	cost    time.Duration // of a processor, which other work on the machine does not change as much
	reaches []byte        // by the mutants' numbers
}

// long is what a test may take before its parts are run one by one, where it has any.
const long = 3 * time.Second

// run runs tests of a binary, in time, with a mutant on or with none, number 0. A limit on memory keeps a mutant that fills
// it from filling the machine's.
func (b *binary) run(pattern string, number int, seen string, limit time.Duration, args ...string) (out string, took, cost time.Duration, err error) {
	shell := `ulimit -v 6000000; exec "$@"`
	line := append([]string{"-c", shell, "sh", b.file, "-test.run", pattern, "-test.timeout", limit.String()}, args...)
	cmd := exec.Command("sh", line...)
	cmd.Dir = b.dir
	cmd.Env = append(os.Environ(), fmt.Sprintf("MUTANT=%d", number), "GOTRACEBACK=none")
	if seen != "" {
		cmd.Env = append(cmd.Env, "MUTANT_SEEN="+seen)
	}
	var buf cut
	cmd.Stdout, cmd.Stderr = &buf, &buf
	cmd.WaitDelay = time.Second
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return "", 0, 0, err
	}
	kill := time.AfterFunc(limit+5*time.Second, func() { _ = cmd.Process.Kill() })
	err = cmd.Wait()
	kill.Stop()
	return buf.String(), time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
}

// cut keeps the beginning of what is printed; a mutant may print without end.
type cut struct{ bytes.Buffer }

func (c *cut) Write(p []byte) (int, error) {
	const most = 1 << 20
	c.Buffer.Write(p[:min(len(p), max(0, most-c.Len()))])
	return len(p), nil
}

var testName = regexp.MustCompile(`^(Test|Example|Fuzz)`)

// survey lists the tests of a target and runs each once, some at a time. Tests that fail without a mutant are left out,
// and told; where it is a part of one, the whole is kept.
func (b *built) survey(t *testing.T, jobs int) (units []*unit) {
	t.Helper()
	wanted := regexp.MustCompile(*tests)
	var wg sync.WaitGroup
	var mu sync.Mutex
	free := make(chan struct{}, jobs)
	for _, bin := range b.binaries {
		cmd := exec.Command(bin.file, "-test.list", ".")
		cmd.Dir = bin.dir
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("list the tests of %s: %v", bin.of, err)
		}
		for name := range strings.FieldsSeq(string(out)) {
			if testName.MatchString(name) && wanted.MatchString(name) {
				free <- struct{}{}
				wg.Go(func() {
					defer func() { <-free }()
					some := b.surveyOne(t, bin, []string{name})
					mu.Lock()
					units = append(units, some...)
					mu.Unlock()
				})
			}
		}
	}
	wg.Wait()
	return units
}

// surveyOne runs a test, and if it takes long its parts instead.
func (b *built) surveyOne(t *testing.T, bin *binary, name []string) []*unit {
	t.Helper()
	u, out, err := b.record(bin, name)
	if err != nil {
		t.Logf("%s %s fails without a mutant: %v\n%s", bin.of, u.pattern, err, short(out))
		return nil
	}
	if u.cost < long || len(name) > 2 {
		return []*unit{u}
	}
	var parts []*unit
	had := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\s*=== RUN\s+(\S+)$`).FindAllStringSubmatch(out, -1) {
		rest, ok := strings.CutPrefix(m[1], strings.Join(name, "/")+"/")
		part, _, _ := strings.Cut(rest, "/")
		if ok && !had[part] {
			had[part] = true
			more := b.surveyOne(t, bin, append(slices.Clip(name), part))
			if len(more) == 0 {
				return []*unit{u} // it can't do without its other parts
			}
			parts = append(parts, more...)
		}
	}
	if len(parts) < 2 {
		return []*unit{u}
	}
	for _, p := range parts { // what only the whole reaches stays with it
		for n := range u.reaches {
			if p.reaches[n] == 1 {
				u.reaches[n] = 0
			}
		}
	}
	if bytes.IndexByte(u.reaches, 1) >= 0 {
		parts = append(parts, u)
	}
	return parts
}

func (b *built) record(bin *binary, name []string) (u *unit, out string, err error) {
	quoted := make([]string, len(name))
	for i, n := range name {
		quoted[i] = "^" + regexp.QuoteMeta(n) + "$"
	}
	u = &unit{in: bin, pattern: strings.Join(quoted, "/")}
	seen := filepath.Join(b.scratch, fmt.Sprintf("seen%d", b.records.Add(1)))
	if err := os.WriteFile(seen, make([]byte, len(b.sample)+1), 0o600); err != nil {
		return u, "", err
	}
	out, u.took, u.cost, err = bin.run(u.pattern, 0, seen, 5*time.Minute, "-test.v")
	if err != nil {
		return u, out, err
	}
	u.reaches, err = os.ReadFile(seen)
	if err == nil && len(u.reaches) != len(b.sample)+1 {
		err = errors.New("the record of what is reached is of another size")
	}
	return u, out, err
}
