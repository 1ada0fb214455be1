package cli

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRedactArgs(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{name: "nothing to hide", args: []string{"echo", "a b", "it's", ""}, want: []string{"echo", "a b", "it's", ""}},
		{name: "behind =", args: []string{"x", "--token=abc", "API_KEY=abc"}, want: []string{"x", "--token=[redacted]", "API_KEY=[redacted]"}},
		{name: "behind the flag", args: []string{"x", "--password", "abc", "--token", "-v"}, want: []string{"x", "--password", "[redacted]", "--token", "-v"}},
		{name: "in an address", args: []string{"psql", "postgres://me:abc@db/x?sslmode=off"}, want: []string{"psql", "postgres://me:[redacted]@db/x?sslmode=off"}},
		{name: "in a query", args: []string{"curl", "https://x/?a=1&access_token=abc#top"}, want: []string{"curl", "https://x/?a=1&access_token=[redacted]#top"}},
		{name: "a program of such a name", args: []string{"token", "abc"}, want: []string{"token", "abc"}},
		{name: "nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, append([]string(nil), redactArgs(tt.args)...)); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRedactText(t *testing.T) {
	const line = "curl -u x https://me:abc@host/p?key=1&api_key=2 | psql postgres://u@h"
	const want = "curl -u x https://me:[redacted]@host/p?key=[redacted]&api_key=[redacted] | psql postgres://u@h"
	if got := redactText(line); got != want {
		t.Errorf("redactText(%q) = %q, want %q", line, got, want)
	}
}
