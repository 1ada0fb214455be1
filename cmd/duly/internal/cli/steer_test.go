package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLs(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"backup", "backup-2", "tea"} {
		spec := later("true")
		if name != "tea" {
			spec.Tags = []string{"nightly"}
		}
		w.put(name, spec)
	}
	names := func(args ...string) []string {
		var list []string
		for line := range strings.Lines(w.ok(append([]string{"ls"}, args...)...)) {
			name, _, _ := strings.Cut(line, "\t")
			list = append(list, name)
		}
		return list
	}
	tests := []struct {
		args string
		want []string
	}{
		{"", []string{"backup", "backup-2", "tea"}},
		{"backup", []string{"backup", "backup-2"}},
		{"--tag nightly", []string{"backup", "backup-2"}},
		{"--kind command", []string{"backup", "backup-2", "tea"}},
		{"--kind http", nil},
		{"--state pending t", []string{"tea"}},
		{"--state running", nil},
		{"--state dead", nil},
		{"--due-within 2h", []string{"backup", "backup-2", "tea"}},
		{"--due-within PT1M", nil},
		{"--paused", nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, names(strings.Fields(tt.args)...)); diff != "" {
			t.Errorf("duly ls %s (-want +got):\n%s", tt.args, diff)
		}
	}
	w.ok("pause", "tea")
	if diff := cmp.Diff([]string{"tea"}, names("--paused")); diff != "" {
		t.Errorf("duly ls --paused (-want +got):\n%s", diff)
	}
	if got := w.ok("ls", "tea", "-o", "jsonl"); !strings.HasPrefix(got, `{"name":"tea","kind":"command","state":"pending",`) || strings.Count(got, "\n") != 1 {
		t.Errorf("duly ls tea -o jsonl: %s", got)
	}
}

// TestCancel names what cannot be cancelled, and cancels the rest.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.put("tea", later("true"))
	stdout, stderr, status := w.run("cancel", "tea", "nobody", "tea")
	if want := "tea\tcancelled\nnobody\tunknown\n"; status != exitNotFound || stdout != want || stderr != "hint: duly ls lists what there is\n" {
		t.Errorf("status %d, standard output %q, want %q, standard error %q", status, stdout, want, stderr)
	}
	if got := w.ok("cancel", "tea"); got != "tea\tfinished\n" {
		t.Errorf("cancel once more: %q", got)
	}
	w.put("a", later("true"))
	w.put("b", later("true"))
	if stdout, _, status = w.run("cancel", "a", "."); status != exitUsage || stdout != "" {
		t.Errorf("cancel a and what is no name: status %d, standard output %q", status, stdout)
	}
	stdout, stderr, status = w.run("cancel", "--all")
	if status != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "duly: this cancels 2 tasks: a, b\nhint: ") || !strings.Contains(stderr, "--yes") {
		t.Errorf("without --yes: status %d, standard output %q, standard error %q", status, stdout, stderr)
	}
	if got := w.ok("cancel", "--all", "--yes", "-o", "jsonl"); got != `{"name":"a","outcome":"cancelled"}`+"\n"+`{"name":"b","outcome":"cancelled"}`+"\n" {
		t.Errorf("cancel --all --yes: %s", got)
	}
	if got := w.ok("cancel", "--all"); got != "no task is selected\n" {
		t.Errorf("cancel --all of nothing: %s", got)
	}
}

func TestPauseResume(t *testing.T) {
	w := newWorld(t)
	w.put("a", later("true"))
	w.put("b", later("true"))
	for _, tt := range []struct {
		args, want string
	}{
		{"pause a b", "a\tpaused\nb\tpaused\n"},
		{"pause a", "a\tis paused already\n"},
		{"resume a", "a\tresumed\n"},
		{"resume a", "a\tis not paused\n"},
		{"pause --prefix a --yes", "paused 1 task\n"},
		{"pause --prefix a --yes", "paused 0 tasks\n"},
		{"resume --all --yes -o jsonl", `{"count":2}` + "\n"},
		{"resume --all -o jsonl", `{"count":0}` + "\n"},
		{"redrive a", "a\tnothing of it is dead\n"},
	} {
		if got := w.ok(strings.Fields(tt.args)...); got != tt.want {
			t.Errorf("duly %s: %q, want %q", tt.args, got, tt.want)
		}
	}
	stdout, stderr, status := w.run("pause", "nobody", "a")
	if status != exitNotFound || stdout != "nobody\tunknown\na\tpaused\n" || stderr != "hint: duly ls lists what there is\n" {
		t.Errorf("pause nobody: status %d, %q, %q", status, stdout, stderr)
	}
}

// TestSteer_Usage refuses what does not say what is meant, before a daemon is asked.
func TestSteer_Usage(t *testing.T) {
	for _, verb := range []string{"cancel", "pause", "resume", "redrive"} {
		for _, tt := range []struct {
			args []string
			want string
		}{
			{nil, "takes the names of tasks, or --prefix, --kind, --tag or --all"},
			{[]string{"a", "--all"}, "but got both"},
			{[]string{"a", "--tag", "x"}, "but got both"},
			{[]string{"--all", "--tag", "x"}, "leave one of them out"},
			{[]string{"--al"}, "did you mean --all?"},
			{[]string{"a", "."}, `the name ".": want a name, not a dot`},
			{[]string{"a", ""}, `the name "": want 1 to 255 bytes`},
			{[]string{"a", strings.Repeat("x", 256)}, "want 1 to 255 bytes"},
		} {
			_, stderr, status := run(t, at(t, "2026-11-28T12:00:00Z"), append([]string{verb}, tt.args...)...)
			if status != exitUsage || !strings.Contains(stderr, tt.want) {
				t.Errorf("duly %s %q: status %d, standard error %q, want %q", verb, tt.args, status, stderr, tt.want)
			}
		}
	}
}

// TestFlags_OfOthers: who names a flag as others do is told ours, where there is one.
func TestFlags_OfOthers(t *testing.T) {
	for _, tt := range []struct{ args, want string }{
		{"in 1s --http http://127.0.0.1/", "did you mean --post?"},
		{"every 1h --webhook https://example.org/", "did you mean --post?"},
		{"at 9:00 --callback https://example.org/", "did you mean --post?"},
		{"in 1s --hlep", "did you mean --help?"},
		{"ls --webhook x", "duly ls --help lists the flags"},
	} {
		_, stderr, status := run(t, at(t, "2026-11-28T12:00:00Z"), strings.Fields(tt.args)...)
		if status != exitUsage || !strings.Contains(stderr, tt.want) {
			t.Errorf("duly %s: status %d, standard error %q, want %q", tt.args, status, stderr, tt.want)
		}
	}
}
