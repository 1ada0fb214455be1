package deadman

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets no test leave a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Calls are made while all is well, and stay out otherwise, also if the answer to whether it is does not come. Each change is logged once,
// and never where calls go.
func TestRun(t *testing.T) {
	var calls atomic.Int64
	var status atomic.Int64
	status.Store(http.StatusOK)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if r.Method != http.MethodGet || r.URL.Path != "/hush-1234" || r.Header.Get("User-Agent") != "duly/test" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(status.Load()))
	}))
	defer s.Close()
	var ill, hangs atomic.Bool
	asked := make(chan struct{}, 1)
	var log bytes.Buffer
	counted := make(chan string)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Run(ctx, Options{
			URL: s.URL + "/hush-1234", Interval: time.Millisecond, UserAgent: "duly/test", Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Count: func(outcome string) {
				select {
				case counted <- outcome:
				case <-ctx.Done():
				}
			},
			Healthy: func(ctx context.Context) error {
				if hangs.Load() {
					asked <- struct{}{}
					<-ctx.Done()
					return context.Cause(ctx)
				}
				if ill.Load() {
					return errors.New("the disk is gone")
				}
				return nil
			},
		})
	}()
	// A turn that has begun ends as it would have: the next one counts.
	turns := func(want string, n int) {
		t.Helper()
		<-counted
		for range n {
			if got := <-counted; got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	}
	turns(Sent, 3)
	ill.Store(true)
	turns(Withheld, 1)
	before := calls.Load()
	turns(Withheld, 3)
	if n := calls.Load(); n != before {
		t.Errorf("%d calls while it was not well", n-before)
	}
	ill.Store(false)
	turns(Sent, 2)
	status.Store(http.StatusFound) // is not followed
	turns(Failed, 3)
	status.Store(http.StatusNoContent)
	turns(Sent, 2)
	hangs.Store(true)
	<-counted
	for hung := false; !hung; {
		select {
		case <-counted: // it had begun
		case <-asked:
			hung = true
		}
	}
	cancel()
	<-done
	text := log.String()
	if strings.Contains(text, "hush") {
		t.Errorf("the log says where calls go:\n%s", text)
	}
	for what, n := range map[string]int{"the disk is gone": 1, "302 Found": 1, "pings are sent again": 2} {
		if strings.Count(text, what) != n {
			t.Errorf("%q is not there %d times:\n%s", what, n, text)
		}
	}
}

// An error of the net does not show the URL.
func TestRun_NobodyThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	var log bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	Run(ctx, Options{
		URL: s.URL + "/hush-1234", Interval: time.Millisecond, Logger: slog.New(slog.NewTextHandler(&log, nil)), Count: func(string) { time.AfterFunc(time.Millisecond, cancel) },
		Healthy: func(context.Context) error { return nil },
	})
	if text := log.String(); strings.Contains(text, "hush") || strings.Count(text, "pings fail") != 1 {
		t.Errorf("logged:\n%s", text)
	}
}
