package attack

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A name that somebody else has pointed at the daemon's address is not its name, however it is written.
func TestHosts(t *testing.T) {
	f := serve(t, "", "hosts=duly.example.com")
	_, port, err := net.SplitHostPort(f.address)
	if err != nil {
		t.Fatal(err)
	}
	get := func(target string, hosts ...string) []string {
		head := []string{"GET " + target + " HTTP/1.1", f.bearer()}
		for _, h := range hosts {
			head = append(head, "Host: "+h)
		}
		return head
	}
	for _, tt := range []struct {
		name   string
		head   []string
		status int
	}{
		{"the address", get("/v1/tasks", f.address), 200},
		{"localhost", get("/v1/tasks", "localhost:"+port), 200},
		{"in capitals", get("/v1/tasks", "LOCALHOST"), 200},
		{"of IPv6", get("/v1/tasks", "[::1]:"+port), 200},
		{"a name that was given", get("/v1/tasks", "duly.example.com"), 200},
		{"the absolute form", get("http://localhost:"+port+"/v1/tasks", "localhost"), 200},
		{"absent", get("/v1/tasks"), 400},
		{"absent in HTTP/1.0", []string{"GET /v1/tasks HTTP/1.0", f.bearer()}, 421},
		{"empty", get("/v1/tasks", ""), 421},
		{"another name", get("/v1/tasks", "evil.example"), 421},
		{"a name that was rebound", get("/v1/tasks", "rebound.evil.example:"+port), 421},
		{"one that begins like ours", get("/v1/tasks", "localhost.evil.example"), 421},
		{"one that ends like ours", get("/v1/tasks", "evil-duly.example.com"), 421},
		{"one below ours", get("/v1/tasks", "a.duly.example.com"), 421},
		{"an address in its own name", get("/v1/tasks", "127.0.0.1.nip.example"), 421},
		{"a trailing dot", get("/v1/tasks", "localhost."), 421},
		{"a trailing dot and a port", get("/v1/tasks", "evil.example.:"+port), 421},
		{"a port that is no number", get("/v1/tasks", "evil.example:localhost"), 421},
		{"two ports", get("/v1/tasks", "localhost:80:evil.example"), 421},
		{"a user before it", get("/v1/tasks", "localhost@evil.example"), 400},
		{"a name behind a user", get("/v1/tasks", "evil.example@localhost"), 400},
		{"IPv6 without brackets", get("/v1/tasks", "::ffff:7f00:1"), 421},
		{"IPv4 as IPv6", get("/v1/tasks", "[::ffff:127.0.0.1]"), 421},
		{"IPv6 at length", get("/v1/tasks", "[0:0:0:0:0:0:0:2]"), 421},
		{"IPv6 with a zone", get("/v1/tasks", "[fe80::1%25lo]"), 421},
		{"a decimal address", get("/v1/tasks", "2130706433"), 421},
		{"a short address", get("/v1/tasks", "127.1"), 421},
		{"another loopback address", get("/v1/tasks", "127.0.0.2"), 421},
		{"any address", get("/v1/tasks", "0.0.0.0:"+port), 421},
		{"the absolute form of another", get("http://evil.example/v1/tasks", "localhost"), 421},
		{"two, the first right", get("/v1/tasks", "localhost", "evil.example"), 400},
		{"two, the second right", get("/v1/tasks", "evil.example", "localhost"), 400},
		{"two that are the same", get("/v1/tasks", "localhost", "localhost"), 400},
		{"one by the proxy's header", append(get("/v1/tasks", "evil.example"), "X-Forwarded-Host: localhost", "Forwarded: host=localhost"), 421},
		{"one with a blank", get("/v1/tasks", "localhost evil.example"), 400},
		{"one with a slash", get("/v1/tasks", "localhost/evil.example"), 400},
		{"a host to connect to", []string{"CONNECT localhost:22 HTTP/1.1", "Host: localhost:22", f.bearer()}, 404},
	} {
		a := f.one("", tt.head...)
		if a.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.body, tt.status)
		}
		if a.status == http.StatusMisdirectedRequest && (a.slug() != "host" || a.problem().Field != "Host") {
			t.Errorf("%s: %s", tt.name, a.body)
		}
	}
	// Also what needs no token is not to be had by another name.
	for _, path := range []string{"/livez", "/readyz", "/openapi.json", "/metrics", "/nothing"} {
		if a := f.one("", "GET "+path+" HTTP/1.1", "Host: evil.example"); a.status != http.StatusMisdirectedRequest {
			t.Errorf("%s by another name: %d", path, a.status)
		}
	}
}

// A website brings about nothing in a browser, and reads nothing.
func TestOrigins(t *testing.T) {
	f := serve(t, "")
	body := `{"kind": "note", "in": "24h"}`
	for _, tt := range []struct {
		name   string
		head   []string
		status int
	}{
		{"no browser", nil, 201},
		{"our own page", []string{"Origin: http://localhost", "Sec-Fetch-Site: same-origin"}, 201},
		{"typed by the user", []string{"Sec-Fetch-Site: none"}, 201},
		{"another site", []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site"}, 403},
		{"another site, without an Origin", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"another site that claims to be ours", []string{"Origin: http://localhost", "Sec-Fetch-Site: cross-site"}, 403},
		{"another port", []string{"Origin: http://localhost:1", "Sec-Fetch-Site: same-site"}, 403},
		{"a word that there is not", []string{"Sec-Fetch-Site: something"}, 403},
		{"an old browser", []string{"Origin: https://evil.example"}, 403},
		{"an old browser and another port", []string{"Origin: http://localhost:1"}, 403},
		{"the null origin", []string{"Origin: null"}, 403},
		{"the null origin of a frame", []string{"Origin: null", "Sec-Fetch-Site: cross-site"}, 403},
		{"a name that begins like ours", []string{"Origin: http://localhost.evil.example"}, 403},
		{"a file", []string{"Origin: file://"}, 403},
		{"no origin at all", []string{"Origin: //"}, 403},
	} {
		for _, method := range []string{"POST /v1/tasks", "PUT /v1/tasks/a", "DELETE /v1/tasks/a", "POST /v1/pause", "PATCH /v1/tasks/a"} {
			verb, path, _ := strings.Cut(method, " ")
			a := f.ask(verb, path, body, tt.head...)
			if (a.status == http.StatusForbidden) != (tt.status == http.StatusForbidden) || a.status == http.StatusForbidden && a.slug() != "origin" {
				t.Errorf("%s, %s: %d %s, want %d", method, tt.name, a.status, a.body, tt.status)
			}
		}
	}
	// What looks is not barred by its origin, but nothing is read without the token, which no browser sends by itself; and no page is
	// allowed to read an answer, or to send what it has to ask for first.
	for _, head := range [][]string{
		{"GET /v1/tasks HTTP/1.1", "Host: localhost", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"},
		{"GET /v1/events HTTP/1.1", "Host: localhost", "Origin: https://evil.example", "Accept: text/event-stream"},
		{"OPTIONS /v1/tasks HTTP/1.1", "Host: localhost", "Origin: https://evil.example", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: authorization"},
		{"OPTIONS /v1/tasks/a HTTP/1.1", "Host: localhost", "Origin: null", "Access-Control-Request-Method: DELETE", "Access-Control-Request-Private-Network: true"},
		{"GET /openapi.json HTTP/1.1", "Host: localhost", "Origin: https://evil.example"},
		{"GET /livez HTTP/1.1", "Host: localhost", "Origin: https://evil.example"},
	} {
		a := f.one("", head...)
		if strings.Contains(head[0], "/v1/") && a.status != http.StatusUnauthorized && a.status != http.StatusForbidden && a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d %s", head[0], a.status, a.body)
		}
		for name := range a.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: the answer has %s", head[0], name)
			}
		}
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", head[0], a.header)
		}
	}
}

// What every browser sends without asking first, a form's types among it, is no request.
func TestContentTypes(t *testing.T) {
	f := serve(t, "")
	body := `{"kind": "note", "in": "24h"}`
	for _, tt := range []struct {
		head   []string
		status int
	}{
		{[]string{"Content-Type: application/json"}, 201},
		{[]string{"Content-Type: Application/JSON; Charset=UTF-8"}, 201},
		{[]string{"Content-Type: application/json", "Content-Encoding: identity"}, 201},
		{[]string{"Content-Type:"}, 415},
		{[]string{"X: y"}, 415},
		{[]string{"Content-Type: text/plain"}, 415},
		{[]string{"Content-Type: text/plain;application/json"}, 415},
		{[]string{"Content-Type: text/plain; charset=application/json"}, 415},
		{[]string{"Content-Type: text/json"}, 415},
		{[]string{"Content-Type: */*"}, 415},
		{[]string{"Content-Type: application/x-www-form-urlencoded"}, 415},
		{[]string{"Content-Type: multipart/form-data; boundary=x"}, 415},
		{[]string{"Content-Type: application/json, text/plain"}, 415},
		{[]string{"Content-Type: application/json/x"}, 415},
		{[]string{"Content-Type: application/jsonx"}, 415},
		{[]string{"Content-Type: application/x-ndjson"}, 415},
		{[]string{"Content-Type: application/json; charset=utf-16"}, 415},
		{[]string{"Content-Type: application/json; charset=utf-8; charset=utf-7"}, 415},
		{[]string{"Content-Type: text/plain", "Content-Type: application/json"}, 415},
		{[]string{"Content-Type: application/json", "Content-Encoding: gzip"}, 415},
		{[]string{"Content-Type: application/json", "Content-Encoding: identity, br"}, 415},
	} {
		for _, path := range []string{"POST /v1/tasks", "PUT /v1/tasks/a", "POST /v1/tasks:batch", "POST /v1/pause"} {
			if tt.status == http.StatusCreated && path != "POST /v1/tasks" || strings.HasSuffix(path, "batch") && slices.Contains(tt.head, "Content-Type: application/x-ndjson") {
				continue
			}
			a := f.one(body, append([]string{path + " HTTP/1.1", "Host: localhost", f.bearer()}, tt.head...)...)
			if a.status != tt.status || tt.status == http.StatusUnsupportedMediaType && a.slug() != "media-type" {
				t.Errorf("%s %q: %d %s, want %d", path, tt.head, a.status, a.body, tt.status)
			}
		}
	}
}

// The method is the one of the request line, whatever else the request says.
func TestMethodOverrides(t *testing.T) {
	f := serve(t, "")
	if a := f.ask("PUT", "/v1/tasks/stays", `{"kind": "note", "in": "24h"}`); a.status != http.StatusCreated {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method"} {
		if a := f.ask("GET", "/v1/tasks/stays", "", name+": DELETE"); a.status != http.StatusOK {
			t.Errorf("%s on a GET: %d %s", name, a.status, a.body)
		}
		if a := f.ask("POST", "/v1/tasks/stays", "", name+": DELETE"); a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s on a POST: %d %s", name, a.status, a.body)
		}
		if a := f.ask("POST", "/v1/tasks/stays/resume", "", name+": DELETE"); a.status != http.StatusOK {
			t.Errorf("%s on a POST that there is: %d %s", name, a.status, a.body)
		}
	}
	for _, query := range []string{"_method=DELETE", "method=DELETE", "X-HTTP-Method-Override=DELETE"} {
		if a := f.ask("GET", "/v1/tasks/stays?"+query, ""); a.status != http.StatusBadRequest || a.slug() != "invalid" {
			t.Errorf("%s on a GET: %d %s", query, a.status, a.body)
		}
		if a := f.ask("POST", "/v1/tasks/stays/resume?"+query, ""); a.status != http.StatusBadRequest {
			t.Errorf("%s on a POST: %d %s", query, a.status, a.body)
		}
	}
	if a := f.one("_method=DELETE", "POST /v1/tasks/stays HTTP/1.1", "Host: localhost", f.bearer(), "Content-Type: application/x-www-form-urlencoded"); a.status != http.StatusMethodNotAllowed {
		t.Errorf("in a form: %d %s", a.status, a.body)
	}
	if a := f.ask("GET", "/v1/tasks/stays", ""); a.status != http.StatusOK {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}
