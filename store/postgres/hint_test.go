package postgres

import (
	"strings"
	"testing"

	"github.com/dulyhq/duly/store"
)

func TestHintText(t *testing.T) {
	for _, c := range []struct {
		sender int64
		hint   store.Hint
		want   string
	}{
		{0, store.Hint{At: 7, Shards: setOf([]int16{0, 64})}, "0 7 0000000000000001" + "0000000000000001" + strings.Repeat("0", 32)},
		{-3, store.Hint{At: store.Over, Shards: every()}, "-3 -9223372036854775808 " + strings.Repeat("f", 64)},
		{9, store.Hint{At: store.Never, Shards: setOf([]int16{255})}, "9 9223372036854775807 " + strings.Repeat("0", 48) + "8" + strings.Repeat("0", 15)},
	} {
		got := formatHint(c.sender, c.hint)
		if got != c.want {
			t.Errorf("hint is %q, want %q", got, c.want)
		}
		sender, h, ok := parseHint(got)
		if sender != c.sender || h != c.hint || !ok {
			t.Errorf("%q is read as %d, %v, %v", got, sender, h, ok)
		}
	}
	ok := "1 2 " + strings.Repeat("0", 64)
	for _, bad := range []string{
		"", " ", "1", "1 2", "1 2 ", ok + "0", ok[:len(ok)-1], " " + ok, ok + " ", strings.Replace(ok, "1", "+1", 1), strings.Replace(ok, "2", "02", 1),
		strings.Replace(ok, "1", "99999999999999999999", 1), strings.Replace(ok, "000", "00x", 1), strings.Replace(ok, "000", "00F", 1), "1 2 " + strings.Repeat("é", 32),
	} {
		if sender, h, ok := parseHint(bad); ok {
			t.Errorf("%q is read as %d, %v; want it refused", bad, sender, h)
		}
	}
}

// Whoever may notify the channel may send anything.
func FuzzParseHint(f *testing.F) {
	f.Add(formatHint(7, store.Hint{At: 1, Shards: every()}))
	f.Add("1 2 3")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		sender, h, ok := parseHint(text)
		if again := formatHint(sender, h); ok && again != text {
			t.Errorf("%q is read as a hint that is written %q", text, again)
		}
	})
}
