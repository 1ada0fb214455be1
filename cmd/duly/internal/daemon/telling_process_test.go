//go:build unix

package daemon

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/dulyhq/duly/api"
)

// What died before the daemon was killed with -9, and was not told, is told by the next one: with the id with which it had been tried.
func TestTelling_Killed(t *testing.T) {
	var takes atomic.Bool
	refused, taken := make(chan string, 64), make(chan string, 64)
	sink := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		to := taken
		if !takes.Load() {
			to = refused
			w.WriteHeader(http.StatusInternalServerError)
		}
		select {
		case to <- r.Header.Get("Webhook-Id") + " " + string(b):
		default:
		}
	}))
	defer sink.Close()
	dir, env := shortDir(t), "DULY_NOTIFY_URL="+sink.URL
	p := startChild(t, dir, plainly, nil, env)
	p.log.Has(t, "msg=ready")
	if _, err := p.c.Put(t.Context(), "backup", api.Spec{Command: sh("exit 3"), In: in(0)}); err != nil {
		t.Fatal(err)
	}
	first := heard(t, refused)
	p.signal(syscall.SIGKILL)
	if err := p.end(); err == nil {
		t.Error("it ended well")
	}
	takes.Store(true)
	p = startChild(t, dir, plainly, nil, env)
	second := heard(t, taken)
	if first != second || !strings.Contains(second, `"name":"backup"`) {
		t.Errorf("told %s\nand then %s", first, second)
	}
	p.log.Has(t, "msg=ready")
	put := func(name string) {
		t.Helper()
		if _, err := p.c.Put(t.Context(), name, api.Spec{Command: sh("exit 3"), In: in(0)}); err != nil {
			t.Fatal(err)
		}
	}
	put("between") // when that is told, it is on record that the one before it was
	if text := heard(t, taken); !strings.Contains(text, `"name":"between"`) {
		t.Errorf("told %s", text)
	}
	p.signal(syscall.SIGTERM) // which may cut off the answer
	if err := p.end(); err != nil {
		t.Error(err)
	}
	p = startChild(t, dir, plainly, nil, env)
	p.log.Has(t, "msg=ready")
	put("another")
	text := heard(t, taken)
	if strings.Contains(text, `"name":"between"`) {
		text = heard(t, taken)
	}
	if !strings.Contains(text, `"name":"another"`) {
		t.Errorf("told again, although it had been: %s", text)
	}
	p.signal(syscall.SIGTERM)
	if err := p.end(); err != nil {
		t.Error(err)
	}
}
