package api_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/api"
)

// readAtOnce is how many large bodies are read at a time.
const readAtOnce = 4

// A sender is a request whose body comes bit by bit.
type sender struct {
	*testing.T

	body   *io.PipeWriter
	status chan int
}

// sends puts a task with a body that says its length, or with -1 does not.
func (e *env) sends(name string, length int64) *sender {
	return e.asks("PUT", "/v1/tasks/"+name, "application/json", length)
}

// asks makes a request with a body that says its length, or with -1 does not.
func (e *env) asks(method, path, media string, length int64) *sender {
	in, out := io.Pipe()
	r := httptest.NewRequestWithContext(e.Context(), method, path, in)
	r.Header.Set("Content-Type", media)
	r.ContentLength = length
	s := &sender{T: e.T, body: out, status: make(chan int, 1)}
	go func() {
		w := httptest.NewRecorder()
		e.h.ServeHTTP(w, r)
		_ = in.Close()
		s.status <- w.Code
	}()
	return s
}

// taken says whether all of a piece was read.
func (s *sender) taken(piece string) bool {
	done := make(chan struct{})
	go func() {
		_, _ = io.WriteString(s.body, piece) // of what is not taken the end of the request is told
		close(done)
	}()
	synctest.Wait()
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// ends sends no more, and the request is answered with a status.
func (s *sender) ends(status int) {
	s.Helper()
	_ = s.body.Close()
	is(s.T, "status", <-s.status, status)
}

// large is a task of more than 64 KiB.
func large() string {
	return fmt.Sprintf(`{"kind": "k", "in": "1h", "payload": %q}`, bytes.Repeat([]byte("x"), 100<<10))
}

// Bodies of which little has come hold up nobody, whatever their header says of what is to come; of those that are large four are read at
// a time.
func TestBodies_SlowSenders(t *testing.T) {
	for _, length := range []int64{-1, 1 << 20} {
		t.Run(fmt.Sprintf("length %d", length), func(t *testing.T) {
			bubble(t, all, func(t *testing.T, e *env) {
				var slow []*sender
				for i := range 3 * readAtOnce {
					s := e.sends(fmt.Sprint("slow", i), length)
					if !s.taken(`{"kind": "k",`) {
						t.Fatalf("sender %d is not read", i)
					}
					slow = append(slow, s)
				}
				e.do("PUT", "/v1/tasks/large", large(), "Content-Type: application/json").want(http.StatusCreated)
				chunked := e.sends("chunked", -1)
				if !chunked.taken(`{"kind": "k", "in": "1h"}`) {
					t.Fatal("a small body without a length is not read")
				}
				chunked.ends(http.StatusCreated)

				pad := strings.Repeat(" ", 64<<10)
				for i, s := range slow {
					if got, want := s.taken(pad), i < readAtOnce; got != want {
						t.Errorf("sender %d: read on is %t, want %t", i, got, want)
					}
				}
				for i, s := range slow { // the end of each lets the next one in
					synctest.Wait()
					if !s.taken(` "in": "1h"}`) {
						t.Fatalf("sender %d is not read on", i)
					}
					s.ends(http.StatusCreated)
				}
			})
		})
	}
}

// A batch is as a large body from when more than 64 KiB of a line have come. Lines before it are put without it, as is what is small.
func TestBodies_SlowBatches(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		batch := func() *sender { return e.asks("POST", "/v1/tasks:batch", "application/x-ndjson", -1) }
		pending := func() int64 {
			t.Helper()
			return read[api.Stats](e.do("GET", "/v1/stats", "").want(http.StatusOK)).Pending
		}
		var slow []*sender
		for i := range 3 * readAtOnce {
			s := batch()
			if !s.taken(`{"kind": "k", "in": "1h"}` + "\n" + `{"kind": "k",`) {
				t.Fatalf("batch %d is not read", i)
			}
			slow = append(slow, s)
		}
		e.do("PUT", "/v1/tasks/large", large(), "Content-Type: application/json").want(http.StatusCreated)
		is(t, "tasks while the batches are small", pending(), 1)

		pad := strings.Repeat(" ", 100<<10)
		for i, s := range slow {
			if got, want := s.taken(pad), i < readAtOnce; got != want {
				t.Errorf("batch %d: read on is %t, want %t", i, got, want)
			}
		}
		is(t, "tasks while batches wait", pending(), 1+int64(len(slow)-readAtOnce))

		small := batch()
		line := fmt.Sprintf(`{"kind": "k", "in": "1h", "payload": %q}`, strings.Repeat("x", 1<<10)) + "\n"
		before := pending()
		for i := range 200 {
			if !small.taken(line) {
				t.Fatalf("line %d of a batch of small ones is not read", i)
			}
		}
		if put, most := pending()-before, int64(64<<10/len(line)); put < 200-most || put > 200 {
			t.Errorf("%d of 200 lines are put, want all but %d at most", put, most)
		}
		small.ends(http.StatusOK)

		for i, s := range slow { // the end of each lets the next one in
			synctest.Wait()
			if !s.taken(` "in": "1h"}`) {
				t.Fatalf("batch %d is not read on", i)
			}
			s.ends(http.StatusOK)
		}
		is(t, "tasks in the end", pending(), 1+2*int64(len(slow))+200)

		long := batch() // a line that is too long is not kept, so that it keeps no place either
		for i := range 20 {
			if !long.taken(pad) {
				t.Fatalf("piece %d of a line that is too long is not read", i)
			}
		}
		for i := range readAtOnce {
			s := batch()
			if !s.taken(pad) {
				t.Errorf("batch %d waits for a line that is not kept", i)
			}
			defer s.ends(http.StatusOK)
		}
		long.ends(http.StatusOK)
	})
}

// A body that is cut off or too long is refused wherever in it that is.
func TestBodies_Ends(t *testing.T) {
	o := all
	o.MaxBody = 100 << 10
	bubble(t, o, func(t *testing.T, e *env) {
		for _, n := range []int{1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 100 << 10} {
			s := e.sends("n", -1)
			if !s.taken(strings.Repeat(" ", n)) {
				t.Fatalf("%d bytes are not read", n)
			}
			_ = s.body.CloseWithError(io.ErrUnexpectedEOF)
			is(t, "status", <-s.status, http.StatusBadRequest)
		}
		fits := `{"kind": "k", "in": "1h"}`
		fits += strings.Repeat(" ", 100<<10-len(fits))
		e.do("PUT", "/v1/tasks/n", fits).want(http.StatusCreated)
		p := e.do("PUT", "/v1/tasks/n", fits+" ").want(http.StatusRequestEntityTooLarge).problem("too-large", "body")
		is(t, "want", p.Want, "at most 102400 bytes")
		e.do("PUT", "/v1/tasks/n", "").want(http.StatusUnsupportedMediaType)
	})
}

// A batch that has put what it had because a name comes with another kind holds its place on for the line that it has read.
func TestBodies_BatchOfTwoKinds(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		pad := strings.Repeat("x", 100<<10)
		var slow []*sender
		read := 0
		for i := range 3 * readAtOnce {
			s := e.asks("POST", "/v1/tasks:batch", "application/x-ndjson", -1)
			if !s.taken(fmt.Sprintf(`{"name": "n%d", "kind": "k", "in": "1h"}`+"\n", i)) {
				t.Fatalf("batch %d is not read", i)
			}
			if s.taken(fmt.Sprintf(`{"name": "n%d", "kind": "other", "any_kind": true, "in": "1h", "payload": %q}`+"\n", i, pad)) {
				read++
			}
			slow = append(slow, s)
		}
		if read > readAtOnce {
			t.Errorf("%d batches have a line of 100 KiB in memory that is not put, want %d at most", read, readAtOnce)
		}
		for _, s := range slow {
			s.ends(http.StatusOK)
		}
	})
}

// What is refused of a batch counts with its name, which the answer has: so much is not kept beside the four.
func TestBodies_RefusedLines(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		refused := fmt.Sprintf(`{"name": "%s", "kind": "k", "in": "soon"}`, strings.Repeat("x", 40<<10)) + "\n"
		first := e.asks("POST", "/v1/tasks:batch", "application/x-ndjson", -1)
		for range 2 {
			if !first.taken(refused) {
				t.Fatal("a line is not read")
			}
		}
		others := make([]*sender, readAtOnce)
		for i := range others {
			others[i] = e.sends(fmt.Sprint("other", i), -1)
			if got, want := others[i].taken(`{"kind": "k", "payload": "`+strings.Repeat("x", 100<<10)), i < readAtOnce-1; got != want {
				t.Errorf("large body %d beside a batch with 80 KiB that are not answered: read is %t, want %t", i, got, want)
			}
		}
		first.ends(http.StatusOK)
		synctest.Wait()
		for _, s := range others {
			if !s.taken(`", "in": "1h"}`) {
				t.Fatal("a large body is not read on")
			}
			s.ends(http.StatusCreated)
		}
	})
}

// A batch that is one of the four lets go of it when others have waited for half a minute, also if nothing but blanks comes of it.
func TestBodies_BlanksKeepNoPlace(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		line := fmt.Sprintf(`{"kind": "k", "in": "1h", "payload": %q}`, strings.Repeat("x", 100<<10)) + "\n"
		slow := make([]*sender, readAtOnce)
		for i := range slow {
			if slow[i] = e.asks("POST", "/v1/tasks:batch", "application/x-ndjson", -1); !slow[i].taken(line) {
				t.Fatalf("batch %d is not read", i)
			}
		}
		waits := e.sends("waits", -1)
		if waits.taken(large()) {
			t.Error("a fifth large body is read")
		}
		for range 4 {
			time.Sleep(10 * time.Second)
			for _, s := range slow {
				if !s.taken("\n") {
					t.Fatal("a blank is not read")
				}
			}
		}
		waits.ends(http.StatusCreated)
		for _, s := range slow { // nor does a line without an end keep one
			if !s.taken(line) || !s.taken(strings.Repeat("x", 1<<20+64<<10)) {
				t.Fatal("a line is not read")
			}
		}
		last := e.sends("last", -1)
		if !last.taken(large()) {
			t.Error("a large body waits for lines that are not kept")
		}
		last.ends(http.StatusCreated)
		for _, s := range slow {
			s.ends(http.StatusOK)
		}
	})
}

// Who waits too long for others is told so: that nobody listens any more is not seen meanwhile.
func TestBodies_WaitHasAnEnd(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		var slow []*sender
		for i := range readAtOnce {
			s := e.sends(fmt.Sprint("slow", i), -1)
			if !s.taken(`{"kind": "k", "payload": "` + strings.Repeat("x", 100<<10)) {
				t.Fatalf("body %d is not read", i)
			}
			slow = append(slow, s)
		}
		begun := time.Now()
		waits := e.sends("waits", -1)
		waits.taken(large())
		is(t, "status of who waits", <-waits.status, http.StatusServiceUnavailable)
		is(t, "that has waited", time.Since(begun), 2*time.Minute)
		batch := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/tasks:batch", strings.NewReader(strings.ReplaceAll(large(), "\n", "")))
		batch.Header.Set("Content-Type", "application/x-ndjson")
		w := httptest.NewRecorder()
		e.h.ServeHTTP(w, batch)
		if got := w.Body.String(); !strings.Contains(got, `"slug":"unavailable"`) || strings.Contains(got, "cut off") {
			t.Errorf("a batch that has waited is told %s", got)
		}
		for _, s := range slow {
			if !s.taken(`", "in": "1h"}`) {
				t.Fatal("a large body is not read on")
			}
			s.ends(http.StatusCreated)
		}
	})
}

// A writer of a server that sees to what is left of bodies.
type thorough struct{ *httptest.ResponseRecorder }

func (thorough) LeavesNothing() {}

// The connection of a batch is not used again by a server that might take what is left of the body for a request.
func TestBatch_ClosesItsConnection(t *testing.T) {
	bubble(t, all, func(t *testing.T, e *env) {
		for _, tt := range []struct {
			major int
			wrap  func(*httptest.ResponseRecorder) http.ResponseWriter
			want  string
		}{
			{1, func(w *httptest.ResponseRecorder) http.ResponseWriter { return w }, "close"},
			{1, func(w *httptest.ResponseRecorder) http.ResponseWriter { return thorough{w} }, ""},
			{2, func(w *httptest.ResponseRecorder) http.ResponseWriter { return w }, ""},
		} {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/tasks:batch", strings.NewReader(`{"kind": "k", "in": "1h"}`))
			r.Header.Set("Content-Type", "application/x-ndjson")
			r.ProtoMajor = tt.major
			w := httptest.NewRecorder()
			e.h.ServeHTTP(tt.wrap(w), r)
			is(t, "status", w.Code, http.StatusOK)
			is(t, fmt.Sprintf("Connection of HTTP/%d", tt.major), w.Header().Get("Connection"), tt.want)
		}
	})
}
