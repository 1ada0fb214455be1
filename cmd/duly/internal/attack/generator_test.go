package attack

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
)

// A generator makes requests from an OpenAPI document, most of which are wrong somewhere. The same seed and number give the same request.
type generator struct {
	seed       uint64
	bearer     string
	operations []operation
	schemas    map[string]schema
}

func newGenerator(seed uint64, bearer string, paths map[string]map[string]operation, schemas map[string]schema) *generator {
	g := &generator{seed: seed, bearer: bearer, schemas: schemas}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for _, method := range slices.Sorted(maps.Keys(paths[path])) {
			op := paths[path][method]
			op.method, op.path = strings.ToUpper(method), path
			g.operations = append(g.operations, op)
		}
	}
	return g
}

// A wrong request is one of a generator's.
type wrong struct {
	op     *operation
	method string
	text   string
	// raw says that it is wrong in a way that is seen before there is a request: who reads HTTP answers, in plain text.
	raw bool
}

// A draw is the making of one request.
type draw struct {
	*generator
	*rand.Rand

	w     wrong
	wrong int // how many things may still be made wrong
}

// request returns the n-th request.
func (g *generator) request(n int) wrong {
	d := &draw{generator: g, Rand: rand.New(rand.NewPCG(g.seed, uint64(n)))}
	d.w.op = &g.operations[d.IntN(len(g.operations))]
	d.wrong = 1 + d.IntN(3)
	d.w.method = d.w.op.method
	if d.spoil(20) {
		d.w.method = pick(d, "GET", "PUT", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "X", strings.Repeat("M", 300))
	}
	target := d.target()
	media, body := d.body()
	head := d.headers(media)
	d.w.text = d.w.method + " " + target + " HTTP/1.1\r\n" + strings.Join(head, "\r\n") + "\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body
	return d.w
}

// spoil says, once in so many times, that something is to be made wrong here.
func (d *draw) spoil(once int) bool {
	if d.wrong == 0 || d.IntN(once) > 0 {
		return false
	}
	d.wrong--
	return true
}

func pick[T any](d *draw, all ...T) T { return all[d.IntN(len(all))] }

// nasty are texts that are right in few places.
var nasty = []string{
	"", " ", ".", "..", "../../etc/passwd", "a/b", "%", "%2e%2e", "\x00", "a\x00b", "a\r\nX: y", "\n", "\t", "\x1b[2J", "\x7f", "\u0085", "\u202etxt", "\ufeff", "\u2028",
	"\xff", "a\xc0\x80", "\xed\xa0\x80", "é", "e\u0301", "日本語", "💥", "null", "true", "-1", "0", "1e999999999", "NaN", "9223372036854775808", "'; drop table tasks; --",
	"<script>", "{{7*7}}", "$(id)", "${HOME}", strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("é", 300), "2026-02-30T00:00:00Z",
	"9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "-1s", "1", "1h1h", "P1Y", "PT1H", "9223372036854775807ns", "2562047h47m16.854775807s",
	"every 1ns", "in 0s", "at 9999-12-31T23:59:59-23:59", "cron 0 0 30 2 *", "((((", "rrule FREQ=SECONDLY;COUNT=1000000000 DTSTART:19700101T000000Z", "* * * * *", "Local",
	"http://127.0.0.1:1/", "http://[::ffff:7f00:1]/", "file:///etc/passwd", "https://", "//", "*", `"1"`, `W/"1"`, `"9223372036854775808"`, "now", "18446744073709551615",
}

// target is the path and the query.
func (d *draw) target() string {
	names := []string{"a", "b", "c", "d%2Fe", "%F0%9F%92%A5"}
	path := d.w.op.path
	if strings.Contains(path, "{name}") {
		name := pick(d, names...)
		if d.spoil(4) {
			name = url.PathEscape(pick(d, nasty...))
		}
		path = strings.ReplaceAll(path, "{name}", name)
	}
	if d.spoil(25) {
		path = pick(d, path+"/", "/"+path, path+"/x", strings.ToUpper(path), strings.Replace(path, "/", "//", 2), path+"%2F", path+";x", "/", "/v2/tasks", path+"%00", "/../"+path)
	}
	if d.spoil(60) {
		path, d.w.raw = path+pick(d, "%", "%2", "%zz", " x", "\x7f", "%u0041"), true
	}
	var query []string
	for _, p := range d.w.op.Parameters {
		if p.In != "query" || d.IntN(4) > 0 {
			continue
		}
		value := url.QueryEscape(d.parameter(p))
		if d.spoil(8) {
			value = pick(d, "%", "%zz", "a;b", "a=b", "%FF", strings.Repeat("x", 4000))
		}
		query = append(query, p.Name+"="+value)
		if d.spoil(20) {
			query = append(query, p.Name+"="+value)
		}
	}
	if d.spoil(20) {
		query = append(query, pick(d, "x=y", "=", "&&", "%zz=1", "_method=DELETE", "Limit=1", "limit[]=1", "a;b", url.QueryEscape(pick(d, nasty...))+"=1"))
	}
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	return path
}

// parameter is a value of a query, right or wrong.
func (d *draw) parameter(p parameter) string {
	if d.spoil(3) {
		return pick(d, nasty...)
	}
	if known := parameters[p.Name]; known != nil {
		return pick(d, known...)
	}
	switch {
	case p.Schema.Type == "boolean":
		return pick(d, "true", "false")
	case p.Schema.Type == "integer":
		return pick(d, "0", "1", "7", "1000", "2147483647")
	case p.Schema.Format == "date-time":
		return pick(d, "2026-12-24T17:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-12-24T17:00:00.999999999-12:00")
	}
	return pick(d, "a", "b")
}

// parameters are values that are right.
var parameters = map[string][]string{
	"schedule": {"every 15m", "cron 0 9 * * mon-fri", "at 2027-01-01T00:00:00Z", "(every 1h) or (every 90m)"},
	"zone":     {"UTC", "Europe/Berlin"},
	"state":    {"pending", "running", "dead"},
	"running":  {"stop"},
	"after":    {"0", "now", "17"},
	"n":        {"1", "10", "1000"},
	"limit":    {"1", "10", "1000"},
	"attempt":  {"1"},
}

// headers are those of the request.
func (d *draw) headers(media string) []string {
	head := []string{"Host: localhost", d.bearer}
	if d.spoil(40) {
		head[0] = pick(d, "Host: evil.example", "Host: localhost.", "Host:")
	}
	if d.spoil(40) {
		head[1] = pick(d, "Authorization: Bearer wrong", "X: y", "Authorization: Basic x", d.bearer+"\r\n"+d.bearer)
	}
	if d.spoil(15) {
		media = pick(d, "", "text/plain", "application/json; charset=latin1", "application/x-www-form-urlencoded", "multipart/form-data", "application/x-ndjson", "x", ";;;")
	}
	if media != "" {
		head = append(head, "Content-Type: "+media)
	}
	for _, p := range d.w.op.Parameters {
		if p.In == "header" && d.IntN(4) == 0 {
			head = append(head, p.Name+": "+pick(d, `"1"`, "*", "0", `"x"`, `"1", "2"`, "-1", "99999999999999999999", `""`, "\xff"))
		}
	}
	if d.spoil(20) {
		head = append(head, pick(d,
			"Content-Encoding: gzip", "Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "If-Match: x", "If-None-Match: *", "Accept: x/y",
			"Range: bytes=0-", "X-HTTP-Method-Override: DELETE", "Cookie: a=b", "TE: trailers", "Last-Event-ID: -1", "X-Long: "+strings.Repeat("x", 8000)))
	}
	return head
}

// body is that of the request, and what it is said to be.
func (d *draw) body() (media, body string) {
	if d.w.op.Body == nil {
		if d.spoil(20) {
			return "application/json", pick(d, "{}", "[]", "x", `{"a": 1}`)
		}
		return "", ""
	}
	for m, c := range d.w.op.Body.Content {
		media = m
		body = d.value(c.Schema, "", 0)
		if m != "application/json" {
			lines := []string{body}
			for range d.IntN(4) {
				lines = append(lines, d.value(c.Schema, "", 0))
			}
			body = strings.Join(lines, pick(d, "\n", "\r\n", "\n\n"))
		}
	}
	if d.spoil(6) {
		body = d.broken(body)
	}
	return media, body
}

// broken is JSON that most likely is none any more.
func (d *draw) broken(s string) string {
	at := d.IntN(len(s) + 1)
	switch d.IntN(10) {
	case 0:
		return s[:at]
	case 1:
		return s[:at] + string([]byte{byte(d.IntN(256))}) + s[at:]
	case 2:
		return s[:at] + s[min(at+1, len(s)):]
	case 3:
		return "\xef\xbb\xbf" + s
	case 4:
		return s + pick(d, "x", s, "\x00", "}", ",")
	case 5:
		return s[:at] + s[at/2:]
	case 6:
		return strings.Repeat("[", 20_000)
	case 7:
		return pick(d, "", " ", "null", "1", `"x"`, "[]", "{", "true", "\x00", "{}", "nul")
	case 8:
		return strings.ReplaceAll(s, `"`, "'")
	default:
		b := []byte(s)
		if len(b) > 0 {
			b[d.IntN(len(b))] ^= byte(1 + d.IntN(255))
		}
		return string(b)
	}
}

// value is JSON of a schema, with what is wrong in it.
func (d *draw) value(s schema, name string, deep int) string {
	if d.spoil(12) {
		return d.other()
	}
	if s.Ref != "" {
		s = d.schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	}
	switch {
	case s.Properties != nil:
		return d.object(s, deep)
	case s.Type == "object":
		return object(map[string]string{pick(d, "A", "X-B", "Content-Type"): quoted(d.text(name))})
	case s.Type == "array":
		all := make([]string, d.IntN(3))
		for i := range all {
			all[i] = d.value(*s.Items, name, deep+1)
		}
		return "[" + strings.Join(all, ", ") + "]"
	case s.Type == "boolean":
		return pick(d, "true", "false")
	case s.Type == "integer":
		return pick(d, "0", "1", "3", "10", "-1", "2147483648", "9223372036854775807")
	case s.Type == "string":
		return quoted(d.text(name))
	}
	return pick(d, "null", "1", `"x"`, `{"a": [1, 2]}`)
}

// text is a string of a field.
func (d *draw) text(name string) string {
	if d.spoil(6) {
		return pick(d, nasty...)
	}
	if known := fields[name]; known != nil {
		return pick(d, known...)
	}
	return pick(d, "a", "b", "1h")
}

// fields are values that are right. What is run is harmless, and late.
var fields = map[string][]string{
	"name": {"a", "b", "c"}, "kind": {"note", "other"}, "args": {"true"}, "shell": {"true"}, "dir": {"/"}, "url": {"https://callback.invalid/x"}, "method": {"POST", "GET"},
	"schedule": {"every 15m", "at 2027-06-01T00:00:00Z", "in 24h"}, "in": {"24h", "PT48H", "3 days"}, "at": {"2027-06-01T00:00:00Z", "tomorrow 17:00"}, "every": {"24h"},
	"cron": {"0 9 1 1 *"}, "calendar": {"*-01-01 09:00"}, "zone": {"UTC", "Europe/Berlin"}, "conflict": {"replace", "keep", "fail", "keep-time", "earliest", "debounce"},
	"overlap": {"skip", "buffer", "cancel", "allow", "buffer-many:3"}, "catch_up": {"latest", "earliest", "none", "all:3"}, "prefix": {"a"}, "tag": {"t"}, "tags": {"t", "u"},
	"names": {"a", "b"}, "grace": {"5s"},
}

// object is an object of a schema: often what the schema says, of which some fields make sense together.
func (d *draw) object(s schema, deep int) string {
	var parts []string
	add := func(name, value string) { parts = append(parts, quoted(name)+": "+value) }
	names := slices.Sorted(maps.Keys(s.Properties))
	for _, name := range d.chosen(names) {
		if deep > 4 {
			break
		}
		add(name, d.value(s.Properties[name], name, deep+1))
		if d.spoil(30) {
			add(name, d.value(s.Properties[name], name, deep+1))
		}
	}
	if d.spoil(12) {
		add(pick(d, nasty...), d.other())
	}
	if d.spoil(20) {
		add(pick(d, strings.ToUpper(pick(d, names...)), "__proto__", "x"), d.other())
	}
	d.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return "{" + strings.Join(parts, pick(d, ", ", ",", " ,\n")) + "}"
}

// chosen are the fields that are given.
func (d *draw) chosen(names []string) []string {
	groups := [][]string{{"command", "http", "kind"}, {"in", "at", "every", "cron", "calendar", "schedule"}, {"args", "shell"}, {"names", "prefix", "tag", "all"}}
	if !slices.Contains(names, "every") {
		groups[1] = []string{"in", "at", "schedule"}
	}
	var all, free []string
	for _, name := range names {
		if !slices.ContainsFunc(groups, func(g []string) bool { return slices.Contains(g, name) }) {
			free = append(free, name)
		}
	}
	for _, g := range groups {
		g = slices.DeleteFunc(slices.Clone(g), func(name string) bool { return !slices.Contains(names, name) })
		if len(g) > 0 && !d.spoil(12) {
			all = append(all, pick(d, g...))
		}
		if len(g) > 0 && d.spoil(25) {
			all = append(all, pick(d, g...))
		}
	}
	if slices.Contains(names, "url") {
		all = append(all, "url")
	}
	for range d.IntN(4) {
		if len(free) > 0 {
			all = append(all, pick(d, free...))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// other is JSON that hardly belongs there.
func (d *draw) other() string {
	switch d.IntN(6) {
	case 0:
		return pick(d, "null", "true", "0", "-1", "1.5", "1e999999999", "9223372036854775808", "-9223372036854775809", strings.Repeat("9", 400), "1E400")
	case 1:
		return pick(d, "[]", "{}", "[[]]", `[null]`, `{"": ""}`, `{"a": 1, "a": 2}`, `[1, "2", {}]`)
	case 2:
		return pick(d, `"\ud800"`, `"\u0000"`, `"\udc00\ud800"`, `"\u202e"`, `"\/"`, `"\x"`, `"`)
	case 3:
		n := pick(d, 10, 999, 1000, 1001, 20_000)
		return strings.Repeat("[", n) + strings.Repeat("]", n)
	case 4:
		b, err := json.Marshal(strings.Repeat("x", pick(d, 100, 1000, 70_000)))
		if err != nil {
			panic(fmt.Sprint("a string has JSON: ", err))
		}
		return string(b)
	}
	return quoted(pick(d, nasty...))
}
