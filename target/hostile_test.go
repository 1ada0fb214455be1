package target_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/target"
	"github.com/dulyhq/duly/timer"
)

// A script is one connection of a server that answers with whatever bytes it likes.
type script struct {
	net.Conn

	in   *bufio.Reader
	line string // the first of the request
	all  string // its header
}

// say writes, and says whether somebody takes it.
func (c *script) say(s string) bool {
	_, err := io.WriteString(c, s)
	return err == nil
}

// floodMost is far beyond what two sockets hold between them: who has written so much was read without end.
const floodMost = 64 << 20

// flood says the same until nobody takes it any more.
func (c *script) flood(t *testing.T, s string) {
	t.Helper()
	s = strings.Repeat(s, 1+(32<<10)/len(s))
	for n := 0; c.say(s); n += len(s) {
		if n > floodMost {
			t.Errorf("%d bytes of %.20q were taken", n, s)
			return
		}
	}
}

// gone returns when the other side has closed the connection, or the test is over.
func (c *script) gone() {
	_, _ = io.Copy(io.Discard, c.in) // however it ends
}

// request reads the header of a request.
func (c *script) request() bool {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return false
		}
		if c.all += line; c.line == "" {
			c.line = strings.TrimSpace(line)
		}
		if line == "\r\n" {
			return true
		}
	}
}

// raw returns the URL of a server that answers each connection's first request with a script.
func raw(t *testing.T, answer func(c *script)) string {
	t.Helper()
	return "http://" + accepting(t, func(conn net.Conn) {
		if c := (&script{Conn: conn, in: bufio.NewReader(conn)}); c.request() {
			answer(c)
		}
	})
}

// accepting returns the address of a listener whose connections are served, and closed.
func accepting(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() {
				defer c.Close() //nolint:errcheck // it may be closed
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close() // it may be closed
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

const ok = "HTTP/1.1 200 OK\r\n"

// Whatever a receiver answers, and if it does so without end: the attempt ends, by itself, with a reason that fits a line, and reads no
// more than its limits.
func TestHostileAnswers(t *testing.T) {
	ended := func(s string) func(*testing.T, *script) {
		return func(_ *testing.T, c *script) { c.say(s) }
	}
	endless := func(s, rest string) func(*testing.T, *script) {
		return func(t *testing.T, c *script) {
			t.Helper()
			c.say(s)
			c.flood(t, rest)
		}
	}
	reset := func(s string) func(*testing.T, *script) {
		return func(t *testing.T, c *script) {
			t.Helper()
			c.say(s)
			if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
				t.Error(err)
			}
		}
	}
	chunked := ok + "Transfer-Encoding: chunked\r\n\r\n"
	for name, x := range map[string]struct {
		answer func(*testing.T, *script)
		want   string // the reason; "" is done
	}{
		"endless body":             {endless(ok+"\r\n", "x"), ""},
		"endless chunks":           {endless(chunked, "1\r\nx\r\n"), ""},
		"endless body of an error": {endless("HTTP/1.1 500 x\r\n\r\n", "x"), "500 Internal Server Error"},
		"endless extensions":       {endless(chunked, "1;"+strings.Repeat("x", 200)+"\r\nx\r\n"), "non-data"},
		"endless chunk line":       {endless(chunked+"1;", "x"), "too long"},
		"endless trailer":          {endless(chunked+"2\r\nok\r\n0\r\n", "A: b\r\n"), "long trailer"},
		"long trailer line":        {endless(chunked+"2\r\nok\r\n0\r\nA: ", "x"), "long trailer"},
		"a chunk of 2^64":          {ended(chunked + "10000000000000000\r\n"), "too large"},
		"a chunk of 2^63":          {ended(chunked + "7fffffffffffffff\r\nx"), "unexpected EOF"},
		"no chunk":                 {ended(chunked + "hello\r\n"), "invalid byte"},
		"endless header":           {endless(ok, "A: b\r\n"), "headers exceeded"},
		"one endless header":       {endless(ok+"A: ", "x"), "headers exceeded"},
		"endless name":             {endless(ok, "x"), "headers exceeded"},
		"folded lines":             {endless(ok+"A: b\r\n", " c\r\n"), "headers exceeded"},
		"endless status line":      {endless("HTTP/1.1 200 ", "x"), "headers exceeded"},
		"endless 103":              {endless("", "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"), "headers exceeded"},
		"endless 100":              {endless("", "HTTP/1.1 100 Continue\r\n\r\n"), "headers exceeded"},
		"some 1xx before":          {ended("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + ok + "Content-Length: 2\r\n\r\nok"), ""},
		"switched":                 {endless("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "x"), "101 Switching Protocols"},
		"less than it says":        {ended(ok + "Content-Length: 100\r\n\r\nshort"), "unexpected EOF"},
		"more than it says":        {ended(ok + "Content-Length: 2\r\n\r\nok and more"), ""},
		"two lengths":              {ended(ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok?"), "Content-Length"},
		"a negative length":        {ended(ok + "Content-Length: -1\r\n\r\nok"), "Content-Length"},
		"a length of 10^30":        {ended(ok + "Content-Length: 1000000000000000000000000000000\r\n\r\nok"), "Content-Length"},
		"a length in words":        {ended(ok + "Content-Length: two\r\n\r\nok"), "Content-Length"},
		"a length beside chunks":   {ended(ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), ""},
		"another encoding":         {ended(ok + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "encoding"},
		"reset at once":            {reset(""), ""}, // see below
		"reset in the header":      {reset(ok + "A: b\r\n"), ""},
		"reset midway":             {reset(ok + "Content-Length: 100\r\n\r\nbegin"), ""},
		"nothing":                  {ended(""), "EOF"},
		"another protocol":         {ended("SSH-2.0-OpenSSH_9.2\r\n\r\n"), "malformed HTTP"},
		"no status":                {ended("HTTP/1.1 abc\r\n\r\n"), "malformed HTTP"},
		"a status of 99 digits":    {ended("HTTP/1.1 " + strings.Repeat("9", 99) + " x\r\n\r\n"), "malformed HTTP"},
		"a status below 100":       {ended("HTTP/1.1 000 x\r\n\r\n"), "the answer is 0"},
		"bytes for a terminal":     {ended("\x1b]0;owned\a\x1b[2J\u202e\r\n\r\n"), "malformed HTTP"},
		"a header for a terminal":  {ended(ok + "A\x1b[2J: b\r\n\r\n"), "malformed MIME header"},
		"the request back": {func(_ *testing.T, c *script) {
			c.say(strings.Join(strings.Fields(c.all), "_") + "\r\n\r\n")
		}, target.Redaction},
		"the header back": {func(_ *testing.T, c *script) { c.say(ok + "Bearer hush-hush-hush\r\n\r\n") }, target.Redaction},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := raw(t, func(c *script) { x.answer(t, c) })
			a, body, err := called(t.Context(), t, target.CallbackOptions{Allow: here, Secrets: func() [][]byte { return [][]byte{make([]byte, 32), make([]byte, 24)} }},
				target.Callback{URL: at, Header: map[string]string{"Authorization": "Bearer hush-hush-hush"}})
			if strings.HasPrefix(name, "reset") { // the system has several words for it
				if err == nil || a.Outcome != target.OutcomeFailed {
					t.Errorf("%v, %+v", err, a)
				}
				return
			}
			if x.want == "" && (err != nil || a.Outcome != target.OutcomeDone) || x.want != "" && (err == nil || a.Outcome != target.OutcomeFailed || !strings.Contains(a.Reason, x.want)) {
				t.Errorf("%v, %+v; want %q", err, a, x.want)
			}
			if len(body) > target.DefaultCallbackOutput || !strings.HasPrefix(name, "endless") && x.want == "" && body != "ok" {
				t.Errorf("the answer is %d bytes, %.20q", len(body), body)
			}
			if len(a.Reason) > 600 || strings.ContainsFunc(a.Reason, unicode.IsControl) || strings.ContainsRune(a.Reason, '\u202e') || strings.Contains(a.Reason, "hush") || strings.Contains(a.Reason, "v1,") {
				t.Errorf("the reason is %q", a.Reason)
			}
		})
	}
}

// What is packed is kept as it came: nothing is unpacked that could be a thousand times as large.
func TestGzipBomb(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(make([]byte, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	at := listening(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed.Bytes())
	})
	a, body, err := called(t.Context(), t, target.CallbackOptions{Allow: here}, target.Callback{URL: at})
	if err != nil || body != packed.String() || a.Bytes != int64(packed.Len()) || a.Omitted != 0 {
		t.Errorf("%v, %d bytes of %d, %+v", err, len(body), packed.Len(), a)
	}
}

// A receiver that goes on to send a byte now and then, in its header or its body, has no more time than one that is silent; and keeps no
// other callback waiting.
func TestDrip(t *testing.T) {
	hand := clock.NewManual(epoch)
	engine := timer.New(timer.Options{Clock: hand})
	defer func() {
		if _, err := engine.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	handler := target.Callbacks(target.CallbackOptions{Allow: here, Engine: engine, Clock: hand, Longest: time.Minute})
	quick := listening(t, func(http.ResponseWriter, *http.Request) {})
	for _, begin := range []string{ok + "A: ", ok + "\r\n"} {
		next, said := make(chan struct{}), make(chan struct{})
		slow := raw(t, func(c *script) {
			c.say(begin)
			for range next {
				c.say("x")
				said <- struct{}{}
			}
			c.gone()
		})
		done := make(chan error, 1)
		go func() {
			done <- handler(t.Context(), &duly.Attempt[target.Callback]{AttemptInfo: info("slow", 1), Payload: target.Callback{URL: slow}})
		}()
		for range 3 {
			next <- struct{}{}
			<-said
			if err := handler(t.Context(), &duly.Attempt[target.Callback]{AttemptInfo: info("quick", 1), Payload: target.Callback{URL: quick}}); err != nil {
				t.Errorf("another one, meanwhile: %v", err)
			}
			select {
			case err := <-done:
				t.Errorf("it ends before its time: %v", err)
			default:
			}
			if err := hand.Run(t.Context(), 20*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		close(next)
		if err := <-done; err == nil || !strings.Contains(err.Error(), "no whole answer") {
			t.Errorf("%v", err)
		}
	}
}

// Two hundred attempts that hang in all ways at once end when they are told, and the next one is done.
func TestManyHang(t *testing.T) {
	hanging := make(chan struct{}, 200)
	at := raw(t, func(c *script) {
		switch c.line[len("POST /")] {
		case '0':
		case '1':
			c.say("HTTP/1.1 2")
		case '2':
			c.say(ok + "A: b\r\n")
		case '3':
			c.say(ok + "Content-Length: 100\r\n\r\nbegin")
		}
		hanging <- struct{}{}
		c.gone()
	})
	handler := target.Callbacks(target.CallbackOptions{Allow: here})
	patience, end := context.WithCancelCause(t.Context())
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			err := handler(patience, &duly.Attempt[target.Callback]{AttemptInfo: info(fmt.Sprint("task-", i), 1), Payload: target.Callback{URL: fmt.Sprint(at, "/", i%4)}})
			if !errors.Is(err, duly.ErrTimeout) {
				t.Error(err)
			}
		})
	}
	for range 200 {
		<-hanging
	}
	end(duly.ErrTimeout)
	all.Wait()
	quick := listening(t, func(http.ResponseWriter, *http.Request) {})
	if err := handler(t.Context(), &duly.Attempt[target.Callback]{AttemptInfo: info("quick", 1), Payload: target.Callback{URL: quick}}); err != nil {
		t.Error(err)
	}
}
