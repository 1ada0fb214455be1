package daemon

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

func TestLog_CoversSecrets(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var b strings.Builder
		v := &veil{to: &b}
		v.keep([]string{"correct-horse", "battery\"st\\aple\tü/&", "correct-horse-battery"})
		log := newLogger(v, format, new(slog.LevelVar))
		log.Info("begins", "error", errors.New("get https://ada:hunter2@example.com/x: refused"))
		log.Info("begins", "header", "Authorization: Bearer abcdefghijklmnop", "token", "correct-horse")
		log.Info("begins", "a", "whsec_"+strings.Repeat("x", 30), "b", tokenPrefix+strings.Repeat("y", 43), "url", "https://example.com/a:b@c")
		log.Info("begins", "error", errors.New("the password \"battery\"st\\aple\tü/&\" is wrong"), "url", "https://h/?x=battery%22st%5Caple%09%C3%BC%2F%26", "a", "correct-horse-battery")
		got := b.String()
		for _, secret := range []string{"hunter2", "aple", "-battery", "abcdefghijklmnop", "correct-horse", "xxx", "yyy"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s: %q is in the log:\n%s", format, secret, got)
			}
		}
		for _, kept := range []string{"https://ada:", "@example.com/x: refused", "Bearer [redacted]", "https://example.com/a:b@c"} {
			if !strings.Contains(got, kept) {
				t.Errorf("%s: the log does not say %q:\n%s", format, kept, got)
			}
		}
		if lines := strings.Count(got, "\n"); lines != 4 {
			t.Errorf("%s: %d lines", format, lines)
		}
	}
}
