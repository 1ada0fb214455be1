package notice

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/store"
)

// However much there is to keep, it fits into a note, and is read as it was.
func TestState_Fits(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for _, c := range []string{"\\", `"`, "\u2028", "ü", "x"} {
		s := state{By: strings.Repeat(c, 60), Beat: math.MaxInt64, After: math.MaxInt64, Summed: math.MaxInt64, Sealed: &tally{}}
		for i := range MostLimit {
			s.Told = append(s.Told, mark{math.MaxUint64 - uint64(i), math.MaxUint32, math.MaxUint32})
		}
		for n := range 255 {
			name := strings.Repeat(c, n/len(c)) + string(rune('a'+n%26))
			s.Held.add(&Notice{What: Dead, Namespace: strings.Repeat(c, n/len(c)), Name: name, At: now}, math.MaxInt64)
			s.Sealed.add(&Notice{What: Late, Name: strings.Repeat(c, 45/len(c)) + name[len(name)-1:], At: now}, math.MaxInt64)
		}
		text := s.text()
		if len(text) > store.MaxNote || s.Held.count() != 255 || len(s.Sealed.Names) == 0 {
			t.Errorf("%q: %d bytes, %d names", c, len(text), len(s.Sealed.Names))
		}
		got, err := readState(text)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, got, cmp.AllowUnexported(mark{})); diff != "" {
			t.Error(diff)
		}
	}
}

func TestState_NotOurs(t *testing.T) {
	for _, text := range []string{"{", "[]", "null0", `{"after":-1}`, `{"after":1,"told":"AAAA"}`, `{"after":1,"told":"?"}`, `{"held":{"dead":-5}}`} {
		if s, err := readState(text); err == nil || s.After != 0 {
			t.Errorf("%s was read: %+v", text, s)
		}
	}
}

// A task is told once in an interval, all together have their limit, and a clock that was set back holds nobody up.
func TestState_Judge(t *testing.T) {
	var s state
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	step := func(name, id string, d time.Duration, want verdict) {
		t.Helper()
		now = now.Add(d)
		n := &Notice{ID: id, What: Dead, Name: name}
		got := s.judge(n, now, time.Hour, 3)
		if got == tell {
			s.Told = append(s.Told, markOf(n, now))
		}
		if got != want {
			t.Errorf("%s %s at %v: %v, want %v", name, id, now, got, want)
		}
	}
	step("a", "1", 0, tell)
	step("a", "1", time.Second, again)
	step("a", "2", time.Second, hold)
	step("b", "1", time.Second, tell)
	step("c", "1", time.Second, tell)
	step("d", "1", time.Second, hold)
	step("d", "1", time.Hour-6*time.Second, hold)
	step("d", "1", time.Second, tell) // "a" is an hour ago
	step("a", "3", time.Second, hold)
	step("a", "3", 3*time.Second, tell)
	step("a", "4", -48*time.Hour, tell)
	step("a", "5", time.Second, hold)
}

// What is sent has less than 64 KiB, is one line of JSON, and is UTF-8.
func TestNotice_Size(t *testing.T) {
	tl := teller{o: Options{Daemon: strings.Repeat("d", 64)}}
	long := strings.Repeat("\u2028", 255/3)
	for _, reason := range []string{strings.Repeat("\x01", 1<<20), strings.Repeat("ü\xff", 1<<20), strings.Repeat("\"", 1<<20)} {
		n := tl.noticeOf(&duly.Event{
			Namespace: long, Name: long, Kind: long, Reason: reason, At: time.Now(), Due: time.Now(), StartedAt: time.Now(), Attempt: 3, To: duly.Dead,
		}, Dead, time.Now())
		b := n.JSON()
		var back Notice
		if err := json.Unmarshal(b, &back); err != nil || back.Name != long {
			t.Errorf("%v, %q", err, back.Name)
		}
		if len(b) > 64<<10 || strings.Count(string(b), "\n") != 1 || !utf8.Valid(b) {
			t.Errorf("%d bytes", len(b))
		}
	}
}
