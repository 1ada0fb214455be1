package attack

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Who does not have the token, to the byte and where it belongs, is told nothing.
func TestTokens(t *testing.T) {
	f := serve(t, "")
	good := f.token()
	other := serve(t, "").token()
	first, end := string(good[0]+1), string(good[len(good)-1]^1)
	for _, tt := range []struct {
		name, path, head string
		status           int
	}{
		{"the right one", "", "Authorization: Bearer " + good, 200},
		{"another case of the scheme", "", "authorization: BEARER " + good, 200},
		{"absent", "", "X: y", 401},
		{"empty", "", "Authorization: Bearer ", 401},
		{"an empty header", "", "Authorization:", 401},
		{"another scheme", "", "Authorization: Basic " + good, 401},
		{"no scheme", "", "Authorization: " + good, 401},
		{"scheme and tab", "", "Authorization: Bearer\t" + good, 401},
		{"scheme and comma", "", "Authorization: Bearer," + good, 401},
		{"in the query", "?access_token=" + good, "X: y", 401},
		{"in the query by another name", "?token=" + good + "&authorization=Bearer%20" + good, "X: y", 401},
		{"in a cookie", "", "Cookie: token=" + good + "; Authorization=Bearer " + good, 401},
		{"in another header", "", "X-Api-Key: " + good + "\r\nProxy-Authorization: Bearer " + good, 401},
		{"twice, both right", "", "Authorization: Bearer " + good + "\r\nAuthorization: Bearer " + good, 401},
		{"twice, the first right", "", "Authorization: Bearer " + good + "\r\nAuthorization: Bearer " + other, 401},
		{"twice, the second right", "", "Authorization: Bearer " + other + "\r\nAuthorization: Bearer " + good, 401},
		{"twice, one empty", "", "Authorization: Bearer " + good + "\r\nAuthorization:", 401},
		{"two in one header", "", "Authorization: Bearer " + good + ", Bearer " + good, 401},
		{"off by a byte at the beginning", "", "Authorization: Bearer " + first + good[1:], 401},
		{"off by a byte at the end", "", "Authorization: Bearer " + good[:len(good)-1] + end, 401},
		{"cut at the beginning", "", "Authorization: Bearer " + good[1:], 401},
		{"cut at the end", "", "Authorization: Bearer " + good[:len(good)-1], 401},
		{"a prefix", "", "Authorization: Bearer " + good[:len(good)/2], 401},
		{"with more before it", "", "Authorization: Bearer x" + good, 401},
		{"with more behind it", "", "Authorization: Bearer " + good + "x", 401},
		{"twice in one", "", "Authorization: Bearer " + good + good, 401},
		{"with a blank in it", "", "Authorization: Bearer " + good[:9] + " " + good[9:], 401},
		{"with a byte 0 behind it", "", "Authorization: Bearer " + good + "\x00", 400},
		{"with a byte 0 in it", "", "Authorization: Bearer " + good[:9] + "\x00" + good[9:], 400},
		{"with another case", "", "Authorization: Bearer " + strings.ToUpper(good), 401},
		{"percent-encoded", "", "Authorization: Bearer " + good[:9] + fmt.Sprintf("%%%02X", good[9]) + good[10:], 401},
		{"in quotation marks", "", `Authorization: Bearer "` + good + `"`, 401},
		{"its hash", "", "Authorization: Bearer " + sum(good), 401},
		{"another daemon's", "", "Authorization: Bearer " + other, 401},
		{"of 30 KiB", "", "Authorization: Bearer " + strings.Repeat("x", 30<<10), 401},
	} {
		a := f.one("", "GET /v1/tasks"+tt.path+" HTTP/1.1", "Host: localhost", tt.head)
		if a.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, a.status, a.body, tt.status)
		}
		if a.status == http.StatusUnauthorized && (a.slug() != "unauthenticated" || a.header.Get("WWW-Authenticate") == "") {
			t.Errorf("%s: %v %s", tt.name, a.header, a.body)
		}
		if strings.Contains(a.body, good) {
			t.Errorf("%s: the answer has the token", tt.name)
		}
	}
	if log := f.log.String(); strings.Contains(log, good) || strings.Contains(log, other) {
		t.Error("a token is in the log")
	}
	f.lives()
}

func sum(token string) string {
	s := sha256.Sum256([]byte(token))
	return hex.EncodeToString(s[:])
}

// A token that was taken back by SIGHUP is worth nothing from then on: not on a connection that is open, and not for what it has asked for
// before and what goes on, be that a stream, a body that is still sent, or a batch.
func TestTokens_Revoked(t *testing.T) {
	if !slices.Contains(daemon.Signals(), os.Signal(syscall.SIGHUP)) {
		t.Skip("there is no signal to reload by")
	}
	kept, gone := strings.Repeat("k", 30), strings.Repeat("g", 30)
	line := func(name, token string) string {
		return "- {name: " + name + ", scopes: [read, write], sha256: " + sum(token) + "}\n"
	}
	f := serve(t, "tokens:\n"+line("kept", kept)+line("gone", gone))
	asks := func(token, path string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\n\r\n"
	}
	old := f.token()
	conns := map[string]*talk{}
	for _, token := range []string{kept, gone, old} {
		conns[token] = f.talk()
		if a := conns[token].ask(asks(token, "/v1/tasks")); a.status != http.StatusOK {
			t.Fatalf("before: %d %s", a.status, a.body)
		}
	}
	stream := f.talk()
	stream.begin(asks(gone, "/v1/events"))
	head := func(token, line string) string {
		return line + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\nContent-Length: 100000\r\n"
	}
	body := map[string]*talk{}
	for _, token := range []string{kept, gone} {
		body[token] = f.talk()
		body[token].goesOn(head(token, "PUT /v1/tasks/slow-"+token)+"Content-Type: application/json\r\n", `{"kind": "note", `)
	}
	batch := f.talk()
	batch.send(head(gone, "POST /v1/tasks:batch") + "Content-Type: application/x-ndjson\r\n\r\n")
	batch.send(strings.Repeat(`{"kind": "note", "in": "24h"}`+"\n", 1000)) // as many as are put at a time
	batch.answers()
	lines := bufio.NewReader(batch.stream)
	for i := range 1000 {
		if line, err := lines.ReadString('\n'); err != nil || !strings.Contains(line, `"outcome":"created"`) {
			t.Fatalf("line %d of the batch before: %s %v", i, line, err)
		}
	}
	batch.send(`{"name": "late", "kind": "note", "in": "24h"}` + "\n")
	write(t, filepath.Join(filepath.Dir(f.data), "duly.yaml"), "tokens:\n"+line("kept", kept))
	if err := os.Remove(home.Token(f.data)); err != nil {
		t.Fatal(err)
	}
	f.signals <- syscall.SIGHUP
	f.log.Has(t, "msg=reloaded")
	for token, want := range map[string]int{kept: 200, gone: 401, old: 401} {
		if a := conns[token].ask(asks(token, "/v1/tasks")); a.status != want {
			t.Errorf("after: %d %s, want %d", a.status, a.body, want)
		}
	}
	if a := f.ask("GET", "/v1/tasks", ""); a.status != http.StatusOK {
		t.Errorf("the daemon's new token: %d %s", a.status, a.body)
	}
	stream.ends()
	if a := body[gone].answer(); a.status != http.StatusUnauthorized || a.slug() != "unauthenticated" {
		t.Errorf("the body that is still sent: %d %s", a.status, a.body)
	}
	body[kept].send(`"in": "24h"}` + strings.Repeat(" ", 100000-len(`{"kind": "note", "in": "24h"}`)))
	if a := body[kept].answer(); a.status != http.StatusCreated {
		t.Errorf("that of the token that was kept: %d %s", a.status, a.body)
	}
	rest, err := io.ReadAll(lines)
	all := strings.Split(strings.TrimSpace(string(rest)), "\n")
	if end := all[len(all)-1]; err != nil || !strings.Contains(end, `"slug":"unauthenticated"`) {
		t.Errorf("the batch ends with %s, %v", rest, err)
	}
	if a := f.ask("GET", "/v1/tasks/late", ""); a.status != http.StatusNotFound {
		t.Errorf("what the batch put afterwards: %d %s", a.status, a.body)
	}
	_, _ = io.WriteString(batch.c, asks(kept, "/v1/tasks")) // it may be closed by then
	if a, err := readAnswer(batch.r, http.MethodGet); err == nil {
		t.Errorf("what follows in the batch's body is a request: %d %.100s", a.status, a.body)
	}
}

// A timing attack learns nothing: the text of a token is hashed, and the hash compared in constant time with each that is known. What
// takes how long can't be tested without being wrong now and then, so the source is.
func TestTokens_ComparedInConstantTime(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "daemon", "token.go"), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	loops := 0
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != "authorize" {
			continue
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			loop, ok := n.(*ast.RangeStmt)
			if !ok {
				return true
			}
			loops++
			compares := false
			ast.Inspect(loop, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					compares = compares || n.Sel.Name == "ConstantTimeCompare"
				case *ast.BranchStmt, *ast.ReturnStmt:
					t.Error("the comparison ends early")
				}
				return true
			})
			if !compares {
				t.Error("the comparison is another one")
			}
			return true
		})
	}
	if loops != 1 {
		t.Errorf("%d loops over the tokens, want one", loops)
	}
}

// Each operation of the OpenAPI document is allowed to exactly those tokens that have its scope, and no address takes another method.
func TestScopes(t *testing.T) {
	names := map[string]string{"nobody": "", "reader": "read", "writer": "write", "runner": "exec", "both": "read, write", "all": "read, write, exec", "keeper": "backup"}
	var yaml strings.Builder
	yaml.WriteString("tokens:\n")
	for name, scopes := range names {
		if scopes != "" {
			fmt.Fprintf(&yaml, "- {name: %s, scopes: [%s], sha256: %s}\n", name, scopes, sum(strings.Repeat(name, 8)))
		}
	}
	f := serve(t, yaml.String())
	routes := f.routes()
	methods := []string{"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "get"}
	tried := 0
	for _, path := range slices.Sorted(maps.Keys(routes)) {
		for _, method := range methods {
			as := method
			if method == "HEAD" {
				as = "GET"
			}
			op, there := routes[path][strings.ToLower(as)]
			there = there && method != "get"
			for name, scopes := range names {
				tried++
				got := f.attempt(method, path, strings.Repeat(name, 8))
				want := ""
				switch {
				case !there:
					want = "method"
				case op.Scope == "" || slices.Contains(strings.Split(scopes, ", "), op.Scope):
				case scopes == "":
					want = "unauthenticated"
				default:
					want = "forbidden"
				}
				if (want != "" || slices.Contains(barred, got)) && got != want {
					t.Errorf("%s %s by %s: %q, want %q", method, path, name, got, want)
				}
			}
		}
	}
	if tried < 1000 {
		t.Errorf("%d requests were tried", tried)
	}
	f.executes(names)
}

// barred are the slugs of who may not.
var barred = []string{"unauthenticated", "forbidden", "method"}

// slugs are those of answers that have no body.
var slugs = map[int]string{http.StatusUnauthorized: "unauthenticated", http.StatusForbidden: "forbidden", http.StatusMethodNotAllowed: "method"}

// attempt makes a request of which only that matters whether it may be made, and returns the slug of the answer.
func (f *fort) attempt(method, path, token string) string {
	f.Helper()
	c := f.talk()
	defer c.close()
	path = strings.ReplaceAll(path, "{name}", "nobody")
	status, slug := c.head(method, method+" "+path+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+token+"\r\nContent-Length: 0\r\n\r\n")
	if method == http.MethodHead {
		return slugs[status]
	}
	return slug
}

// executes checks that what says which command is run needs the scope exec beside write, wherever it can be said.
func (f *fort) executes(names map[string]string) {
	f.Helper()
	if a := f.ask("PUT", "/v1/tasks/there", `{"command": {"args": ["true"]}, "in": "24h"}`); a.status != http.StatusCreated {
		f.Fatalf("%d %s", a.status, a.body)
	}
	for _, tt := range []struct{ method, path, media, body string }{
		{"PUT", "/v1/tasks/there", "application/json", `{"command": {"shell": "true"}, "in": "24h"}`},
		{"PATCH", "/v1/tasks/there", "application/json", `{"command": {"shell": "true"}}`},
		{"POST", "/v1/tasks", "application/json", `{"command": {"shell": "true"}, "in": "24h"}`},
		{"POST", "/v1/tasks:batch", "application/x-ndjson", `{"command": {"shell": "true"}, "in": "24h"}`},
	} {
		for name, scopes := range names {
			a := f.one(tt.body, tt.method+" "+tt.path+" HTTP/1.1", "Host: localhost", "Content-Type: "+tt.media, "Authorization: Bearer "+strings.Repeat(name, 8))
			slug := a.slug()
			if strings.HasSuffix(tt.path, ":batch") && a.status == http.StatusOK {
				var line struct{ Error struct{ Slug string } }
				if err := json.Unmarshal([]byte(a.body), &line); err != nil {
					f.Error(err)
				}
				slug = line.Error.Slug
			}
			want := map[string]string{"": "unauthenticated", "read": "forbidden", "exec": "forbidden", "backup": "forbidden", "write": "forbidden", "read, write": "forbidden"}[scopes]
			if slug != want {
				f.Errorf("%s %s with a command by %s: %d %s, want %q", tt.method, tt.path, name, a.status, a.body, want)
			}
		}
	}
	// Neither is it to be had by another kind's payload, or by a change of what is there.
	for _, tt := range []struct{ method, path, body string }{
		{"PUT", "/v1/tasks/there", `{"kind": "command", "payload": {"shell": "true"}, "in": "24h"}`},
		{"POST", "/v1/tasks", `{"kind": "command", "payload": {"shell": "true"}, "in": "24h"}`},
		{"PATCH", "/v1/tasks/there", `{"payload": {"shell": "true"}}`},
		{"PUT", "/v1/tasks/there", `{"Command": {"shell": "true"}, "in": "24h"}`},
		{"PUT", "/v1/tasks/there", `{"http": {"url": "https://example.com"}, "command": {"shell": "true"}, "in": "24h"}`},
	} {
		a := f.one(tt.body, tt.method+" "+tt.path+" HTTP/1.1", "Host: localhost", "Content-Type: application/json", "Authorization: Bearer "+strings.Repeat("both", 8))
		if a.status != http.StatusBadRequest && a.status != http.StatusForbidden {
			f.Errorf("%s %s %s: %d %s", tt.method, tt.path, tt.body, a.status, a.body)
		}
	}
}
