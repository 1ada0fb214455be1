package clusterproof_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/postgres"
	"github.com/dulyhq/duly/wait"
)

// A fleet is the processes of a run, and what the test that starts them knows. The test takes part with a scheduler that runs nothing.
type fleet struct {
	t     *testing.T
	began time.Time
	dir   string
	url   string
	base  orders // of all processes, but for what each has of its own
	s     *duly.Scheduler
	st    *postgres.Store
	book  *verdict.Writer
	own   *load // what the test itself puts
	boots map[string]int64

	asking sync.Mutex
	asks   *pgx.Conn // for query; nil: none is open

	nodes []*process // that live

	windows  []window
	deaths   []death
	measures func(records []verdict.Record) // of this case; nil: nothing
	forgets  func(at int64) bool            // what was acknowledged at an instant may be lost; nil: nothing
	row      row
}

// A process is one life of a node.
type process struct {
	f      *fleet
	o      orders
	cmd    *exec.Cmd
	stdin  io.WriteCloser // it ends when this is closed, as by our own death
	stdout *bufio.Reader
	stderr bytes.Buffer
	begun  bool // it has said that an attempt has begun
}

// How long anything may take before the run is given up.
var patience = brief(2*time.Minute, 10*time.Minute)

func newFleet(t *testing.T, url string, base orders) *fleet {
	t.Helper()
	f := &fleet{t: t, began: time.Now(), dir: t.TempDir(), url: url, base: base, boots: map[string]int64{}}
	f.base.Seed = uint64(time.Now().UnixNano())
	t.Logf("seed %d", f.base.Seed)
	var err error
	quiet := slog.New(slog.DiscardHandler)
	if f.st, err = postgres.Open(t.Context(), url, postgres.Options{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	if f.s, err = duly.New(duly.Options{Store: f.st, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	f.book, err = verdict.OpenWriter(filepath.Join(f.dir, "log-test"), verdict.WriterOptions{
		Incarnation: verdict.Incarnation{Node: "test", Boot: 1}, At: now(), NoSync: base.NoSync,
	})
	if err != nil {
		t.Fatal(err)
	}
	f.own = newLoad(f.s, f.book, "test", false)
	f.own.fault = func(err error) { t.Error(err) }
	t.Cleanup(f.end)
	return f
}

// end leaves nothing behind, also of a run that has failed.
func (f *fleet) end() {
	for _, p := range f.nodes {
		_ = p.cmd.Process.Kill() // the test's context has done so
		_ = p.cmd.Wait()
		if f.t.Failed() {
			f.t.Logf("what %s printed:\n%s", p.o.Node, p.said())
		}
	}
	f.hangUp()
	if err := f.s.Close(context.WithoutCancel(f.t.Context())); err != nil {
		f.t.Error(err)
	}
	if err := f.st.Close(); err != nil {
		f.t.Error(err)
	}
	if err := f.book.Close(); err != nil {
		f.t.Error(err)
	}
}

// start starts a life of a node, and returns when it runs.
func (f *fleet) start(node string, change ...func(o *orders)) *process {
	f.t.Helper()
	p := f.launch(node, change...)
	p.hear("ready")
	return p
}

// startAll starts one life of each node, and returns when all run and each has its share.
func (f *fleet) startAll(nodes ...string) []*process {
	f.t.Helper()
	all := make([]*process, len(nodes))
	for i, node := range nodes {
		all[i] = f.launch(node)
	}
	for _, p := range all {
		p.hear("ready")
	}
	f.shared(len(f.nodes))
	return all
}

func (f *fleet) launch(node string, change ...func(o *orders)) *process {
	f.t.Helper()
	f.boots[node]++
	p := &process{f: f, o: f.base}
	p.o.Node, p.o.Boot = node, f.boots[node]
	if p.o.URL == "" {
		p.o.URL = f.url
	}
	p.o.Seed += uint64(p.o.Boot)
	p.o.Log = filepath.Join(f.dir, fmt.Sprintf("log-%s-%06d", node, p.o.Boot))
	for _, c := range change {
		c(&p.o)
	}
	text, err := json.Marshal(&p.o)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(f.t.Context(), 3*patience) // so that nobody waits for it for ever
	f.t.Cleanup(stop)
	p.cmd = exec.CommandContext(ctx, os.Args[0], "-test.run=^TestNode$", "-test.count=1")
	p.cmd.Env = append(os.Environ(), envOrders+"="+string(text))
	p.cmd.Stderr = &p.stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		f.t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.nodes = append(f.nodes, p)
	return p
}

// tell has the process do something, and returns when it has.
func (p *process) tell(line string) {
	p.f.t.Helper()
	p.send(line)
	word, _, _ := strings.Cut(line, " ")
	p.hear(word)
}

func (p *process) send(line string) {
	p.f.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.f.t.Errorf("tell %s: %v", p.o.Node, err)
	}
}

// hear waits until the process says a word, and returns what it has said before.
func (p *process) hear(word string) (before []string) {
	p.f.t.Helper()
	for {
		line, err := p.stdout.ReadString('\n')
		if err != nil {
			_ = p.cmd.Wait()
			p.f.gone(p)
			p.f.t.Fatalf("%s ended, or did not say %q in time; it printed:\n%s", p.o.Node, word, p.said())
		}
		line = strings.TrimSuffix(line, "\n")
		p.begun = p.begun || line == "begun"
		if line == word {
			return before
		}
		before = append(before, line)
	}
}

// begin has the process produce, if it has producers, and returns when an attempt has begun.
func (p *process) begin() {
	p.f.t.Helper()
	p.tell("produce")
	if !p.begun {
		p.hear("begun")
	}
}

// said is the end of what a process that has ended printed.
func (p *process) said() string {
	const most = 8 << 10
	b := p.stderr.Bytes()
	return string(b[max(len(b)-most, 0):])
}

func (f *fleet) gone(p *process) {
	f.nodes = slices.DeleteFunc(f.nodes, func(q *process) bool { return q == p })
}

// kill kills processes by SIGKILL, all at once, and notes that they are dead.
func (f *fleet) kill(all ...*process) {
	f.t.Helper()
	all = slices.Clone(all) // it may be f.nodes
	from := now()
	for _, p := range all {
		if err := p.cmd.Process.Kill(); err != nil {
			f.t.Fatalf("kill %s: %v\n%s", p.o.Node, err, p.said())
		}
	}
	for _, p := range all {
		_, _ = io.Copy(io.Discard, p.stdout) // its end is the process's
		if err := p.cmd.Wait(); err == nil || p.cmd.ProcessState.ExitCode() != -1 {
			f.t.Fatalf("%s ended by itself: %v\n%s", p.o.Node, err, p.said())
		}
		at := now()
		f.gone(p)
		f.windows = append(f.windows, window{from: from, to: at, node: p.o.Node})
		r := verdict.Record{Op: verdict.Died, At: at, Incarnation: verdict.Incarnation{Node: p.o.Node, Boot: p.o.Boot}}
		if err := f.book.Append(r); err != nil {
			f.t.Fatal(err)
		}
	}
}

// all tells all processes to do something at once, and returns when they have.
func (f *fleet) all(line string) {
	f.t.Helper()
	for _, p := range f.nodes {
		p.send(line)
	}
	word, _, _ := strings.Cut(line, " ")
	for _, p := range f.nodes {
		p.hear(word)
	}
}

// rest waits.
func (f *fleet) rest(d time.Duration) {
	f.t.Helper()
	if err := wait.Sleep(f.t.Context(), d); err != nil {
		f.t.Fatal(err)
	}
}

// await waits until there is no reason to wait any more.
func (f *fleet) await(limit time.Duration, reason func() string) {
	f.t.Helper()
	for end := time.Now().Add(limit); ; {
		why := reason()
		if why == "" {
			return
		}
		if time.Now().After(end) {
			f.t.Fatalf("after %v: %s", limit, why)
		}
		f.rest(20 * time.Millisecond)
	}
}

// shared waits until n nodes have a share of the shards, and each shard is somebody's.
func (f *fleet) shared(n int) {
	f.t.Helper()
	const ask = "select count(*) filter (where owner is null), count(distinct owner) from duly.shard"
	f.await(patience/3, func() string {
		var free, owners int
		if err := f.query(ask, func(rows pgx.Rows) error { return rows.Scan(&free, &owners) }); err != nil {
			return err.Error()
		}
		if free == 0 && owners == n {
			return ""
		}
		return fmt.Sprintf("%d shards are nobody's, and %d nodes have a share, of %d", free, owners, n)
	})
}

// shardsOf returns what a node owns. A busy machine may have kept it from its heartbeats, so that it owns nothing: that is waited for.
func (f *fleet) shardsOf(node string) (set store.Shards) {
	f.t.Helper()
	ask := "select shard from duly.shard where owner = (select id from duly.node where name = '" + node + "')"
	f.await(patience/3, func() string {
		err := f.query(ask, func(rows pgx.Rows) error {
			var shard int16
			err := rows.Scan(&shard)
			set.Add(uint8(shard))
			return err
		})
		switch {
		case err != nil:
			return err.Error()
		case set == store.Shards{}:
			return node + " owns nothing"
		}
		return ""
	})
	return set
}

// query asks the database, by a connection that is kept: what is waited for is asked again and again, and a server that makes a connection
// each time has little left for the nodes. One that has broken, as by a restart of the server, is made anew.
func (f *fleet) query(sql string, row func(rows pgx.Rows) error) (err error) {
	ctx, stop := context.WithTimeout(f.t.Context(), 10*time.Second)
	defer stop()
	f.asking.Lock()
	defer f.asking.Unlock()
	if f.asks != nil && f.asks.Ping(ctx) != nil {
		f.hangUp()
	}
	if f.asks == nil {
		if f.asks, err = f.connect(ctx); err != nil {
			return err
		}
	}
	rows, err := f.asks.Query(ctx, sql)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if row == nil {
			continue
		}
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// hangUp ends the connection that is kept, if there is one.
func (f *fleet) hangUp() {
	if f.asks != nil {
		_ = f.asks.Close(context.WithoutCancel(f.t.Context())) // what was asked is answered
		f.asks = nil
	}
}

// connect opens a connection that is the test's.
func (f *fleet) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(f.url)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = "test"
	return pgx.ConnectConfig(ctx, cfg)
}

// finish ends the run well, and judges it.
func (f *fleet) finish() []verdict.Record {
	f.t.Helper()
	f.all("quiet")
	end := now()
	f.heal()
	f.drain()
	return f.judge(end)
}

// heal waits, while nobody produces, until every one-off that is due has run and every recurring task that is there has run again.
func (f *fleet) heal() {
	f.t.Helper()
	from, slow := time.Now(), ""
	f.await(patience, func() string {
		left, err := f.unhealed(from)
		if err != nil {
			return err.Error()
		}
		if time.Since(from) > 10*time.Second && slow == "" {
			slow = left
		}
		return left
	})
	if slow != "" {
		f.t.Logf("it took long; after ten seconds: %s", slow)
	}
	f.row.healed = time.Since(from)
}

// unhealed tells of a task that has still to run, "" if there is none.
func (f *fleet) unhealed(from time.Time) (string, error) {
	n, one := 0, (*duly.Task)(nil)
	for t, err := range f.s.List(f.t.Context(), duly.Query{DueUntil: from.Add(far / 2)}) {
		if err != nil {
			return "", err
		}
		if t.Recurring && !t.Ended && t.Due.After(from.Add(500*time.Millisecond)) {
			continue
		}
		n, one = n+1, t
	}
	if n == 0 {
		return "", nil
	}
	w, err := f.s.WhyNot(f.t.Context(), one.Name)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d tasks have not run, the last of them %s: %s (%s); %+v", n, one.Name, w.Text, w.Code, *one), nil
}

// drain ends all processes well.
func (f *fleet) drain() {
	f.t.Helper()
	all := slices.Clone(f.nodes)
	for _, p := range all {
		p.send("drain")
	}
	for _, p := range all {
		_, _ = io.Copy(io.Discard, p.stdout)
		if err := p.cmd.Wait(); err != nil {
			f.t.Errorf("%s did not end well: %v\n%s", p.o.Node, err, p.said())
		}
		f.gone(p)
	}
}

// records reads all logs, those of a node's lives in their order.
func (f *fleet) records() []verdict.Record {
	f.t.Helper()
	names, err := filepath.Glob(filepath.Join(f.dir, "log-*"))
	if err != nil {
		f.t.Fatal(err)
	}
	slices.Sort(names)
	var all []verdict.Record
	for _, name := range names {
		records, _, err := verdict.ReadFile(name)
		if err != nil {
			f.t.Fatal(err)
		}
		all = append(all, records...)
	}
	return all
}

// history returns all that the store knows to have become of tasks.
func (f *fleet) history() (all []duly.Event) {
	f.t.Helper()
	for after := int64(0); ; {
		evs, err := f.s.History(f.t.Context(), duly.HistoryQuery{After: after, Limit: 1000})
		if err != nil {
			f.t.Fatal(err)
		}
		if len(evs) == 0 {
			return all
		}
		all = append(all, evs...)
		after = evs[len(evs)-1].Seq
	}
}

// shares asks all nodes how many shards they look after.
func (f *fleet) shares() (all []int) {
	f.t.Helper()
	for _, p := range f.nodes {
		p.send("shards")
		said := p.hear("shards")
		n, err := strconv.Atoi(said[len(said)-1])
		if err != nil {
			f.t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}
