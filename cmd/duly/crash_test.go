package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/wait"
)

// A book is what is written down outside of the daemon, of all its lives.
type book struct {
	mu      sync.Mutex
	boot    int64
	answers int           // acknowledged in this life
	want    int           // so many are to be; then enough is closed
	enough  chan struct{} // of this life
	records []verdict.Record
	begun   map[string]int64 // by name, the newest generation that an attempt has begun of
}

func (b *book) note(r verdict.Record) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.At == 0 {
		r.At = time.Now().UnixMicro()
	}
	r.Incarnation = verdict.Incarnation{Node: "daemon", Boot: b.boot}
	r.Line = len(b.records) + 1
	b.records = append(b.records, r)
	switch r.Op {
	case verdict.Begin:
		b.begun[r.Name] = max(b.begun[r.Name], r.Generation)
	case verdict.Put, verdict.Moved, verdict.Cancelled, verdict.TooLate:
		if b.answers++; b.answers == b.want {
			close(b.enough)
		}
	default:
	}
}

// start notes that the next life begins. What it returns is closed when so many answers have come.
func (b *book) start(want int) <-chan struct{} {
	b.mu.Lock()
	b.boot++
	b.answers, b.want, b.enough = 0, want, make(chan struct{})
	enough := b.enough
	b.mu.Unlock()
	b.note(verdict.Record{Op: verdict.Start})
	return enough
}

func (b *book) ran(name string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.begun[name]
}

// save writes the records to a file for whoever looks into a failure: keep it with go test -artifacts.
func (b *book) save(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var text bytes.Buffer
	for _, r := range b.records {
		fmt.Fprintln(&text, r)
	}
	path := filepath.Join(t.ArtifactDir(), "records.log")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		t.Error(err)
		return
	}
	t.Logf("what happened is in %s", path)
}

// A callee is what the daemon's tasks call. It writes down each attempt, works as long as the body says and fails as often.
type callee struct {
	*httptest.Server

	book   *book
	serial atomic.Int64

	mu   sync.Mutex
	open int           // connections
	none chan struct{} // closed when there is none any more; nil: nobody waits for that
}

func newCallee(t *testing.T, b *book) *callee {
	t.Helper()
	c := &callee{book: b}
	c.Server = httptest.NewUnstartedServer(c)
	c.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			c.count(1)
		case http.StateClosed, http.StateHijacked:
			c.count(-1)
		case http.StateActive, http.StateIdle:
		}
	}
	c.Start()
	t.Cleanup(c.Close)
	return c
}

func (c *callee) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open += n; c.open == 0 && c.none != nil {
		close(c.none)
		c.none = nil
	}
}

// quiet returns when nothing is open that a dead daemon has opened: the callee takes connections in their order, so that with one of
// our own all before it have been taken.
func (c *callee) quiet(t *testing.T) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", c.Listener.Addr().String())
	if err == nil {
		_, err = io.WriteString(conn, "GET /quiet HTTP/1.0\r\n\r\n")
	}
	if err == nil {
		_, err = io.ReadAll(conn)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	none := make(chan struct{})
	if c.none = none; c.open == 0 {
		close(none)
		c.none = nil
	}
	c.mu.Unlock()
	<-none
}

func (c *callee) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/quiet" {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the daemon died while it asked
	}
	rec, err := begin(r.Header)
	if err != nil {
		c.book.note(verdict.Record{Op: verdict.Answered, Run: verdict.Run{Name: "a call that can't be: " + err.Error()}})
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rec.Serial = c.serial.Add(1)
	c.book.note(rec)
	var millis, fails int
	if _, err := fmt.Sscan(string(body), &millis, &fails); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if wait.Sleep(r.Context(), time.Duration(millis)*time.Millisecond) != nil {
		return // the daemon died, and this attempt with it
	}
	rec.Op, rec.At, rec.Completed = verdict.End, 0, rand.IntN(100) >= fails
	status := http.StatusOK
	if !rec.Completed {
		rec.Error, status = "not this time", http.StatusInternalServerError
	}
	c.book.note(rec)
	w.WriteHeader(status)
}

// begin reads what a call says of its attempt.
func begin(h http.Header) (r verdict.Record, err error) {
	r = verdict.Record{Op: verdict.Begin, Run: verdict.Run{Name: h.Get("Duly-Name")}}
	run := strings.Split(h.Get("Duly-Run-Id"), "@")
	if len(run) != 3 || run[0] != r.Name {
		return r, fmt.Errorf("the run id of %q is %q", r.Name, h.Get("Duly-Run-Id"))
	}
	var gerr, ferr, serr error
	r.Generation, gerr = strconv.ParseInt(run[1], 10, 64)
	r.Fence, ferr = strconv.ParseInt(h.Get("Duly-Fence"), 10, 64)
	at, serr := time.Parse(time.RFC3339Nano, h.Get("Duly-Scheduled-For"))
	r.ScheduledFor, r.Due = at.UnixMicro(), at.UnixMicro()
	if run[2] != strconv.FormatInt(r.ScheduledFor, 10) {
		serr = errors.Join(serr, fmt.Errorf("%q is scheduled for %v", run, at))
	}
	return r, errors.Join(gerr, ferr, serr)
}

// TestDaemon_Crash kills the daemon while 64 clients put, move, run and cancel tasks, again and again, and holds all that happened to all
// that was acknowledged.
//
// contract: A1
// contract: C1
// contract: C4
// contract: D1
// contract: E1
func TestDaemon_Crash(t *testing.T) {
	kills := 10
	if os.Getenv("DULY_TEST_LONG") != "" {
		kills = 100
	}
	if faults := crash(t, kills); len(faults) > 0 {
		t.Errorf("%d faults, the first of them:\n%s", len(faults), strings.Join(faults[:min(len(faults), 20)], "\n"))
	}
}

// TestDaemon_CrashIsSeen: what a daemon loses that was told not to sync is found to be lost.
func TestDaemon_CrashIsSeen(t *testing.T) {
	if faults := crash(t, 2, "--durability", "memory"); len(faults) == 0 {
		t.Error("a daemon that keeps in memory what it acknowledges has lost nothing")
	}
}

// crash kills a daemon while clients work, and returns what of that was not as it should be.
func crash(t *testing.T, kills int, args ...string) (faults []string) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	b := &book{begun: map[string]int64{}}
	t.Cleanup(func() {
		if t.Failed() {
			b.save(t)
		}
	})
	to := newCallee(t, b)
	dir, args := dataDir(t), append([]string{"--allow-private"}, args...)
	var w *crowd
	for n := range kills {
		enough := b.start(20 + rng.IntN(120))
		d := launch(t, dir, args...)
		if w == nil {
			w = newCrowd(b, d.Client, to.URL, seed, 64)
		}
		worked := make(chan error, 1)
		if n%5 == 4 { // while it starts
			pause(t, time.Duration(rng.IntN(100))*time.Millisecond)
			worked <- nil
		} else {
			d.ready(t)
			go func() { worked <- w.work(t.Context()) }()
			select {
			case <-enough:
			case <-d.ended: // which kill says
			case err := <-worked:
				t.Fatalf("the clients have ended: %v\n%s", err, d.said())
			}
			pause(t, time.Duration(rng.IntN(100))*time.Millisecond)
		}
		d.kill(t)
		to.quiet(t) // what the daemon had asked for has ended, or will not begin
		if err := <-worked; err != nil {
			t.Fatalf("%v\n%s", err, d.said())
		}
		b.note(verdict.Record{Op: verdict.Died})
	}
	healed := time.Now().UnixMicro()
	b.start(0)
	d := serve(t, dir, args...)
	heal(t, b, d.Client)
	recount(t, b, d.Client)
	there, faults := inventory(t, d.Client)
	d.term(t)
	return append(faults, judge(t, b, there, healed)...)
}

// pause lets others work.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	if err := wait.Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// heal waits, while nobody works, until every one-off that is due has run, and every recurring task that is there has run again.
func heal(t *testing.T, b *book, c *client.Client) {
	t.Helper()
	from := time.Now()
	for n := 0; ; n++ {
		left := unhealed(t, b, c, from)
		if left == "" {
			return
		}
		if n == 6000 {
			t.Fatalf("it has not run, and does not: %s", left)
		}
		pause(t, 20*time.Millisecond)
	}
}

// unhealed tells of one task that has still to run, "" if there is none.
func unhealed(t *testing.T, b *book, c *client.Client, from time.Time) string {
	t.Helper()
	for task, err := range c.List(t.Context(), client.Query{Limit: 1000}) {
		switch {
		case err != nil:
			t.Fatal(err)
		case !task.Recurring && len(task.Runs) == 0 && task.DueAt.After(from.Add(far/2)):
			continue
		case task.Recurring && !task.Ended && b.ran(task.Name) >= task.Generation:
			continue
		}
		w, err := c.WhyNot(t.Context(), task.Name)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s: %s (%s)", task.Name, w.Text, w.Code)
	}
	return ""
}

// recount notes all that the history knows to be done.
func recount(t *testing.T, b *book, c *client.Client) {
	t.Helper()
	for after := int64(0); ; {
		evs, err := c.History(t.Context(), client.HistoryQuery{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(evs) == 0 {
			return
		}
		for _, e := range evs {
			if after = e.Seq; e.To == "done" {
				b.note(verdict.Record{
					Op: verdict.Settled, At: e.At.UnixMicro(),
					Run: verdict.Run{Name: e.Name, Generation: e.Generation, ScheduledFor: e.ScheduledFor.UnixMicro()},
				})
			}
		}
	}
}

// inventory returns what the daemon holds. What is dead is a fault, unless its process was killed with it too often.
func inventory(t *testing.T, c *client.Client) (there map[string]api.Task, faults []string) {
	t.Helper()
	there = map[string]api.Task{}
	for task, err := range c.List(t.Context(), client.Query{Limit: 1000}) {
		if err != nil {
			t.Fatal(err)
		}
		there[task.Name] = task
	}
	for task, err := range c.List(t.Context(), client.Query{State: "dead"}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range task.Runs {
			if r.Reason != "lost" {
				faults = append(faults, fmt.Sprintf("%s: dead without having been lost: %+v", task.Name, r))
			}
		}
	}
	return there, faults
}

// judge holds the book to what was promised, and to what is left.
func judge(t *testing.T, b *book, there map[string]api.Task, healed int64) (faults []string) {
	t.Helper()
	acknowledged, begun, completed := 0, 0, 0
	for i := range b.records {
		switch r := &b.records[i]; {
		case r.Op == verdict.Put, r.Op == verdict.Moved, r.Op == verdict.Cancelled, r.Op == verdict.TooLate:
			acknowledged++
		case r.Op == verdict.Begin:
			begun++
		case r.Op == verdict.End && r.Completed:
			completed++
		case strings.HasPrefix(r.Name, "a call"):
			faults = append(faults, r.Name)
		}
	}
	t.Logf("%d lives, %d records: %d acknowledged, %d begun, %d completed, %d tasks left", b.boot, len(b.records), acknowledged, begun, completed, len(there))
	if acknowledged == 0 || completed == 0 {
		t.Error("nothing was acknowledged, or nothing ran: this has shown nothing")
	}
	for _, v := range verdict.Check(b.records, verdict.Options{End: healed}) {
		faults = append(faults, v.String())
	}
	return append(faults, lost(b.records, there)...)
}

// lost compares what is left with what was acknowledged last of each name, as far as no request of the name after it is in doubt: a task
// that has not begun must be there, at its instant, and a recurring one whatever ran.
func lost(records []verdict.Record, there map[string]api.Task) (faults []string) {
	accepted, asked := map[string]*verdict.Record{}, map[string]int{}
	begun := map[string]int64{}
	generation := func(r *verdict.Record) int64 {
		if r.Op == verdict.Moved {
			return r.Next
		}
		return r.Generation
	}
	doubt := map[string]bool{}
	for i := range records {
		r := &records[i]
		switch r.Op {
		case verdict.Asked:
			asked[r.Name]++
		case verdict.Put, verdict.Moved, verdict.Cancelled, verdict.TooLate:
			if asked[r.Name]--; r.Op == verdict.Cancelled || r.Op == verdict.TooLate {
				delete(accepted, r.Name)
			} else {
				accepted[r.Name] = r
			}
			doubt[r.Name] = false // whatever was in doubt came before it
			asked[r.Name] = 0
		case verdict.Answered:
			asked[r.Name]--
		case verdict.Begin:
			begun[r.Name] = max(begun[r.Name], r.Generation)
		case verdict.Died:
			for name, n := range asked {
				if n > 0 {
					doubt[name] = true
				}
			}
			clear(asked)
		default:
		}
	}
	for name, r := range accepted {
		gen := generation(r)
		if doubt[name] || !r.Recurring && begun[name] >= gen {
			continue
		}
		switch task, ok := there[name]; {
		case !ok || task.Ended:
			faults = append(faults, fmt.Sprintf("%s: it is gone; accepted: %v", name, r))
		case task.Generation != gen:
			faults = append(faults, fmt.Sprintf("%s: it is of generation %d; accepted: %v", name, task.Generation, r))
		case !task.Recurring && task.DueAt.UnixMicro() != r.Due:
			faults = append(faults, fmt.Sprintf("%s: it is due at %v; accepted: %v", name, task.DueAt, r))
		}
	}
	return faults
}
