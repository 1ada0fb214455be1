package daemon

import (
	"encoding/json"
	"io"
	"log" //nolint:depguard // what libraries print there is taken from it
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
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

// keep makes texts known as secrets, in place of those before, also as they are written between quotation marks and in URLs.
func (v *veil) keep(texts []string) {
	var all []string
	for _, t := range texts {
		all = append(all, t, inQuotes(strconv.Quote(t)), inQuotes(asJSON(t)), url.QueryEscape(t), url.PathEscape(t))
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // so that none is left half
	var pairs []string
	for _, t := range slices.Compact(all) {
		pairs = append(pairs, t, target.Redaction)
	}
	v.known.Store(strings.NewReplacer(pairs...))
}

func inQuotes(quoted string) string { return quoted[1 : len(quoted)-1] }

func asJSON(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a text always can
	return strings.TrimSuffix(b.String(), "\n")
}

// Write implements io.Writer. A log writes each line by one call.
func (v *veil) Write(line []byte) (int, error) {
	if _, err := io.WriteString(v.to, v.hide(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// hide covers what is secret in a text.
func (v *veil) hide(text string) string {
	if known := v.known.Load(); known != nil {
		text = known.Replace(text)
	}
	return looksSecret.ReplaceAllStringFunc(text, cover)
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

// takeLog has the log of the standard library in the daemon's until the function that it returns is called, at the level debug: what the
// library tells there, of an answer that nobody has asked for or of frames that make no sense, strangers can bring about.
func (d *Daemon) takeLog() (giveBack func()) {
	to, flags, prefix := log.Writer(), log.Flags(), log.Prefix()
	log.SetOutput(slog.NewLogLogger(d.log.Handler(), slog.LevelDebug).Writer())
	log.SetFlags(0)
	log.SetPrefix("")
	return func() {
		log.SetOutput(to)
		log.SetFlags(flags)
		log.SetPrefix(prefix)
	}
}
