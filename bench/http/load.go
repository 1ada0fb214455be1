package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/target"
)

// The load of the soak, and what must have become of it.

const (
	recurring    = 20
	commandsEach = 4 // a second
	reloadEvery  = 15 * time.Second
	recurEvery   = 2 * time.Second
	ticks        = 10 // a second, at which callbacks are put
)

// An asked callback is one that was put.
type asked struct {
	how   string
	due   time.Time
	times int64 // it must come; -1 while that is not known
}

// A load puts, reads and steers.
type load struct {
	d     *daemon
	to    *sink
	rate  int
	soon  time.Duration // within which callbacks come due, and hang
	marks string        // the file that commands write to
	began time.Time
	cl    *client.Client

	mu     sync.Mutex
	asked  []asked
	failed []string // calls that failed
	ended  time.Time
	first  [recurring]time.Time // when each recurring task was due first

	calls, commands, streams, entries, slow, reloads, moves, cancels count
}

// run loads the daemon until the context ends, and takes the recurring tasks away then.
func (l *load) run(ctx context.Context) {
	l.cl = l.d.client()
	for k := range recurring {
		name := "recurring-" + strconv.Itoa(k)
		l.call("put a recurring task", func() error {
			e, err := l.cl.Put(ctx, name, api.Spec{
				HTTP: l.callback(pathEvery, k), Every: api.Duration(recurEvery), Policy: api.Policy{Overlap: "allow", CatchUp: "all:1000"},
			})
			l.first[k] = e.DueAt
			return err
		})
	}
	var all sync.WaitGroup
	for _, x := range []struct {
		every time.Duration
		do    func(ctx context.Context, i int)
	}{
		{time.Second / ticks, l.callbacks},
		{time.Second / commandsEach, l.command},
		{100 * time.Millisecond, l.read},
		{500 * time.Millisecond, l.follow},
		{2 * time.Second, l.dawdle},
		{reloadEvery, l.reload},
	} {
		all.Go(func() { l.repeat(ctx, x.every, x.do) })
	}
	all.Wait()
	l.ended = time.Now()
	for k := range recurring {
		l.call("cancel a recurring task", func() error {
			_, err := l.cl.Cancel(context.WithoutCancel(ctx), "recurring-"+strconv.Itoa(k))
			return err
		})
	}
}

// repeat does something at equal intervals, each time on a goroutine of its own, until the context ends.
func (l *load) repeat(ctx context.Context, every time.Duration, do func(ctx context.Context, i int)) {
	var all sync.WaitGroup
	for i := 1; ; i++ {
		if pause(ctx, time.Until(l.began.Add(time.Duration(i)*every))); ctx.Err() != nil {
			break
		}
		all.Go(func() { do(ctx, i) })
	}
	all.Wait()
}

// call makes a call, and notes it if it fails.
func (l *load) call(what string, do func() error) {
	l.calls.Add(1)
	if err := do(); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.failed = append(l.failed, what+": "+err.Error())
	}
}

func (l *load) callback(how string, id int) *target.Callback {
	return &target.Callback{URL: l.to.url(how, id), Body: `{"hello":"world"}`}
}

// ask numbers a callback.
func (l *load) ask(how string, due time.Time, times int64) (id int, s api.Spec) {
	l.mu.Lock()
	id = len(l.asked)
	l.asked = append(l.asked, asked{how, due, times})
	l.mu.Unlock()
	s = api.Spec{Name: "callback-" + strconv.Itoa(id), HTTP: l.callback(how, id), At: due}
	soon := api.Duration(l.soon / 2)
	switch how {
	case pathFail:
		s.Policy = api.Policy{Attempts: 3, Backoff: soon, MaxBackoff: api.Duration(time.Minute)}
	case pathHang:
		s.Policy = api.Policy{Attempts: 2, Backoff: soon, MaxBackoff: api.Duration(time.Minute), Timeout: api.Duration(l.soon)}
	}
	return id, s
}

// know says when a callback is due, and how often it must come.
func (l *load) know(id int, due time.Time, times int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked[id].due, l.asked[id].times = due, times
}

// callbacks puts a tick's callbacks: most in a batch, those that are moved or cancelled one by one.
func (l *load) callbacks(ctx context.Context, tick int) {
	ctx = context.WithoutCancel(ctx)
	now := time.Now().Truncate(time.Millisecond)
	var batch []api.Spec
	for i := tick * l.rate / ticks; i < (tick+1)*l.rate/ticks; i++ {
		due := now.Add(l.soon + rand.N(2*l.soon))
		how, times := pathOK, int64(1)
		switch i % 20 {
		case 0:
			how, times = pathFail, 2
		case 1:
			how, times = pathHang, 2
		case 2:
			how = pathSlow
		case 3:
			l.moved(ctx, due)
			continue
		case 4:
			l.cancelled(ctx, due)
			continue
		}
		_, s := l.ask(how, due, times)
		batch = append(batch, s)
	}
	l.call("put a batch", func() error { return putMany(ctx, l.cl, slices.Values(batch)) })
}

func (l *load) moved(ctx context.Context, due time.Time) {
	id, s := l.ask(pathOK, due, -1)
	s.At = due.Add(time.Hour)
	name := s.Name
	s.Name = ""
	l.call("put", func() error { _, err := l.cl.Put(ctx, name, s); return err })
	l.call("move", func() error {
		_, err := l.cl.Move(ctx, name, schedule.At(due))
		if err == nil {
			l.know(id, due, 1)
		}
		return err
	})
	l.moves.Add(1)
}

func (l *load) cancelled(ctx context.Context, due time.Time) {
	id, s := l.ask(pathOK, due, -1)
	name := s.Name
	s.Name = ""
	l.call("put", func() error { _, err := l.cl.Put(ctx, name, s); return err })
	l.call("cancel", func() error {
		x, err := l.cl.Cancel(ctx, name)
		if err == nil {
			times := int64(0)
			if x.Outcome != "cancelled" { // it had begun
				times = 1
			}
			l.know(id, due, times)
		}
		return err
	})
	l.cancels.Add(1)
}

// command puts a command that prints something, and leaves its mark in a file.
func (l *load) command(ctx context.Context, i int) {
	in := api.Duration(l.soon)
	l.call("put a command", func() error {
		_, err := l.cl.Put(context.WithoutCancel(ctx), "command-"+strconv.Itoa(i), api.Spec{
			Command: &target.Command{Shell: fmt.Sprintf("seq 1 200; echo %d >> '%s'", i, l.marks)}, In: &in,
		})
		return err
	})
	l.commands.Add(1)
}

// read asks for what people and programs look at. What has ended meanwhile is an answer, too.
func (l *load) read(ctx context.Context, i int) {
	ctx = context.WithoutCancel(ctx)
	l.mu.Lock()
	name := "callback-" + strconv.Itoa(max(rand.IntN(len(l.asked)+1)-1, 0))
	l.mu.Unlock()
	var err error
	switch i % 6 {
	case 0:
		_, err = l.cl.Get(ctx, name)
	case 1:
		_, err = l.cl.ListPage(ctx, client.Query{Limit: 100})
	case 2:
		_, err = l.cl.Attempts(ctx, name, 10)
	case 3:
		_, err = l.cl.History(ctx, client.HistoryQuery{Newest: true, Limit: 100})
	case 4:
		_, err = l.cl.WhyNot(ctx, name)
	default:
		_, err = l.cl.Stats(ctx)
	}
	if errors.Is(err, duly.ErrFinished) || errors.Is(err, duly.ErrNotFound) {
		err = nil
	}
	l.call("read", func() error { return err })
}

// follow listens to events for some seconds.
func (l *load) follow(ctx context.Context, _ int) {
	ctx, stop := context.WithTimeout(ctx, time.Duration(rand.IntN(5000))*time.Millisecond)
	defer stop()
	l.streams.Add(1)
	for _, err := range l.cl.Events(ctx, client.FromNow, "") {
		if err != nil {
			if ctx.Err() == nil {
				l.call("follow", func() error { return err })
			}
			return
		}
		l.entries.Add(1)
	}
}

// dawdle is a client that is slow, or does not listen.
func (l *load) dawdle(ctx context.Context, i int) {
	head := "Host: localhost\r\nAuthorization: Bearer " + l.d.token + "\r\n"
	const most = 45 * time.Second // of them, so that the daemon has to cut it off before
	switch i % 3 {
	case 0:
		head = "GET /v1/stats HTTP/1.1\r\n" + head // the end does not come
	case 1:
		head = "PUT /v1/tasks/slow HTTP/1.1\r\n" + head + "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
	default:
		head = "GET /v1/events?after=0 HTTP/1.1\r\n" + head + "\r\n" // and nobody reads
	}
	l.slow.Add(1)
	l.call("be slow", func() error {
		c, err := new(net.Dialer).DialContext(context.WithoutCancel(ctx), "tcp", strings.TrimPrefix(l.d.url, "http://"))
		if err != nil {
			return err
		}
		defer c.Close() //nolint:errcheck // the daemon may have closed it
		if _, err := io.WriteString(c, head); err != nil {
			return err
		}
		patient, stop := context.WithTimeout(ctx, most)
		defer stop()
		if i%3 == 2 {
			<-patient.Done()
			return nil
		}
		defer context.AfterFunc(patient, func() { _ = c.SetReadDeadline(time.Now()) })()
		if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
			return fmt.Errorf("the daemon has not cut it off within %v", most)
		}
		return nil
	})
}

// reload has the daemon read its settings again.
func (l *load) reload(context.Context, int) {
	l.call("reload", func() error { return l.d.cmd.Process.Signal(syscall.SIGHUP) })
	l.reloads.Add(1)
}

// settled waits until no task is left.
func (l *load) settled(ctx context.Context) error {
	const patience, every = time.Minute, 100 * time.Millisecond
	for end := time.Now().Add(patience); ; pause(ctx, every) {
		st, err := l.cl.Stats(ctx)
		switch {
		case err != nil:
			return err
		case st.Running == 0 && st.Pending == 0:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%d tasks run and %d wait a minute after the load has ended", st.Running, st.Pending)
		}
	}
}

func (l *load) close() { l.cl.Close() }

// look compares what came with what was asked for, and asks the daemon what it says itself.
func (l *load) look(ctx context.Context, r sinkReport) (faults []fault, attempts int64, err error) {
	missing, err := l.marked()
	if err != nil {
		return nil, 0, err
	}
	calls := fault{what: "calls that failed", n: len(l.failed)}
	if calls.n > 0 {
		calls.say = l.failed[0]
	}
	st, err := l.cl.Stats(ctx)
	if err != nil {
		return nil, 0, err
	}
	early := fault{what: "attempts that the daemon itself calls early"}
	for kind, k := range st.Kinds {
		attempts += int64(k.Started)
		for range k.Early {
			early.add(kind)
		}
	}
	return append(l.compare(r), missing, early, calls), attempts, nil
}

// compare compares what came with what was asked for.
func (l *load) compare(r sinkReport) []fault {
	lost, early, twice := fault{what: "callbacks lost"}, fault{what: "callbacks early"}, fault{what: "callbacks that came too often"}
	phantom := fault{what: "callbacks that were cancelled and came"}
	for id, a := range l.asked {
		if a.times < 0 {
			continue // a call failed, which is a fault of its own
		}
		came := r.Times[id]
		say := fmt.Sprintf("%d of %s, due %v, came %d times", id, a.how, a.due, came)
		switch {
		case came > 0 && a.times == 0:
			phantom.add(say)
		case came > a.times:
			twice.add(say)
		case came < a.times:
			lost.add(say)
		}
		if came > 0 && a.times > 0 && r.First[id] < a.due.UnixNano() {
			early.add(say)
		}
	}
	stopped := l.recurred(r, &lost, &early)
	for range r.Again {
		twice.add("an occurrence of a recurring task")
	}
	return []fault{lost, early, twice, phantom, stopped}
}

func (f *fault) add(say string) {
	if f.n == 0 {
		f.say = say
	}
	f.n++
}

// recurred looks at the occurrences of recurring tasks: each came, none before its instant.
func (l *load) recurred(r sinkReport, lost, early *fault) (left fault) {
	left.what = "recurring tasks that stopped recurring"
	for k := range recurring {
		var at []time.Time
		for text, came := range r.Every[strconv.Itoa(k)] {
			t, err := time.Parse(time.RFC3339Nano, text)
			if err != nil {
				lost.add(err.Error())
				continue
			}
			if came < t.UnixNano() {
				early.add(fmt.Sprintf("recurring-%d at %v", k, t))
			}
			at = append(at, t)
		}
		slices.SortFunc(at, time.Time.Compare)
		for i := range at[:max(len(at)-1, 0)] {
			if gap := at[i+1].Sub(at[i]); gap != recurEvery {
				lost.add(fmt.Sprintf("recurring-%d between %v and %v", k, at[i], at[i+1]))
			}
		}
		last := l.first[k].Add(-recurEvery) // a short run may end before the first
		if len(at) > 0 {
			last = at[len(at)-1]
		}
		if l.ended.Sub(last) > 2*recurEvery {
			left.add(fmt.Sprintf("recurring-%d after %d occurrences", k, len(at)))
		}
	}
	return left
}

// marked looks at the marks of commands.
func (l *load) marked() (missing fault, err error) {
	missing.what = "commands that left no mark"
	f, err := os.Open(l.marks)
	if errors.Is(err, os.ErrNotExist) && l.commands.Load() == 0 {
		return missing, nil
	}
	if err != nil {
		return missing, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	there := map[string]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		there[lines.Text()] = true
	}
	for i := 1; i <= int(l.commands.Load()); i++ {
		if !there[strconv.Itoa(i)] {
			missing.add("command-" + strconv.Itoa(i))
		}
	}
	return missing, lines.Err()
}

// strange counts the lines of the daemon's log but for those that the load brings about: runs of callbacks that hang are dead.
func (l *load) strange(log string) (n int) {
	text, err := os.ReadFile(log)
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "a run is dead") {
			n++
		}
	}
	return n
}

// table says what the load was.
func (l *load) table() figures.Table {
	return figures.Table{
		{"the load", "times"},
		{"callbacks put", figures.Number(float64(len(l.asked)), 0)},
		{"of these moved", l.moves.text()},
		{"of these cancelled", l.cancels.text()},
		{"commands put", l.commands.text()},
		{"calls of the API, batches as one", l.calls.text()},
		{"streams of events", l.streams.text()},
		{"entries that they have told", l.entries.text()},
		{"slow clients", l.slow.text()},
		{"reloads", l.reloads.text()},
	}
}
