package crontab_test

import (
	"strings"
	"testing"

	"github.com/dulyhq/duly/cmd/duly/internal/crontab"
)

// TestPassedOver: which names in /etc/cron.d some cron does not take.
func TestPassedOver(t *testing.T) {
	tests := []struct{ name, want string }{
		{"backup", ""},
		{"e2scrub_all", ""},
		{"0-Hourly", ""},
		{"backup.sh", "Debian's cron"},
		{"sicherung-für-heute", "Debian's cron"},
		{".placeholder", "cron passes"},
		{"backup~", "cron passes"},
		{"backup.rpmsave", "cron passes"},
		{"backup.rpmnew", "cron passes"},
		{"backup.dpkg-old", "Debian's cron"},
	}
	for _, tt := range tests {
		if got := crontab.PassedOver(tt.name); !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestEntry_Place: where a variable comes from is the last setting before the line, or the command where there is none.
func TestEntry_Place(t *testing.T) {
	got := crontab.Read("0 1 * * * a\nHOME=/x\nA=1\n0 2 * * * b\nHOME = /y\n@daily c\n", crontab.Options{Now: begin})
	for i, want := range [][2]int{{1, 11}, {2, 6}, {5, 8}} {
		if line, column := got.Entries[i].Place("HOME"); line != want[0] || column != want[1] {
			t.Errorf("entry %d: %d:%d, want %v", i, line, column, want)
		}
	}
}
