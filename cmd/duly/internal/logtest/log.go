// Package logtest lets a test read along what is written.
package logtest

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dulyhq/duly/wait"
)

// hung is when a test gives up: nothing takes a hundredth of it.
const hung = 2 * time.Minute

// A Log is what was written. The zero Log is empty. All methods are safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more *wait.Event // set at the next write; nil while nobody waits
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more != nil {
		l.more.Set()
		l.more = nil
	}
	return l.b.Write(p)
}

// String returns what was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *Log) look() (text string, more *wait.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.more == nil {
		l.more = new(wait.Event)
	}
	return l.b.String(), l.more
}

// Until waits until what was written is as it is asked for, and returns it. If it never is, the test fails there.
func (l *Log) Until(t testing.TB, ok func(text string) bool) string {
	t.Helper()
	for {
		text, more := l.look()
		if ok(text) {
			return text
		}
		if more.WaitFor(hung) != nil {
			t.Fatalf("nothing more was written than:\n%s", text)
		}
	}
}

// Has waits until what was written has a part, and returns all of it. If it never has, the test fails there.
func (l *Log) Has(t testing.TB, part string) string {
	t.Helper()
	return l.Times(t, part, 1)
}

// Times is Has for a part that comes a number of times.
func (l *Log) Times(t testing.TB, part string, times int) string {
	t.Helper()
	return l.Until(t, func(text string) bool { return strings.Count(text, part) >= times })
}
