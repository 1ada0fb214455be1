package store

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestCut cuts reasons between two characters, and no shorter than it must.
func TestCut(t *testing.T) {
	full := strings.Repeat("x", MaxReason)
	for _, c := range []struct{ name, s, want string }{
		{"nothing", "", ""},
		{"short", "Grüße", "Grüße"},
		{"just fits", full, full},
		{"a byte too long", full + "x", full},
		{"far too long", full + full, full},
		{"a character across the end", full[1:] + "ü", full[1:]},
		{"a long character across the end", full[3:] + "\U0001f600", full[3:]},
		{"a character up to the end", full[2:] + "ü" + "x", full[2:] + "ü"},
		{"rubbish", strings.Repeat("\x80", MaxReason+1), ""},
	} {
		if got := cut(c.s); got != c.want {
			t.Errorf("%s: cut to %d bytes that end with %q, want %d", c.name, len(got), got[max(0, len(got)-8):], len(c.want))
		}
	}
}

func TestCut_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Repeat("x", rapid.IntRange(MaxReason-8, MaxReason+1).Draw(t, "n")) + rapid.StringN(0, 8, -1).Draw(t, "end")
		got := cut(s)
		if !strings.HasPrefix(s, got) || !utf8.ValidString(got) || len(got) > MaxReason || len(s) > MaxReason && len(got) <= MaxReason-utf8.UTFMax {
			t.Fatalf("%d bytes cut to %d: %q", len(s), len(got), got[max(0, len(got)-8):])
		}
	})
}
