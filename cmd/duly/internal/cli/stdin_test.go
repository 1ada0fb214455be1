package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"
)

const midnight = "2026-11-22T00:00:00Z"

// TestAnswerLines_LongLines: a line of the largest size is read, a longer one is passed over, and what follows is answered.
func TestAnswerLines_LongLines(t *testing.T) {
	request := func(size int) string {
		const begin, end = `{"id":1,"expr":"@daily","n":1,"name":"`, `"}`
		return begin + strings.Repeat("x", size-len(begin)-len(end)) + end
	}
	in := request(maxLine) + "\n" + request(maxLine+1) + "\n" + request(100) + "\n" + request(maxLine+1)
	var out strings.Builder
	if err := answerLines(strings.NewReader(in), &out, at(t, midnight)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d answers, want 4", len(lines))
	}
	for i, want := range []string{`{"id":1,"expression":"@daily"`, `{"id":null,"expression":"","error":"the line is longer`, `{"id":1,"expression":"@daily"`, `{"id":null,`} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("answer %d is %.80s, want %s...", i, lines[i], want)
		}
	}
}

// TestAnswerLines_Memory: a line without an end takes no more room than the longest that is read.
func TestAnswerLines_Memory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	endless := io.LimitReader(repeat('x'), 256*maxLine)
	if err := answerLines(endless, io.Discard, at(t, midnight)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 16*maxLine {
		t.Errorf("%d bytes were allocated for a line of %d, want no more than a few MiB", used, 256*maxLine)
	}
}

// repeat is an endless input of one byte.
type repeat byte

func (r repeat) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}

// TestAnswerLines_Dialogue: an answer comes before the next request is asked for, as a program needs that talks to it.
func TestAnswerLines_Dialogue(t *testing.T) {
	requests, ask := io.Pipe()
	answers, answer := io.Pipe()
	done := make(chan error)
	go func() {
		err := answerLines(requests, answer, at(t, midnight))
		_ = answer.Close()
		done <- err
	}()
	read := bufio.NewScanner(answers)
	for i := range 3 {
		if _, err := fmt.Fprintf(ask, "{\"id\":%d,\"expr\":\"@daily\",\"n\":1}\n", i); err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"id":%d,`, i); !read.Scan() || !strings.HasPrefix(read.Text(), want) {
			t.Fatalf("answer %q, want %s...", read.Text(), want)
		}
	}
	if err := ask.Close(); err != nil {
		t.Fatal(err)
	}
	if read.Scan() {
		t.Errorf("answer %q to no request", read.Text())
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestAnswerLines_LastLine: a request without a newline at the end counts, as does one with the ends of Windows.
func TestAnswerLines_LastLine(t *testing.T) {
	var out strings.Builder
	in := "{\"id\":1,\"expr\":\"@daily\",\"n\":1}\r\n{\"id\":2,\"expr\":\"@daily\",\"n\":1}"
	if err := answerLines(strings.NewReader(in), &out, at(t, midnight)); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), `"never":false}`+"\n"); n != 2 {
		t.Errorf("%d answers, want 2:\n%s", n, out.String())
	}
}

func TestDecode_Refused(t *testing.T) {
	tests := []struct{ name, line, id, want string }{
		{name: "nothing", line: ``, want: "the line is no JSON object"},
		{name: "null", line: `null`, want: "the line is no JSON object"},
		{name: "a list", line: `[{"expr":"@daily"}]`, want: "the line is no JSON object"},
		{name: "cut off", line: `{"id":1,"expr":`, want: "the line is no JSON object: unexpected end of JSON input"},
		{name: "two objects", line: `{"id":1,"expr":"@daily"} {}`, want: "the line is no JSON object: invalid character '{' after top-level value"},
		{name: "not UTF-8", line: "{\"id\":\"\xff\",\"expr\":\"@daily\"}", want: "the line is not UTF-8"},
		{name: "an unknown key", line: `{"id":1,"expr":"@daily","timezone":"UTC"}`, id: `1`, want: `unknown key "timezone": want id, days, dst_fold, dst_gap, expr, from, inclusive, kind, n, name, until or zone`},
		{name: "a key in another case", line: `{"id":1,"Expr":"@daily"}`, id: `1`, want: `unknown key "Expr": want id, days, dst_fold, dst_gap, expr, from, inclusive, kind, n, name, until or zone; did you mean expr?`},
		{name: "no expression", line: `{"id":"a"}`, id: `"a"`, want: `expr: want an expression, such as "0 9 * * mon-fri"`},
		{name: "an expression of another type", line: `{"id":"a","expr":5}`, id: `"a"`, want: `expr 5: want a string`},
		{name: "a truth of another type", line: `{"id":"a","expr":"@daily","inclusive":1}`, id: `"a"`, want: `inclusive 1: want true or false`},
		{name: "a number of another type", line: `{"id":"a","expr":"@daily","n":"5"}`, id: `"a"`, want: `n "5": want a whole number from 1 to 10000`},
		{name: "too few", line: `{"id":"a","expr":"@daily","n":0}`, id: `"a"`, want: `n 0: want a whole number from 1 to 10000`},
		{name: "too many", line: `{"id":"a","expr":"@daily","n":10001}`, id: `"a"`, want: `n 10001: want a whole number from 1 to 10000`},
		{name: "no kind", line: `{"id":"a","expr":"@daily","kind":"cal"}`, id: `"a"`, want: `kind "cal": want cron, calendar, rrule, every, at, in, pace, pace-from-start or union`},
		{name: "no policy", line: `{"id":"a","expr":"@daily","dst_gap":"skipp"}`, id: `"a"`, want: `dst_gap "skipp": want after, skip or shift; did you mean skip?`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, _, err := decode([]byte(tt.line))
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
			if string(id) != tt.id {
				t.Errorf("id %s, want %s", id, tt.id)
			}
		})
	}
}

// FuzzReply: each line has one line for an answer, which is JSON with the keys of one of the two forms, and the id of an object
// is the request's.
func FuzzReply(f *testing.F) {
	f.Add([]byte(`{"id":1,"expr":"0 9 * * mon-fri","kind":"cron","zone":"Europe/Berlin","from":"2026-10-24T07:00:00Z","inclusive":true,"n":2}`))
	f.Add([]byte(`{"id":{"a":[1e400]},"expr":"every 15m jitter 30s","until":"2027-01-01","name":"x","n":3}`))
	f.Add([]byte(`{"expr":"(cron 0 9 * * * in Asia/Tokyo gap skip) or (at 2026-12-24) times 3","n":4,"from":"2026-01-01"}`))
	f.Add([]byte(`{"expr":"cron * * * * * except (cron * 1-22 * * *)","days":"and","dst_fold":"both","n":2,"from":null}`))
	f.Add([]byte(`{"id":"\u2028<&>","expr":"\u0000"}`))
	now := at(f, midnight)
	f.Fuzz(func(t *testing.T, line []byte) {
		id, req, err := decode(line)
		if req.n > 20 {
			return // a long answer takes its time and shows nothing else
		}
		if err == nil && !utf8.Valid(line) {
			t.Error("accepted what is not UTF-8")
		}
		out, err := json.Marshal(reply(line, false, now))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(out, '\n') >= 0 {
			t.Errorf("an answer of several lines: %s", out)
		}
		var got struct {
			ID          json.RawMessage `json:"id"`
			Expression  *string         `json:"expression"`
			Error       *string         `json:"error"`
			Canonical   *string         `json:"canonical"`
			Warnings    []string        `json:"warnings"`
			Occurrences []occurrence    `json:"occurrences"`
			Never       *bool           `json:"never"`
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		if !sameJSON(t, id, got.ID) {
			t.Errorf("id %s, want %s", got.ID, id)
		}
		good := got.Canonical != nil && got.Warnings != nil && got.Occurrences != nil && got.Never != nil
		if got.Expression == nil || good == (got.Error != nil) {
			t.Errorf("neither an answer nor a refusal: %s", out)
		}
	})
}

// sameJSON compares texts that may differ in blanks and in how characters are escaped.
func sameJSON(t *testing.T, a, b json.RawMessage) bool {
	t.Helper()
	norm := func(raw json.RawMessage) string {
		if raw == nil {
			return "null"
		}
		out, err := json.Marshal(raw)
		if err != nil {
			t.Fatalf("id %s: %v", raw, err)
		}
		return string(out)
	}
	return norm(a) == norm(b)
}
