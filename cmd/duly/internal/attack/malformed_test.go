package attack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
)

// A tally is how requests were answered.
type tally struct {
	mu       sync.Mutex
	statuses map[int]int
	slugs    map[string]int
	routes   map[string]int
	raw      int // requests of which the head is none, that were answered
	deaf     int // and such that were not
}

func (y *tally) add(w *wrong, status int, slug string) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.statuses[status]++; w.raw {
		y.raw++
	}
	y.slugs[slug]++
	y.routes[w.op.method+" "+w.op.path]++
}

// Whatever is asked for, the answer is what was asked for, or a problem that says what is wrong with it; and nothing is left of it.
// DULY_TEST_SEED is where the requests are drawn from, DULY_TEST_CASES how many they are.
func TestMalformed(t *testing.T) {
	seed, cases := uint64(time.Now().UnixNano()), 3000
	if long {
		cases = 100_000
	}
	var err error
	if s := os.Getenv("DULY_TEST_SEED"); s != "" {
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if s := os.Getenv("DULY_TEST_CASES"); s != "" {
		if cases, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("DULY_TEST_SEED=%d DULY_TEST_CASES=%d", seed, cases)
	// All but backups, of which there is one at a time: the second is told to come again.
	token := strings.Repeat("m", 30)
	f := serve(t, "tokens:\n- {name: everything, scopes: [read, write, exec], sha256: "+sum(token)+"}\n", "durability=interval", "log_level=info")
	paths, schemas := f.document()
	g := newGenerator(seed, "Authorization: Bearer "+token, paths, schemas)
	_, goroutines := stock()
	y := &tally{statuses: map[int]int{}, slugs: map[string]int{}, routes: map[string]int{}}
	warm := cases / 5
	f.malformed(g, y, 0, warm)
	heap, _ := stock()
	f.malformed(g, y, warm, cases)
	f.ask("POST", "/v1/pause", `{"all": true}`)
	f.settles(heap, goroutines, 16<<20)
	t.Logf("statuses %v, slugs %v; %d with a head that is none, and %d that were not answered", y.statuses, y.slugs, y.raw, y.deaf)
	refused := 0
	for status, n := range y.statuses {
		if status >= 400 {
			refused += n
		}
	}
	if refused < cases/2 || refused > cases*99/100 || len(y.routes) != len(g.operations) {
		t.Errorf("of %d requests to %d of %d routes %d were refused: they show too little", cases, len(y.routes), len(g.operations), refused)
	}
	if y.raw == 0 {
		t.Errorf("none of %d requests with a head that is none was answered", y.deaf)
	}
	for _, slug := range []string{"invalid", "no-route", "not-found", "method", "media-type", "unauthenticated", "host"} {
		if y.slugs[slug] == 0 {
			t.Errorf("no answer is %s", slug)
		}
	}
	f.lives()
}

// malformed makes the requests from one number to another, by several connections.
func (f *fort) malformed(g *generator, y *tally, from, to int) {
	f.Helper()
	next := atomic.Int64{}
	next.Store(int64(from))
	var wait sync.WaitGroup
	var bad atomic.Int64
	for range 8 {
		wait.Go(func() {
			var c net.Conn
			var r *bufio.Reader
			for bad.Load() < 10 {
				n := int(next.Add(1)) - 1
				if n >= to {
					break
				}
				w := g.request(n)
				if c == nil {
					if c = f.redial(); c == nil {
						bad.Add(1)
						return
					}
					r = bufio.NewReader(c)
				}
				keep, err := f.judge(c, r, &w, y)
				if err != nil {
					bad.Add(1)
					f.Errorf("request %d: %v\n%.1500q", n, err, w.text)
				}
				if !keep || err != nil {
					_ = c.Close() // it is of no more use
					c = nil
				}
			}
			if c != nil {
				_ = c.Close() // it was in use until now
			}
		})
	}
	wait.Wait()
}

func (f *fort) redial() net.Conn {
	var d net.Dialer
	c, err := d.DialContext(f.Context(), "tcp", f.address)
	if err != nil {
		f.Error(err)
		return nil
	}
	return c
}

// judge makes a request and looks at the answer. It returns whether the connection can be used again, and what is wrong with the answer.
func (f *fort) judge(c net.Conn, r *bufio.Reader, w *wrong, y *tally) (keep bool, err error) {
	if err := c.SetDeadline(time.Now().Add(hung)); err != nil {
		return false, err
	}
	if _, err := io.WriteString(c, w.text); err != nil && !w.raw {
		return false, err
	}
	res, err := http.ReadResponse(r, &http.Request{Method: w.method}) //nolint:bodyclose // that waits for the rest, which may have no end
	if err != nil {
		if w.raw { // what was not read of it may have been in the way of the answer
			err = nil
			y.mu.Lock()
			defer y.mu.Unlock()
			y.deaf++
		}
		return false, err
	}
	if res.StatusCode == http.StatusOK && (res.Header.Get("Content-Type") == "text/event-stream" || strings.Contains(w.text, "follow=true")) {
		y.add(w, res.StatusCode, "")
		return false, nil // it goes on
	}
	b, err := io.ReadAll(res.Body)
	if err != nil && !w.raw {
		return false, err
	}
	slug, err := w.check(res, b)
	y.add(w, res.StatusCode, slug)
	return !res.Close, err
}

// check says what is wrong with an answer.
func (w *wrong) check(res *http.Response, body []byte) (slug string, err error) {
	media, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	switch {
	case res.StatusCode >= 500:
		return "", fmt.Errorf("status %d %s", res.StatusCode, body)
	case res.StatusCode < 400 && media == "application/x-ndjson":
		for line := range strings.Lines(string(body)) {
			var e api.Entry
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				return "", err
			}
			if e.Error != nil {
				if err := w.problem(e.Error, e.Error.Status); err != nil {
					return "", err
				}
			}
		}
		return "", nil
	case res.StatusCode < 400, w.method == http.MethodHead:
		return "", nil
	case w.raw && media == "text/plain":
		return "", nil
	case media != "application/problem+json":
		return "", fmt.Errorf("status %d of the type %q: %s", res.StatusCode, media, body)
	}
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		return "", err
	}
	if len(body) > 8<<10 {
		return p.Slug, fmt.Errorf("the problem has %d bytes: %.300s", len(body), body)
	}
	return p.Slug, w.problem(&p, res.StatusCode)
}

// problem says what is wrong with a problem: which it is, and where there is one the field, must be there.
func (w *wrong) problem(p *api.Problem, status int) error {
	known := slices.Sorted(maps.Keys(status4xx))
	switch {
	case p.Status != status || status >= 500:
		return fmt.Errorf("status %d of a problem of %d: %s", status, p.Status, p.Detail)
	case !slices.Contains(known, p.Slug) || status4xx[p.Slug] != status:
		return fmt.Errorf("the slug %q with the status %d", p.Slug, status)
	case p.Slug == "invalid" && (p.Field == "" || p.Want == "" && p.Value == ""):
		return fmt.Errorf("no field: %s", p.Detail)
	case p.Detail == "" || strings.ContainsAny(p.Detail, "\r\n\x00\x1b") || p.Title == "" || !strings.HasSuffix(p.Type, "#"+p.Slug):
		return fmt.Errorf("what it says: %+v", p)
	}
	return nil
}

// status4xx are the problems that a caller can bring about.
var status4xx = map[string]int{
	"invalid": 400, "unauthenticated": 401, "forbidden": 403, "origin": 403, "kind-off": 403, "no-route": 404, "not-found": 404, "method": 405, "exists": 409,
	"kind-mismatch": 409, "running": 409, "finished": 410, "condition": 412, "too-large": 413, "media-type": 415, "host": 421,
}
