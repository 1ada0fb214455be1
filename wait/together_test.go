package wait_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dulyhq/duly/deadline"
	"github.com/dulyhq/duly/internal/park/parktest"
	"github.com/dulyhq/duly/queue"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

// waiters are calls that block for at most d, of each kind that there is, on one engine.
func waiters(t *testing.T, e *timer.Engine) map[string]func(d time.Duration) error {
	t.Helper()
	mutex, rw, sem, event := &wait.Mutex{Engine: e}, &wait.RWMutex{Engine: e}, &wait.Semaphore{Engine: e}, &wait.Event{Engine: e}
	mutex.Lock()
	rw.Lock()
	sem.Resize(1)
	if !sem.TryAcquire(1) {
		t.Fatal("a permit is not free")
	}
	latch := wait.NewLatch(1)
	latch.Engine = e
	var mu sync.Mutex
	cond := &wait.Cond{Engine: e, L: &mu}
	q, m, c := &queue.Queue[int]{Engine: e}, &queue.Mailbox[int]{Engine: e}, &queue.Call[int, int]{Engine: e}
	group := &wait.Group{Engine: e}
	release := make(chan struct{})
	group.Go(func() error { <-release; return nil })
	t.Cleanup(func() { close(release) })
	return map[string]func(d time.Duration) error{
		"sleep":     func(d time.Duration) error { return wait.Sleeper{Engine: e}.Sleep(t.Context(), d) },
		"nap":       func(d time.Duration) error { (&wait.Napper{Engine: e}).Nap(d); return nil },
		"mutex":     mutex.LockFor,
		"read lock": rw.RLockFor,
		"semaphore": func(d time.Duration) error { return sem.AcquireFor(d, 1) },
		"event":     event.WaitFor,
		"latch":     latch.WaitFor,
		"cond": func(d time.Duration) error {
			mu.Lock()
			defer mu.Unlock()
			return cond.WaitFor(d)
		},
		"group":   group.WaitFor,
		"queue":   func(d time.Duration) error { _, err := q.GetFor(d); return err },
		"mailbox": func(d time.Duration) error { _, err := m.ReceiveFor(d); return err },
		"call":    func(d time.Duration) error { _, err := c.CallFor(d, 1); return err },
	}
}

// requirement: F07, X62. Everything that waits for a time waits on one engine: it shows them all, and has no goroutine for any.
func TestOneEngineForAll_ThatWaits(t *testing.T) {
	const each = 1000
	synctest.Test(t, func(t *testing.T) {
		e := timer.New()
		defer parktest.CloseEngine(t, e)
		var wg sync.WaitGroup
		kinds := waiters(t, e)
		for name, f := range kinds {
			for range each {
				wg.Go(func() {
					if err := f(time.Hour); err != nil && !errors.Is(err, wait.ErrTimeout) {
						t.Errorf("%s: %v", name, err)
					}
				})
			}
		}
		var conns []net.Conn
		for range each {
			a, b := net.Pipe()
			conn := deadline.NewConn(a, deadline.Idle(time.Hour), deadline.WithEngine(e))
			conns = append(conns, b)
			wg.Go(func() {
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read: %v", err)
				}
				_ = conn.Close()
			})
		}
		synctest.Wait()
		s := e.Stats()
		if want := each * (len(kinds) + 1); s.Pending != want || s.Goroutines != 0 {
			t.Errorf("%d pending and %d goroutines, want %d and 0", s.Pending, s.Goroutines, want)
		}
		before := s.Wakeups
		time.Sleep(time.Hour - time.Second)
		synctest.Wait()
		if n := e.Stats().Wakeups - before; n > 1 {
			t.Errorf("the engine woke up %d times before the first was due", n)
		}
		time.Sleep(time.Second)
		wg.Wait()
		for _, c := range conns {
			_ = c.Close()
		}
		if s = e.Stats(); s.Pending != 0 || s.Early != 0 {
			t.Errorf("%d are left, %d were early", s.Pending, s.Early)
		}
	})
}

// requirement: F06. Ten thousand that wait, of each kind, with and without a time: nothing wakes up, and whoever waits for no
// time costs the engine nothing.
func TestNoPollingAnyPrimitive_ThatWaits(t *testing.T) {
	const each = 10_000
	for _, name := range []string{"mutex", "read lock", "semaphore", "event", "latch", "cond", "group", "queue", "mailbox", "call", "sleep", "nap"} {
		synctest.Test(t, func(t *testing.T) {
			e := timer.New()
			defer parktest.CloseEngine(t, e)
			f := waiters(t, e)[name]
			var wg sync.WaitGroup
			for range parktest.Rounds(each) {
				wg.Go(func() { _ = f(2 * time.Hour) })
			}
			synctest.Wait()
			before := e.Stats().Wakeups
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := e.Stats().Wakeups - before; n != 0 {
				t.Errorf("%s: %d wake-ups in an hour in which nothing happened", name, n)
			}
			time.Sleep(2 * time.Hour)
			wg.Wait()
		})
	}
}

// requirement: F25. The part of this package: each function and method that takes a context and blocks has a form that takes a
// time. What takes a context for another reason is named here.
func TestEveryBlockingOpHasTimeout_InThisPackage(t *testing.T) {
	other := map[string]string{
		"WithContext": "makes a group's context", "Go": "starts work that gets it", "TrySubmit": "gives it to the work",
		"Submit": "gives it to the work, too; SubmitFor has a time beside it", "SubmitFor": "has its time",
		"AsCompleted": "a loop; what it waits with has both forms",
		"Sleep":       "has its time", "SleepUntil": "has its time", "Sleeper.Sleep": "has its time", "Sleeper.SleepUntil": "has its time",
		"Napper.NapContext": "has its time", "Napper.NapUntilContext": "has its time",
	}
	takes := map[string]string{} // function: the type of its first argument
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.IsExported() && len(fn.Type.Params.List) > 0 {
				takes[nameOf(fn)] = typeText(fn.Type.Params.List[0].Type)
			}
		}
	}
	checked := 0
	for name, first := range takes {
		if first != "context.Context" || other[name] != "" {
			continue
		}
		checked++
		if twin := strings.TrimSuffix(name, "Context") + "For"; takes[twin] != "time.Duration" {
			t.Errorf("%s has no %s(d, ...)", name, twin)
		}
	}
	if checked < 15 {
		t.Errorf("%d were checked", checked)
	}
	for name := range other {
		if takes[name] != "context.Context" {
			t.Errorf("%s, which this test leaves out, is not there", name)
		}
	}
}

// nameOf is a function's name, behind that of its receiver's type if that is exported.
func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	typ := strings.TrimPrefix(typeText(fn.Recv.List[0].Type), "*")
	return typ + "." + fn.Name.Name
}

func typeText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return "*" + typeText(e.X)
	case *ast.SelectorExpr:
		return typeText(e.X) + "." + e.Sel.Name
	case *ast.IndexExpr:
		return typeText(e.X)
	}
	return "?"
}

// requirement: F25. Each of them times out, in no time and after one.
func TestEveryBlockingOpHasTimeout_EachTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, f := range waiters(t, nil) {
			for _, d := range []time.Duration{-1, 0, time.Second} {
				start := time.Now()
				err := f(d)
				if took := time.Since(start); took != max(d, 0) {
					t.Errorf("%s for %v took %v", name, d, took)
				}
				if name != "sleep" && name != "nap" && (!errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, os.ErrDeadlineExceeded)) {
					t.Errorf("%s for %v: %v", name, d, err)
				}
			}
		}
	})
}
