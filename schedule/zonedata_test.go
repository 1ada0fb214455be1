package schedule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/zonedb"
)

func TestTZData(t *testing.T) {
	write := func(dir, name, text string) {
		t.Helper()
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	none, zi, bsd, bare, odd, long, longest := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	for _, dir := range []string{zi, bsd, bare, odd, long, longest} {
		write(dir, "Europe/Berlin", "")
	}
	write(zi, "tzdata.zi", "# version 2026a\nR d 1916 o\n")
	write(bsd, "+VERSION", "2025b\n")
	write(long, "+VERSION", strings.Repeat("x", 65)+"\n")
	write(longest, "+VERSION", strings.Repeat("x", 64)+"\n")
	write(odd, "tzdata.zi", strings.Repeat("x", 100_000))
	for _, tt := range []struct {
		dirs []string
		want string
	}{
		{[]string{none, zi, bsd}, "2026a, " + zi},
		{[]string{bsd, zi}, "2025b, " + bsd},
		{[]string{bare, zi}, "of unknown version, " + bare},
		{[]string{long}, "of unknown version, " + long},
		{[]string{longest}, strings.Repeat("x", 64) + ", " + longest},
		{[]string{odd}, "of unknown version, " + odd},
	} {
		if got := zoneData(tt.dirs); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if got := zoneData([]string{none}); !strings.HasPrefix(got, "the copy of go") && !strings.Contains(got, "devel") {
		t.Errorf("without zone data: %q", got)
	}
	if TZData() == "" {
		t.Error("nothing is said of this machine")
	}
	if zonedb.Current().Version == "" { // package time looks where ZONEINFO says first
		t.Setenv("ZONEINFO", zi)
		if got := TZData(); got != "2026a, "+zi {
			t.Errorf("with ZONEINFO: %q", got)
		}
		t.Setenv("ZONEINFO", none)
		without := TZData()
		t.Setenv("ZONEINFO", "")
		if got := TZData(); got != without || strings.Contains(got, none) {
			t.Errorf("with ZONEINFO that has none %q, without %q", without, got)
		}
	}
}

// A zone has one name. The trees with leap seconds, and other spellings that a file system would find, are refused.
func TestLoadZone_OneName(t *testing.T) {
	for _, name := range []string{
		"", "Local", "LOCAL", "localtime", "Europe//Berlin", "./Europe/Berlin", "Europe/./Berlin", "Europe/../Europe/Berlin", "/usr/share/zoneinfo/UTC",
		"right/Europe/Berlin", "posix/Europe/Berlin", "Europe/Berlin/", "Europe", "Europe/Atlantis", strings.Repeat("x", 65), "tzdata.zi", "UTC\x00",
	} {
		if loc, m := loadZone(name); m.want == "" {
			t.Errorf("%q is zone %v", name, loc)
		}
		if _, ok := zones.Load(zoneKey{zonedb.Current(), name}); ok {
			t.Errorf("%q is kept", name)
		}
	}
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT"} {
		if _, m := loadZone(name); m.want != "" {
			t.Errorf("%q: %s", name, m.want)
		}
	}
}

func TestLikelyZone(t *testing.T) {
	if len(zoneNames()) == 0 {
		t.Skip("no zone data in files on this machine: there is nothing to guess from")
	}
	for name, want := range map[string]string{
		"Europe/Berln": "Europe/Berlin", "europe/berlin": "Europe/Berlin", "berlin": "Europe/Berlin", "Amerika/New_York": "America/New_York",
		"Cuva": "Cuba", "Cova": "", "UTX": "", "Irn": "", "Iram": "Iran", "Europ/Berln": "Europe/Berlin", "Erope/Brln": "", "new_york": "America/New_York", "Mars/Olympus": "", "": "", strings.Repeat("x", 60): "",
	} {
		if got := likelyZone(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "acb", 2}, {"abc", "ab", 1}, {"kitten", "sitting", 3}, {"abcdefgh", "hgfedcba", 5}, {"", "abcd", 4}, {"abcde", "", 5}, {"abc", "xyz", 3}, {"ab", "ba", 2}, {"abcdefg", "bcdefgh", 2}} {
		if got := distance(tt.a, tt.b, 5); got != tt.want {
			t.Errorf("%q to %q is %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
