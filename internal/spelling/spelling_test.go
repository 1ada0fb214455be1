package spelling_test

import (
	"strings"
	"testing"

	"github.com/dulyhq/duly/internal/spelling"
)

func TestClosest(t *testing.T) {
	words := []string{"tomorrow", "teatime", "noon", "weekday"}
	for text, want := range map[string]string{
		"tomorow": "tomorrow", "TEATME": "teatime", "nonn": "noon", "wekday": "weekday", "weekday": "weekday",
		"": "", "n": "", "midnight": "", strings.Repeat("noon", 20): "",
	} {
		if got, ok := spelling.Closest(text, words); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", text, got, ok, want)
		}
	}
}
