package logtest_test

import (
	"fmt"
	"testing"

	"github.com/dulyhq/duly/cmd/duly/internal/logtest"
)

// TestLog: several wait for what others write meanwhile.
func TestLog(t *testing.T) {
	var l logtest.Log
	if l.String() != "" {
		t.Errorf("a new log says %q", l.String())
	}
	done := make(chan string)
	for i := range 4 {
		go func() { done <- l.Times(t, "tea", 3+i%2) }()
	}
	for i := range 4 {
		if _, err := fmt.Fprintf(&l, "tea %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if text := <-done; len(text) < len("tea 0\n")*3 {
			t.Errorf("waited until it said %q", text)
		}
	}
	if got := l.Has(t, "tea 3"); got != "tea 0\ntea 1\ntea 2\ntea 3\n" {
		t.Errorf("it says %q", got)
	}
}
