package crontab_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly/cmd/duly/internal/crontab"
)

// TestNames goes through what may become of a crontab between two imports: lines are moved, edited, doubled and removed.
func TestNames(t *testing.T) {
	const at = "cron 0 1 * * *"
	names := func(text string, there map[string]string) string {
		got := crontab.Read(text, crontab.Options{Now: begin})
		if len(got.Findings) > 0 {
			t.Fatal(got.Findings)
		}
		return strings.Join(crontab.Names("c", got.Entries, there), " ")
	}
	first := strings.Fields(names("0 1 * * * a\n0 2 * * * b\n", nil))
	if diff := cmp.Diff([]string{"c-a-022a6979", "c-b-57eb3561"}, first); diff != "" {
		t.Fatalf("the first names, which must stay those of a release (-want +got):\n%s", diff)
	}
	x, y := first[0], first[1]
	was := map[string]string{x: at, y: "cron 0 2 * * *"}
	tests := []struct{ name, text, want string }{
		{"the same", "0 1 * * * a\n0 2 * * * b\n", x + " " + y},
		{"moved", "0 2 * * * b\n# new\nX=1\n0 1 * * * a\n", y + " " + x},
		{"another schedule", "5 1 * * * a\n0 2 * * * b\n", x + " " + y},
		{"blanks behind it", "0 1 * * * a  \n", x},
		{"removed", "0 2 * * * b\n", y},
		{"doubled before it", "9 9 * * * a\n0 1 * * * a\n", x + ".2 " + x},
		{"doubled behind it", "0 1 * * * a\n9 9 * * * a\n", x + " " + x + ".2"},
		{"twice the same", "0 1 * * * a\n0 1 * * * a\n0 1 * * * a\n", x + " " + x + ".2 " + x + ".3"},
	}
	for _, tt := range tests {
		if got := names(tt.text, was); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	twice := map[string]string{x: at, x + ".2": "cron 9 9 * * *", x + ".7": "cron 7 7 * * *", x + ".02": at, x + ".x": at}
	tests = []struct{ name, text, want string }{
		{"the first of two is gone", "9 9 * * * a\n", x + ".2"},
		{"one is edited", "8 8 * * * a\n7 7 * * * a\n9 9 * * * a\n", x + " " + x + ".7 " + x + ".2"},
		{"one is new", "0 1 * * * a\n8 8 * * * a\n7 7 * * * a\n9 9 * * * a\n5 5 * * * a\n", x + " " + x + ".3 " + x + ".7 " + x + ".2 " + x + ".4"},
	}
	for _, tt := range tests {
		if got := names(tt.text, twice); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// TestNames_Stem: a name says what is run, in characters that need no quotes.
func TestNames_Stem(t *testing.T) {
	commands := []string{
		"/usr/local/bin/Backup.sh --all", "A=1 B=2 run-parts /etc", "A=1", "[ -x /x ] && y", "ünïcode", strings.Repeat("long", 10), "'q r'/s.t", "--", "cat%in",
	}
	want := []string{"backup.sh", "run-parts", "a1", "task", "ncode", "longlonglonglonglong", "q", "task", "cat"}
	var got []string
	for _, c := range commands {
		table := crontab.Read("@daily "+c+"\n", crontab.Options{Now: begin})
		name := crontab.Names("c", table.Entries, nil)[0]
		got = append(got, name[len("c-"):strings.LastIndexByte(name, '-')])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNames_User: the same command of two users is two tasks, and the lines keep theirs.
func TestNames_User(t *testing.T) {
	table := crontab.Read("@daily ann x\n@daily bob x\n", crontab.Options{System: true, Now: begin})
	names := crontab.Names("c", table.Entries, nil)
	slices.Reverse(table.Entries)
	again := crontab.Names("c", table.Entries, nil)
	slices.Reverse(again)
	if diff := cmp.Diff(names, again); diff != "" || names[0] == names[1] {
		t.Errorf("%q (-first +again):\n%s", names, diff)
	}
}
