package attack

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/dulyhq/duly/api"
)

// A name is what it says, or it is refused: none leads to another address, and none is cut or mended.
func TestNames(t *testing.T) {
	f := serve(t, "")
	spec := `{"kind": "note", "in": "24h"}`
	for _, tt := range []struct {
		name, path string
		status     int
		slug       string
	}{
		{"dot", ".", 400, "invalid"},
		{"dots", "..", 400, "invalid"},
		{"dots, encoded", "%2e%2e", 400, "invalid"},
		{"dots, half encoded", ".%2E", 400, "invalid"},
		{"dots below", "a/../b", 404, "no-route"},
		{"dots below, encoded", "a%2f..%2fb", 201, ""},
		{"encoded twice", "%252e%252e", 201, ""},
		{"dots with backslashes", "..%5c..%5cetc", 201, ""},
		{"empty", "", 400, "invalid"},
		{"two slashes", "/a", 404, "no-route"},
		{"a slash at the end", "a/", 404, "no-route"},
		{"an encoded slash", "a%2Fb", 201, ""},
		{"a slash first", "%2Fetc%2Fpasswd", 201, ""},
		{"byte 0", "a%00b", 400, "invalid"},
		{"byte 0 at the end", "a%00.json", 400, "invalid"},
		{"CRLF", "a%0d%0aSet-Cookie:%20x", 400, "invalid"},
		{"a tab", "a%09b", 400, "invalid"},
		{"an escape sequence", "a%1b%5b2Jb", 400, "invalid"},
		{"C1", "a%c2%9b2Jb", 400, "invalid"},
		{"delete", "a%7fb", 400, "invalid"},
		{"RTL override", "a%E2%80%AEtxt.exe", 201, ""}, // the command line shows it as what it is
		{"a word in Hebrew", "%D7%A9%D7%9C%D7%95%D7%9D", 201, ""},
		{"invalid UTF-8", "a%FF", 400, "invalid"},
		{"UTF-8 that is cut", "a%E2%80", 400, "invalid"},
		{"overlong dots", "%C0%AE%C0%AE", 400, "invalid"},
		{"overlong byte 0", "a%C0%80", 400, "invalid"},
		{"a surrogate", "a%ED%A0%80", 400, "invalid"},
		{"beyond Unicode", "a%F4%90%80%80", 400, "invalid"},
		{"half an encoding", "a%2", 400, ""},
		{"no encoding", "a%zz", 400, ""},
		{"the longest", strings.Repeat("x", 255), 201, ""},
		{"too long", strings.Repeat("x", 256), 400, "invalid"},
		{"8 KiB", strings.Repeat("x", 8<<10), 400, "invalid"},
		{"64 KiB", strings.Repeat("x", 64<<10), 431, ""},
		{"64 KiB, encoded", strings.Repeat("%41", 64<<10), 431, ""},
		{"another route's", "a:batch", 201, ""},
		{"a query, encoded", "a%3Fnamespace%3Db", 201, ""},
	} {
		if tt.status == http.StatusRequestHeaderFieldsTooLarge { // it may be cut off before it has heard why
			heard := 0
			for tries := 0; heard == 0 && tries < 20; tries++ {
				for _, a := range f.send("PUT /v1/tasks/" + tt.path + " HTTP/1.1\r\nHost: localhost\r\n" + f.bearer() + "\r\n\r\n" + last) {
					if heard++; a.status != tt.status {
						t.Errorf("%s: %d %.300s, want %d", tt.name, a.status, a.body, tt.status)
					}
				}
			}
			if heard == 0 {
				t.Errorf("%s: no answer", tt.name)
			}
			continue
		}
		a := f.ask("PUT", "/v1/tasks/"+tt.path, spec)
		if a.status != tt.status || a.slug() != tt.slug || tt.slug == "invalid" && a.problem().Field != "name" {
			t.Errorf("%s: %d %s, want %d %s", tt.name, a.status, a.body, tt.status, tt.slug)
		}
		want, err := url.PathUnescape(tt.path)
		if a.status != http.StatusCreated || err != nil {
			continue
		}
		var e api.Entry
		if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Name != want {
			t.Errorf("%s: it is called %q: %v", tt.name, e.Name, err)
		}
	}
	for _, tt := range []struct{ name, json string }{
		{"empty", `""`},
		{"dots", `".."`},
		{"byte 0", `"a\u0000b"`},
		{"CRLF", `"a\r\nb"`},
		{"an escape sequence", `"\u001b[2J"`},
		{"half a surrogate pair", `"a\ud800"`},
		{"the other half", `"\udc00a"`},
		{"halves the wrong way round", `"\udc00\ud800"`},
		{"64 KiB", `"` + strings.Repeat("x", 64<<10) + `"`},
		{"a number", "1"},
		{"an array", `["a"]`},
		{"an object", `{"a": 1}`},
	} {
		for _, field := range []string{"name", "kind", "key", "tags"} {
			if tt.name == "empty" && (field == "name" || field == "kind") { // as if it were not there
				continue
			}
			value := tt.json
			if field == "tags" {
				value = `["fine", ` + value + `]`
			}
			spec := map[string]string{"name": `"b"`, "kind": `"note"`, "in": `"24h"`, field: value}
			a := f.ask("POST", "/v1/tasks", object(spec))
			if a.status != http.StatusBadRequest || a.problem().Field != field {
				t.Errorf("%s as %s: %d %.300s", tt.name, field, a.status, a.body)
			}
		}
	}
	for _, ns := range []string{"..", "%2e", "a%00", "a%0a", "%FF", strings.Repeat("x", 256)} {
		if a := f.ask("PUT", "/v1/tasks/a?namespace="+ns, spec); a.status != http.StatusBadRequest || a.problem().Field != "namespace" {
			t.Errorf("namespace %.40q: %d %.300s", ns, a.status, a.body)
		}
	}
	f.lives()
}

// object is a JSON object of fields that are JSON already.
func object(fields map[string]string) string {
	var b strings.Builder
	for name, value := range fields {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quoted(name) + ": " + value)
	}
	return "{" + b.String() + "}"
}

// CR, LF and byte 0 get neither into a header, nor into what is handed to a process, nor into a name; and none is dropped on the way.
func TestControlCharacters(t *testing.T) {
	f := serve(t, "")
	if a := f.ask("PUT", "/v1/tasks/any", `{"kind": "note", "in": "24h", "tags": ["t"]}`); a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, raw := range []string{"\r\nX: y", "\nX: y", "\rX: y", "\x00"} {
		for _, head := range [][]string{
			{"GET /v1/tasks/a" + raw + " HTTP/1.1", "Host: localhost"},
			{"GET /v1/tasks?prefix=a" + raw + " HTTP/1.1", "Host: localhost"},
			{"GET /v1/tasks HTTP/1.1", "Host: local" + raw + "host"},
		} {
			if a := f.one("", append(head, f.bearer())...); a.status != http.StatusBadRequest && a.status != http.StatusMisdirectedRequest {
				t.Errorf("%q: %d %s", head, a.status, a.body)
			}
		}
		if a := f.ask("PUT", "/v1/tasks/raw", "{\"kind\": \"no"+raw+"te\", \"in\": \"24h\"}"); a.status != http.StatusBadRequest || a.slug() != "invalid" {
			t.Errorf("%q in a string of JSON: %d %s", raw, a.status, a.body)
		}
	}
	for _, encoded := range []string{"%0d%0aX:%20y", "%0a", "%00"} {
		for _, query := range []string{"prefix", "kind", "tag", "cursor", "namespace", "state", "due_from", "limit", "paused", "x"} {
			a := f.ask("GET", "/v1/tasks?"+query+"=a"+encoded, "")
			if selects := query == "prefix" || query == "kind" || query == "tag"; selects && a.status == http.StatusOK && a.body == "{\"tasks\":[]}\n" {
				continue // no task has it
			}
			if a.status != http.StatusBadRequest || a.slug() != "invalid" || a.problem().Field == "" {
				t.Errorf("%s of the query with %s: %d %s", query, encoded, a.status, a.body)
			}
		}
		for _, query := range []string{"schedule", "zone", "name"} {
			path := "/v1/preview?schedule=every%201h" + map[string]string{"schedule": encoded}[query]
			if query != "schedule" {
				path += "&" + query + "=a" + encoded
			}
			may := query == "name" || query == "schedule" && encoded == "%0a" // what is hashed, and a blank
			if a := f.ask("GET", path, ""); a.status != http.StatusBadRequest && !may {
				t.Errorf("%s of a preview with %s: %d %s", query, encoded, a.status, a.body)
			}
		}
	}
	for _, tt := range []struct{ field, spec string }{
		{"command.args[1]", `{"command": {"args": ["true", "a\u0000b"]}, "in": "24h"}`},
		{"command.args[0]", `{"command": {"args": ["true\u0000"]}, "in": "24h"}`},
		{"command.shell", `{"command": {"shell": "true\u0000false"}, "in": "24h"}`},
		{"command.dir", `{"command": {"args": ["true"], "dir": "/tmp\u0000"}, "in": "24h"}`},
		{"command.env.A", `{"command": {"args": ["true"], "env": {"A": "b\u0000c"}}, "in": "24h"}`},
		{"command.env", `{"command": {"args": ["true"], "env": {"A\u0000": "b"}}, "in": "24h"}`},
		{"command.env", `{"command": {"args": ["true"], "env": {"A=B": "c"}}, "in": "24h"}`},
		{"command.env", `{"command": {"args": ["true"], "env": {"": "c"}}, "in": "24h"}`},
		{"http.header.X", `{"http": {"url": "https://example.com", "header": {"X": "a\r\nY: b"}}, "in": "24h"}`},
		{"http.header.X", `{"http": {"url": "https://example.com", "header": {"X": "a\nb"}}, "in": "24h"}`},
		{"http.header.X", `{"http": {"url": "https://example.com", "header": {"X": "a\u0000b"}}, "in": "24h"}`},
		{"http.header", `{"http": {"url": "https://example.com", "header": {"X\r\nY": "b"}}, "in": "24h"}`},
		{"http.header", `{"http": {"url": "https://example.com", "header": {"X: y": "b"}}, "in": "24h"}`},
		{"http.header", `{"http": {"url": "https://example.com", "header": {"": "b"}}, "in": "24h"}`},
		{"http.url", `{"http": {"url": "https://example.com/\r\nX: y"}, "in": "24h"}`},
		{"http.url", `{"http": {"url": "https://example.com/ HTTP/1.1\r\nHost: evil.example"}, "in": "24h"}`},
		{"http.url", `{"http": {"url": "https://example.com\u0000.evil.example/"}, "in": "24h"}`},
		{"http.method", `{"http": {"url": "https://example.com", "method": "GET / HTTP/1.1\r\nX:"}, "in": "24h"}`},
		{"schedule", `{"kind": "note", "schedule": "every 1h\u0000"}`},
		{"cron", `{"kind": "note", "cron": "0 9 * * *\u0000"}`},
		{"zone", `{"kind": "note", "cron": "0 9 * * *", "zone": "UTC\u0000"}`},
		{"zone", `{"kind": "note", "cron": "0 9 * * *", "zone": "../../../etc/passwd"}`},
		{"overlap", `{"kind": "note", "in": "24h", "overlap": "skip\r\n"}`},
	} {
		a := f.ask("PUT", "/v1/tasks/control", tt.spec)
		if a.status != http.StatusBadRequest || !strings.HasPrefix(a.problem().Field, tt.field) {
			t.Errorf("%s: %d %s, want %s", tt.spec, a.status, a.body, tt.field)
		}
		if strings.ContainsAny(a.problem().Detail, "\r\n\x00") {
			t.Errorf("%s: the answer repeats it: %q", tt.spec, a.problem().Detail)
		}
	}
	// What may have several lines keeps them.
	if a := f.ask("PUT", "/v1/tasks/lines", `{"command": {"args": ["printf", "a\r\nb"], "stdin": "c\n\u0000d"}, "in": "24h"}`); a.status != http.StatusCreated {
		t.Errorf("lines in arguments: %d %s", a.status, a.body)
	}
	var task api.Task
	if a := f.ask("GET", "/v1/tasks/lines", ""); json.Unmarshal([]byte(a.body), &task) != nil || task.Command.Args[1] != "a\r\nb" || task.Command.Stdin != "c\n\x00d" {
		t.Errorf("lines in arguments: %s", a.body)
	}
	if strings.Contains(f.log.String(), "\nX: y") {
		t.Error("a line of the log was forged")
	}
	f.lives()
}

// JSON that is made to cost time or memory, or to mean one thing here and another one there, is refused.
func TestJSONBombs(t *testing.T) {
	f := serve(t, "")
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	payload := func(json string) string { return `{"kind": "note", "in": "24h", "payload": ` + json + `}` }
	keys := func(n int, key string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`, "` + strings.ReplaceAll(key, "%d", itoa(i)) + `": 1`)
		}
		return "{" + b.String()[2:] + "}"
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(bytes.Repeat([]byte(" "), 20<<20)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, body string
		status     int
		field      string
		head       []string
	}{
		{"a payload 1,000 deep", payload(deep(1000)), 201, "", nil},
		{"a payload 1,001 deep", payload(deep(1001)), 400, "payload", nil},
		{"a payload 100,000 deep", payload(deep(100_000)), 400, "body", nil},
		{"a body 100,000 deep", deep(100_000), 400, "body", nil},
		{"objects 100,000 deep", strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000), 400, "body", nil},
		{"deep, and never closed", strings.Repeat("[", 200_000), 400, "body", nil},
		{"a number beyond all", `{"kind": "note", "in": "24h", "priority": 1e999999999}`, 400, "priority", nil},
		{"a number that is not whole", `{"kind": "note", "in": "24h", "priority": 1.5}`, 400, "priority", nil},
		{"a number of 100,000 digits", `{"kind": "note", "in": "24h", "priority": ` + strings.Repeat("9", 100_000) + `}`, 400, "priority", nil},
		{"a small number of 100,000 digits", `{"kind": "note", "in": "24h", "priority": 1e-` + strings.Repeat("9", 100_000) + `}`, 400, "priority", nil},
		{"not a number", `{"kind": "note", "in": "24h", "priority": NaN}`, 400, "body", nil},
		{"duplicate keys", `{"kind": "note", "in": "24h", "priority": 1, "priority": 2}`, 400, "priority", nil},
		{"duplicate keys, one encoded", `{"kind": "note", "in": "24h", "priority": 1, "pr\u0069ority": 2}`, 400, "priority", nil},
		{"keys in other cases", `{"kind": "note", "in": "24h", "priority": 1, "Priority": 2}`, 400, "Priority", nil},
		{"duplicate keys inside", `{"command": {"args": ["true"], "env": {"A": "1", "A": "2"}}, "in": "24h"}`, 400, "command.env.A", nil},
		{"20,000 unknown keys", keys(20_000, "k%d"), 400, "k0", nil},
		{"20,000 keys in a payload", payload(keys(20_000, "k%d")), 201, "", nil},
		{"10,000 variables", `{"in": "24h", "any_kind": true, "command": {"args": ["true"], "env": ` + strings.ReplaceAll(keys(10_000, "K%d"), ": 1", `: "1"`) + `}}`, 201, "", nil},
		{"200,000 keys", payload(keys(200_000, "k%d")), 413, "body", nil},
		{"half a surrogate pair", `{"command": {"args": ["true", "\ud800"]}, "in": "24h"}`, 400, "command.args", nil},
		{"half a surrogate pair in a key", `{"command": {"args": ["true"], "env": {"A\udfff": "1"}}, "in": "24h"}`, 400, "command.env", nil},
		{"a whole surrogate pair", `{"any_kind": true, "command": {"args": ["true", "\ud83d\ude00"]}, "in": "24h"}`, 201, "", nil},
		{"a mark of the byte order", "\xef\xbb\xbf" + payload("1"), 400, "body", nil},
		{"UTF-16", "{\x00}\x00", 400, "body", nil},
		{"invalid UTF-8", payload("\"\xff\""), 400, "body", nil},
		{"garbage behind it", payload("1") + "x", 400, "body", nil},
		{"another object behind it", payload("1") + payload("2"), 400, "body", nil},
		{"a byte 0 behind it", payload("1") + "\x00", 400, "body", nil},
		{"a comment", payload("1 /* x */"), 400, "body", nil},
		{"a comma too many", `{"kind": "note", "in": "24h",}`, 400, "body", nil},
		{"cut off", `{"kind": "note", "in": "24h"`, 400, "body", nil},
		{"nothing", " \n ", 400, "body", nil},
		{"null", "null", 400, "body", nil},
		{"a kind again", `{"any_kind": true, "kind": "note", "in": "24h"}`, 201, "", nil},
		{"a prototype", `{"kind": "note", "in": "24h", "__proto__": {"kind": "x"}}`, 400, "__proto__", nil},
		{"2 MiB", payload(`"` + strings.Repeat("x", 2<<20) + `"`), 413, "body", nil},
		{"2 MiB of blanks", strings.Repeat(" ", 2<<20), 413, "body", nil},
		{"2 MiB in chunks", "200000\r\n" + strings.Repeat(" ", 2<<20) + "\r\n0\r\n\r\n", 413, "body", []string{"Transfer-Encoding: chunked"}},
		{"20 MiB in a gzip", packed.String(), 415, "Content-Encoding", []string{"Content-Encoding: gzip"}},
		{"a gzip that is not called one", packed.String(), 400, "body", nil},
	} {
		a := f.ask("PUT", "/v1/tasks/bomb", tt.body, tt.head...)
		if a.status == http.StatusOK { // it was there
			a.status = http.StatusCreated
		}
		if a.status != tt.status || a.problem().Field != tt.field {
			t.Errorf("%s: %d %.300s, want %d of %s", tt.name, a.status, a.body, tt.status, tt.field)
		}
		if len(a.body) > 4<<10 {
			t.Errorf("%s: the answer has %d bytes", tt.name, len(a.body))
		}
	}
	// As lines of a batch, of which none harms another.
	lines := []string{payload("1"), payload(deep(100_000)), keys(1000, "k%d"), payload(`"` + strings.Repeat("x", 2<<20) + `"`), `{"name": "\ud800"}`, "\x00", payload("2")}
	a := f.ask("POST", "/v1/tasks:batch", strings.Join(lines, "\n"), "Content-Type: application/x-ndjson")
	answers := strings.Split(strings.TrimSpace(a.body), "\n")
	if len(answers) != len(lines) {
		t.Fatalf("%d answers to %d lines: %.300s", len(answers), len(lines), a.body)
	}
	for i, line := range answers {
		var e api.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil || (e.Error == nil) != (i == 0 || i == len(lines)-1) {
			t.Errorf("line %d: %.300s", i, line)
		}
	}
	f.lives()
}
