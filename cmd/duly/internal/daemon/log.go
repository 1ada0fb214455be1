package daemon

import (
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/dulyhq/duly/target"
)

// A veil is between the log and its writer: it covers what is secret, wherever in a line it stands.
type veil struct {
	to    io.Writer
	known atomic.Pointer[strings.Replacer] // covers the secrets that the daemon knows
}

// looksSecret are secrets that the daemon does not know, by their shape. The first group of a match stays.
var looksSecret = regexp.MustCompile(
	`()whsec_[A-Za-z0-9+/=]+|()` + tokenPrefix + `[A-Za-z0-9_-]{20,}|((?i:bearer|basic) )[A-Za-z0-9._~+/=-]{8,}|(://[^/\s:@"]*:)[^/\s@"]+@`)

// keep makes texts known as secrets, in place of those before.
func (v *veil) keep(texts []string) {
	pairs := make([]string, 0, 2*len(texts))
	for _, t := range texts {
		pairs = append(pairs, t, target.Redaction)
	}
	v.known.Store(strings.NewReplacer(pairs...))
}

// Write implements io.Writer. A log writes each line by one call.
func (v *veil) Write(line []byte) (int, error) {
	text := string(line)
	if known := v.known.Load(); known != nil {
		text = known.Replace(text)
	}
	text = looksSecret.ReplaceAllStringFunc(text, cover)
	if _, err := io.WriteString(v.to, text); err != nil {
		return 0, err
	}
	return len(line), nil
}

// cover replaces what is secret in a match of looksSecret.
func cover(match string) string {
	m := looksSecret.FindStringSubmatch(match)
	switch {
	case m[3] != "":
		return m[3] + target.Redaction
	case m[4] != "":
		return m[4] + target.Redaction + "@"
	}
	return target.Redaction
}

// newLogger returns a logger of the configured form, whose level can be changed.
func newLogger(w io.Writer, format string, l *slog.LevelVar) *slog.Logger {
	o := &slog.HandlerOptions{Level: l}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}
