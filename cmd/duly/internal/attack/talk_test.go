package attack

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/dulyhq/duly/api"
)

// A talk is a connection on which one request follows the other.
type talk struct {
	f      *fort
	c      net.Conn
	r      *bufio.Reader
	stream io.ReadCloser // the answer that was begun
}

func (f *fort) talk() *talk {
	f.Helper()
	c := f.dial()
	return &talk{f: f, c: c, r: bufio.NewReader(c)}
}

func (k *talk) close() { _ = k.c.Close() } // whatever is left of it

func (k *talk) send(text string) {
	k.f.Helper()
	if err := k.c.SetDeadline(time.Now().Add(hung)); err != nil {
		k.f.Fatal(err)
	}
	if _, err := io.WriteString(k.c, text); err != nil {
		k.f.Fatal(err)
	}
}

// ask sends a GET and returns the answer.
func (k *talk) ask(text string) *answer {
	k.f.Helper()
	k.send(text)
	a, err := readAnswer(k.r, http.MethodGet)
	if err != nil {
		k.f.Fatalf("no answer to %.300q: %v", text, err)
	}
	return a
}

// answer reads the answer to what was sent.
func (k *talk) answer() *answer {
	k.f.Helper()
	a, err := readAnswer(k.r, http.MethodGet)
	if err != nil {
		k.f.Fatalf("no answer: %v", err)
	}
	return a
}

// goesOn sends a header, and when it is told to go on, a part of the body: then it is known who asks.
func (k *talk) goesOn(header, body string) {
	k.f.Helper()
	k.send(header + "Expect: 100-continue\r\n\r\n")
	for _, want := range []string{"HTTP/1.1 100 Continue\r\n", "\r\n"} {
		if line, err := k.r.ReadString('\n'); err != nil || line != want {
			k.f.Fatalf("%q, %v", line, err)
		}
	}
	k.send(body)
}

// begin sends a GET whose answer has no end, and reads its head.
func (k *talk) begin(text string) {
	k.f.Helper()
	k.send(text)
	k.answers()
}

// answers reads the head of an answer that goes on.
func (k *talk) answers() {
	k.f.Helper()
	res, err := http.ReadResponse(k.r, nil) //nolint:bodyclose // it goes on
	if err != nil || res.StatusCode != http.StatusOK {
		k.f.Fatalf("no stream: %v", err)
	}
	k.stream = res.Body
}

// ends reads the answer that was begun until the daemon has ended it, or closed the connection.
func (k *talk) ends() {
	k.f.Helper()
	_, err := io.Copy(io.Discard, k.stream)
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		k.f.Error("the stream goes on")
	}
}

// head sends a request and returns the status of the answer and, of a problem, its slug. What else there is of the answer is not waited for.
func (k *talk) head(method, text string) (status int, slug string) {
	k.f.Helper()
	k.send(text)
	res, err := http.ReadResponse(k.r, &http.Request{Method: method}) //nolint:bodyclose // the connection is not used again
	if err != nil {
		k.f.Fatalf("no answer to %.300q: %v", text, err)
	}
	if res.Header.Get("Content-Type") != "application/problem+json" || method == http.MethodHead {
		return res.StatusCode, ""
	}
	var p api.Problem
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		k.f.Fatal(err)
	}
	return res.StatusCode, p.Slug
}

// An operation is one of the OpenAPI document.
type operation struct {
	Scope      string      `json:"x-scope"`
	Parameters []parameter `json:"parameters"`
	Body       *struct {
		Content map[string]struct{ Schema schema } `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]json.RawMessage `json:"content"`
	} `json:"responses"`

	method, path string
}

type parameter struct {
	Name   string `json:"name"`
	In     string `json:"in"`
	Schema schema `json:"schema"`
}

type schema struct {
	Ref        string            `json:"$ref"`
	Type       string            `json:"type"`
	Format     string            `json:"format"`
	Enum       []string          `json:"enum"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Additional json.RawMessage   `json:"additionalProperties"`
}

// routes are the operations that the daemon says that it has, by path and method.
func (f *fort) routes() map[string]map[string]operation {
	f.Helper()
	d, _ := f.document()
	return d
}

// document is /openapi.json, which nobody needs a token for.
func (f *fort) document() (paths map[string]map[string]operation, schemas map[string]schema) {
	f.Helper()
	var d struct {
		Paths      map[string]map[string]operation `json:"paths"`
		Components struct {
			Schemas map[string]schema `json:"schemas"`
		} `json:"components"`
	}
	a := f.one("", "GET /openapi.json HTTP/1.1", "Host: localhost")
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || len(d.Paths) < 20 {
		f.Fatalf("/openapi.json has %d paths: %v", len(d.Paths), err)
	}
	return d.Paths, d.Components.Schemas
}
