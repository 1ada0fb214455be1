package target

import (
	"bytes"
	"strings"
	"sync"
	"unicode"
)

const (
	lineKept  = 8 << 10 // of a line that may have a secret in it
	reasonBig = 500
)

// A lastLine keeps the last line that is not blank of what is written to it: its beginning.
type lastLine struct {
	mu   sync.Mutex
	line []byte // that is being written
	full bool   // the rest of it is passed over
	last string
}

// Write never fails.
func (l *lastLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		keep := part[:min(len(part), lineKept-len(l.line))]
		l.line = append(l.line, keep...)
		l.full = l.full || len(keep) < len(part)
		if i < 0 {
			break
		}
		l.endLocked()
		p = p[i+1:]
	}
	return n, nil
}

// endLocked ends a line. One that is longer than what is kept could end in the middle of a secret, and is not quoted.
func (l *lastLine) endLocked() {
	if s := strings.TrimSpace(string(l.line)); l.full {
		l.last = "(a line that is too long to be repeated)"
	} else if s != "" {
		l.last = s
	}
	l.line, l.full = l.line[:0], false
}

// text returns the line.
func (l *lastLine) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endLocked()
	return l.last
}

// oneLine returns a reason without anything that a terminal or a log would act on, and not all of a long one.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if n := runeBefore([]byte(s), reasonBig); n < len(s) {
		s = s[:n] + "..."
	}
	return strings.TrimSpace(s)
}
