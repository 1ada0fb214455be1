package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/timer"
	"github.com/dulyhq/duly/wait"
)

// Rows 10 to 12: what waiting with a timeout costs. They are few and independent, so all are measured in this process, in
// turns, and the medians compared.

const (
	waitSamples   = 5
	waitDeadlines = million
	condWaiters   = 16 * thousand
)

// A waitRow is one figure of duly beside one of a peer.
type waitRow struct {
	row          int
	what, unit   string
	ours, theirs []float64
	peer, target string
	limit        float64 // of the ratio; 0: the figures must be the same as limitAbs
	abs          float64
}

// runWaits measures rows 10 to 12, prints the table and writes it to a file if one is named.
func runWaits(ctx context.Context, path string, stdout, stderr io.Writer) error {
	started := time.Now()
	m := figures.DescribeMachine(ctx)
	var rows []waitRow
	for _, measure := range []func() []waitRow{timedAcquire, pendingDeadlines, condCancel} {
		runtime.GC()
		rows = append(rows, measure()...)
		runs.Progress{W: stderr}.Printf("row %d\n", rows[len(rows)-1].row)
	}
	text := waitTable(rows)
	if _, err := io.WriteString(stdout, text); err != nil {
		return fmt.Errorf("print table: %w", err)
	}
	if path == "" {
		return nil
	}
	head := fmt.Sprintf("# Waiting beside its peers\n\nWritten by `make bench-wait` on %s. Everything above Observations is replaced by the next run.\n\n"+
		"Machine: %s, %d cores, shared; %s, kernel %s; %s, GOMAXPROCS %s; golang.org/x/sync %s. %d samples in turns, medians, in brackets the least and "+
		"the most. CPU is user and system time of the process.\n\n", started.UTC().Format("2006-01-02 15:04 UTC"),
		m.CPU, m.Cores, m.System, m.Kernel, m.GoVersion, m.GOMAXPROCS, m.Modules["golang.org/x/sync"], waitSamples)
	return writeWaits(path, head+text)
}

// writeWaits keeps what the file says from its Observations on.
func writeWaits(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("read the last report: %w", err)
	}
	if i := bytes.Index(old, []byte("## Observations")); i >= 0 {
		text += "\n" + string(old[i:])
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

func waitTable(rows []waitRow) string {
	var b strings.Builder
	b.WriteString("| row | figure | duly | peer | peer's | ratio | target | verdict |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range rows {
		ours, theirs := spreadOfValues(r.ours), spreadOfValues(r.theirs)
		ratio, said := 0.0, ""
		if len(r.theirs) > 0 {
			ratio = ours.Median / theirs.Median
			said = ratioText(ratio)
		}
		ok := r.limit > 0 && ratio <= r.limit || r.limit == 0 && ours.Median == r.abs
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %s | %s | %s | %s |\n", r.row, r.what, figureText(ours, r.unit), r.peer, figureText(theirs, r.unit), said, r.target, verdict(ok))
	}
	return b.String()
}

// spreadOfValues is the middle and the ends of some values.
func spreadOfValues(all []float64) figures.Spread {
	if len(all) == 0 {
		return figures.Spread{}
	}
	sorted := slices.Sorted(slices.Values(all))
	return figures.Spread{Median: sorted[len(sorted)/2], Low: sorted[0], High: sorted[len(sorted)-1], Samples: len(sorted)}
}

// figureText writes the middle and, where they differ, the ends.
func figureText(s figures.Spread, unit string) string {
	if s.Samples == 0 {
		return ""
	}
	digits := 0
	if s.Median < 10 && unit != "" {
		digits = 1
	}
	text := strings.TrimSpace(fmt.Sprintf("%.*f %s", digits, s.Median, unit))
	if s.Low == s.High {
		return text
	}
	return text + fmt.Sprintf(" [%.*f-%.*f]", digits, s.Low, digits, s.High)
}

// timedAcquire is row 10: a permit that is free, asked for with a timeout of a second.
func timedAcquire() []waitRow {
	var s wait.Semaphore
	s.Resize(1)
	peer := semaphore.NewWeighted(1)
	r := waitRow{row: 10, what: "timed acquire and release, uncontended, CPU", unit: "ns", peer: "x/sync/semaphore, context.WithTimeout", target: "<= 0.05x", limit: 0.05}
	allocs := waitRow{row: 10, what: "allocations of it", unit: "", peer: r.peer, target: "0", abs: 0}
	ours := func() {
		if s.AcquireFor(time.Second, 1) != nil {
			panic("not free")
		}
		s.Release(1)
	}
	theirs := func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if peer.Acquire(ctx, 1) != nil {
			panic("not free")
		}
		peer.Release(1)
		cancel()
	}
	for range waitSamples {
		a, b := costOf(200*time.Millisecond, ours), costOf(200*time.Millisecond, theirs)
		r.ours, r.theirs = append(r.ours, a[0]), append(r.theirs, b[0])
		allocs.ours, allocs.theirs = append(allocs.ours, float64(int(a[1]+0.005))), append(allocs.theirs, b[1])
	}
	return []waitRow{r, allocs}
}

// costOf gives the CPU time in ns, and the allocations, of one call.
func costOf(d time.Duration, f func()) [2]float64 {
	runtime.GC()
	before, objects := readCost(), mallocs()
	n := 0
	for end := before.at.Add(d); time.Now().Before(end); n += 64 {
		for range 64 {
			f()
		}
	}
	spent := readCost().since(before)
	return [2]float64{float64(spent.cpu) / float64(n), float64(mallocs()-objects) / float64(n)}
}

type nobody struct{}

func (*nobody) Expire(error) {}

// pendingDeadlines is row 11: the bytes of a deadline that pends, of a million. The handles to end them are kept in slices made
// before, and not counted on any side.
func pendingDeadlines() []waitRow {
	rows := []waitRow{
		{row: 11, peer: "context.WithTimeout", target: "<= 0.25x", limit: 0.25},
		{row: 11, peer: "time.AfterFunc", limit: 1},
	}
	for i := range rows {
		rows[i].what, rows[i].unit = "bytes of a pending deadline, handles apart", "B"
	}
	const far = time.Hour
	for range 2 {
		e := timer.New()
		handles, x := make([]timer.Expiry, waitDeadlines), &nobody{}
		ours := weighEach(func(i int) {
			h, err := e.Expire(e.Elapsed()+far+time.Duration(i), x)
			runs.Must("expire", err)
			handles[i] = h
		})
		for _, h := range handles {
			h.Stop()
		}
		contexts, cancels := make([]context.Context, waitDeadlines), make([]context.CancelFunc, waitDeadlines)
		rows[0].theirs = append(rows[0].theirs, weighEach(func(i int) {
			contexts[i], cancels[i] = context.WithTimeout(context.Background(), far+time.Duration(i)) //nolint:fatcontext // none is in another
		}))
		for _, cancel := range cancels {
			cancel()
		}
		timers := make([]*time.Timer, waitDeadlines)
		rows[1].theirs = append(rows[1].theirs, weighEach(func(i int) { timers[i] = time.AfterFunc(far+time.Duration(i), func() {}) }))
		for _, t := range timers {
			t.Stop()
		}
		for i := range rows {
			rows[i].ours = append(rows[i].ours, ours)
		}
		runtime.KeepAlive(contexts)
	}
	return rows
}

// weighEach gives the bytes that one call leaves, of a million.
func weighEach(arm func(i int)) float64 {
	before, _ := settledMemory()
	for i := range waitDeadlines {
		arm(i)
	}
	after, _ := settledMemory()
	return float64(after-before) / waitDeadlines
}

// condCancel is row 12: how often goroutines wake up when the waiters of a condition are cancelled one by one.
func condCancel() []waitRow {
	r := waitRow{
		row: 12, what: fmt.Sprintf("wake-ups when %d waiters of a Cond are cancelled one by one", condWaiters), unit: "",
		peer: "sync.Cond, context.AfterFunc(Broadcast)", target: "= the waiters", abs: condWaiters,
	}
	var mu sync.Mutex
	ours := wait.Cond{L: &mu}
	r.ours = append(r.ours, cancelAll(func(ctx context.Context, woken *atomic.Int64) {
		mu.Lock()
		defer mu.Unlock()
		for ctx.Err() == nil {
			_ = ours.WaitContext(ctx)
			woken.Add(1)
		}
	}))
	theirs := sync.NewCond(&mu)
	r.theirs = append(r.theirs, cancelAll(func(ctx context.Context, woken *atomic.Int64) {
		stop := context.AfterFunc(ctx, func() {
			mu.Lock()
			defer mu.Unlock()
			theirs.Broadcast()
		})
		defer stop()
		mu.Lock()
		defer mu.Unlock()
		for ctx.Err() == nil {
			theirs.Wait()
			woken.Add(1)
		}
	}))
	return []waitRow{r}
}

// cancelAll starts the waiters, cancels one when the one before has ended, and gives the wake-ups.
func cancelAll(waiter func(context.Context, *atomic.Int64)) float64 {
	var woken atomic.Int64
	cancels := make([]context.CancelFunc, condWaiters)
	ended := make(chan struct{}, condWaiters)
	for i := range cancels {
		var ctx context.Context
		ctx, cancels[i] = context.WithCancel(context.Background())
		go func() {
			waiter(ctx, &woken)
			ended <- struct{}{}
		}()
	}
	time.Sleep(time.Second) // they have begun to wait
	for _, cancel := range cancels {
		cancel()
		<-ended
	}
	return float64(woken.Load())
}
