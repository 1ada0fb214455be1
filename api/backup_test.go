package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/dulyhq/duly/api"
)

// A backup is what the owner writes. One that fails before its first byte is a problem; one that fails later is cut off, so that nobody
// takes it for a whole one.
func TestBackup(t *testing.T) {
	var fails error
	begun, asked := false, api.Scope("")
	o := all
	o.Authorize = func(_ *http.Request, need api.Scope) error {
		asked = need
		return nil
	}
	o.Backup = func(_ context.Context, w io.Writer) error {
		if begun {
			if _, err := io.WriteString(w, "archive"); err != nil {
				return err
			}
		}
		return fails
	}
	bubble(t, o, func(t *testing.T, e *env) {
		begun = true
		a := e.do("GET", "/v1/backup", "").want(http.StatusOK)
		is(t, "the archive", a.body, "archive")
		is(t, "Content-Type", a.header.Get("Content-Type"), "application/x-tar")
		is(t, "the scope", asked, api.Backup)
		begun = false
		fails = errors.New("the disk at /secret")
		if a := e.do("GET", "/v1/backup", "").want(http.StatusInternalServerError); strings.Contains(a.body, "/secret") {
			t.Errorf("it tells of the machine: %s", a.body)
		}
		fails = api.ErrUnavailable
		e.do("GET", "/v1/backup", "").want(http.StatusServiceUnavailable).problem("unavailable", "")
		is(t, "the body of a HEAD", e.raw("HEAD", "/v1/backup", "").want(http.StatusOK).body, "")
		e.do("POST", "/v1/backup", "{}").want(http.StatusMethodNotAllowed).problem("method", "method")
		e.do("GET", "/v1/backup?dir=/etc", "").want(http.StatusBadRequest).problem("invalid", "dir")
		begun = true
		defer func() {
			if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // it is panicked with
				t.Errorf("a backup that failed in its middle: %v, want that the connection is cut", v)
			}
		}()
		e.raw("GET", "/v1/backup", "")
		t.Error("a backup that failed in its middle was answered to its end")
	})
}

// When what allowed it is taken back, a backup of which something was sent is cut off, and one of which nothing was is refused.
func TestBackup_TakenBack(t *testing.T) {
	o := all
	sent := 0
	var back func()
	o.Backup = func(_ context.Context, w io.Writer) error {
		for i := 0; ; i++ {
			if i == sent {
				back()
			}
			if _, err := io.WriteString(w, "archive"); err != nil {
				return err
			}
		}
	}
	bubble(t, o, func(t *testing.T, e *env) {
		ask := func(w http.ResponseWriter) {
			ctx, end := context.WithCancelCause(t.Context())
			back = func() { end(api.ErrUnauthenticated) }
			e.h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/v1/backup", nil))
		}
		w := httptest.NewRecorder()
		ask(w)
		is(t, "status", w.Code, http.StatusUnauthorized)
		sent = 3
		w = httptest.NewRecorder()
		defer func() {
			if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // it is panicked with
				t.Errorf("%v, want that the connection is cut", v)
			}
			is(t, "what was sent", w.Body.String(), strings.Repeat("archive", sent))
		}()
		ask(w)
		t.Error("it was answered to its end")
	})
}
