package attack

import (
	"net/http"
	"strings"
	"testing"
)

// Where one request ends and the next begins nobody may be led to see otherwise than the daemon does: what a proxy before it could take
// for the body of one request is never carried out as another.
func TestSmuggling(t *testing.T) {
	f := serve(t, "")
	hidden := "PUT /v1/tasks/smuggled HTTP/1.1\r\nHost: localhost\r\n" + f.bearer() + "\r\nContent-Type: application/json\r\nContent-Length: 29\r\n\r\n" +
		`{"kind": "note", "in": "24h"}`
	post := "POST /v1/resume HTTP/1.1\r\nHost: localhost\r\n" + f.bearer() + "\r\nContent-Type: application/json\r\n"
	chunk := "c\r\n{\"all\": true\r\n1\r\n}\r\n0\r\n\r\n"
	for _, tt := range []struct {
		name, text string
		first      int // the status of the first answer
	}{
		{"a length and chunks", post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, 200},
		{"chunks and a length", post + "Transfer-Encoding: chunked\r\nContent-Length: " + itoa(len(chunk)+len(hidden)) + "\r\n\r\n" + chunk, 200},
		{"chunks and a length that says nothing", post + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" + chunk, 200},
		{"two lengths", post + "Content-Length: 13\r\nContent-Length: 300\r\n\r\n{\"all\": true}", 400},
		{"two lengths in one", post + "Content-Length: 13, 300\r\n\r\n{\"all\": true}", 400},
		{"a length with a sign", post + "Content-Length: +13\r\n\r\n{\"all\": true}", 400},
		{"a negative length", post + "Content-Length: -13\r\n\r\n{\"all\": true}", 400},
		{"a length in hexadecimal", post + "Content-Length: 0xd\r\n\r\n{\"all\": true}", 400},
		{"a length with a blank", post + "Content-Length: 1 3\r\n\r\n{\"all\": true}", 400},
		{"an empty length", post + "Content-Length:\r\n\r\n{\"all\": true}", 400},
		{"a length beyond 64 bits", post + "Content-Length: 18446744073709551629\r\n\r\n{\"all\": true}", 400},
		{"a blank before the colon", post + "Content-Length : 13\r\n\r\n{\"all\": true}", 400},
		{"a blank before the name", post + "X: y\r\n Content-Length: 300\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"all\": true}", 200},
		{"another coding", post + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk, 501},
		{"chunked twice", post + "Transfer-Encoding: chunked, chunked\r\n\r\n" + chunk, 501},
		{"chunked in two headers", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + chunk, 501},
		{"chunked with a tab", post + "Transfer-Encoding:\tchunked\r\n\r\n" + chunk, 200},
		{"chunked with a vertical tab", post + "Transfer-Encoding: \vchunked\r\n\r\n" + chunk, 400},
		{"chunked with a line feed alone", post + "Transfer-Encoding: chunked\r\n\r\nd\n{\"all\": true}\n0\n\n", 400},
		{"a chunk that is too long", post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + strings.Repeat(" ", 2<<20), 413},
		{"a chunk beyond 64 bits", post + "Transfer-Encoding: chunked\r\n\r\n1000000000000000d\r\n{\"all\": true}\r\n0\r\n\r\n", 400},
		{"a chunk in 0x", post + "Transfer-Encoding: chunked\r\n\r\n0xd\r\n{\"all\": true}\r\n0\r\n\r\n", 400},
		{"a chunk of less than nothing", post + "Transfer-Encoding: chunked\r\n\r\n-1\r\n{\"all\": true}\r\n0\r\n\r\n", 400},
		{"chunk extensions", post + "Transfer-Encoding: chunked\r\n\r\nd;a=\"b\r\n{\"all\": true}\r\n0;x\r\n\r\n", 200},
		{"long chunk extensions", post + "Transfer-Encoding: chunked\r\n\r\nd;" + strings.Repeat("x", 64<<10) + "\r\n{\"all\": true}\r\n0\r\n\r\n", 400},
		{"a trailer that is a header", post + "Transfer-Encoding: chunked\r\n\r\nd\r\n{\"all\": true}\r\n0\r\nContent-Length: 300\r\nHost: evil.example\r\n\r\n", 200},
		{"a body with GET", "GET /v1/tasks HTTP/1.1\r\nHost: localhost\r\n" + f.bearer() + "\r\nContent-Length: " + itoa(len(hidden)) + "\r\nConnection: close\r\n\r\n", 200},
		{"a body with HTTP/1.0 in chunks", strings.Replace(post, "HTTP/1.1", "HTTP/1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n" + chunk, 400},
		{"a request line with a line feed", strings.Replace(post, " HTTP/1.1", "\n HTTP/1.1", 1) + "Content-Length: 13\r\n\r\n{\"all\": true}", 400},
		{"a name with a line feed", post + "X\nY: z\r\nContent-Length: 13\r\n\r\n{\"all\": true}", 400},
		{"a name with a byte 0", post + "X\x00Y: z\r\nContent-Length: 13\r\n\r\n{\"all\": true}", 400},
		{"a value with a byte 0", post + "X: y\x00z\r\nContent-Length: 13\r\n\r\n{\"all\": true}", 400},
		{"a value with a carriage return", post + "X: y\rContent-Length: 300\r\nContent-Length: 13\r\n\r\n{\"all\": true}", 400},
		{"a later version", strings.Replace(post, "HTTP/1.1", "HTTP/1.2", 1) + "Content-Length: 13\r\nConnection: close\r\n\r\n{\"all\": true}", 200},
		{"another version", strings.Replace(post, "HTTP/1.1", "HTTP/3.0", 1) + "Content-Length: 13\r\n\r\n{\"all\": true}", 505},
		{"HTTP/2 in the clear", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 421},
		{"an upgrade to it", post + "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: 13\r\n\r\n{\"all\": true}", 200},
		{"no version", "GET /v1/tasks\r\n\r\n", 400},
		{"no request line", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
	} {
		all := f.send(tt.text + hidden)
		if len(all) == 0 || all[0].status != tt.first {
			t.Errorf("%s: %d answers, want one of %d", tt.name, len(all), tt.first)
			for _, a := range all {
				t.Errorf("%s: %d %s", tt.name, a.status, a.body)
			}
		}
		if len(all) > 1 {
			t.Errorf("%s: %d answers, want one", tt.name, len(all))
		}
		if a := f.ask("DELETE", "/v1/tasks/smuggled", ""); a.status != http.StatusOK || !strings.Contains(a.body, `"unknown"`) {
			t.Errorf("%s: the request that was hidden in it was carried out: %s", tt.name, a.body)
		}
	}
	f.lives()
}
