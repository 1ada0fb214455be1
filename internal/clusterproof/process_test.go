package clusterproof_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/store"
)

// A death is when a process stopped, and which shards were its own until then.
type death struct {
	node string
	set  store.Shards
	from int64
}

// killedOne kills one of three nodes, and lets it start again under its name when others have taken over.
func killedOne(t *testing.T, url string) {
	f := newFleet(t, url, orders{Producers: brief(3, 8)})
	for _, p := range f.startAll("a", "b", "c") {
		p.begin()
	}
	f.rest(500 * time.Millisecond)
	for range brief(1, 20) {
		p := f.nodes[rand.IntN(len(f.nodes))]
		d := death{node: p.o.Node, set: f.shardsOf(p.o.Node), from: now()}
		f.kill(p)
		f.row.faults++
		f.deaths = append(f.deaths, d)
		f.shared(2)
		f.rest(300 * time.Millisecond)
		f.start(d.node).begin()
		f.shared(3)
		f.rest(300 * time.Millisecond)
	}
	f.finish()
}

// killedAll kills all nodes at once, and starts them again.
func killedAll(t *testing.T, url string) {
	f := newFleet(t, url, orders{Producers: brief(3, 8)})
	for _, p := range f.startAll("a", "b", "c") {
		p.begin()
	}
	var back []time.Duration
	for range brief(1, 10) {
		f.rest(500 * time.Millisecond)
		f.kill(f.nodes...)
		f.row.faults++
		from := time.Now()
		for _, p := range f.startAll("a", "b", "c") {
			p.begin()
		}
		back = append(back, time.Since(from))
	}
	f.rest(300 * time.Millisecond)
	f.row.note = fmt.Sprintf("all nodes were back and at work after %v", back)
	f.finish()
}

// frozen has a process stand still for longer than all its leases, and go on.
func frozen(t *testing.T, url string) {
	f := newFleet(t, url, orders{Producers: brief(3, 8), Lease: 2 * time.Second})
	for _, p := range f.startAll("a", "b", "c") {
		p.begin()
	}
	f.rest(500 * time.Millisecond)
	for i := range brief(1, 10) {
		f.steady(i, 6, 3*time.Second) // the next attempt at what the process had runs when it goes on, and ends
		p := f.nodes[rand.IntN(len(f.nodes))]
		d := death{node: p.o.Node, set: f.shardsOf(p.o.Node), from: now()}
		if err := p.cmd.Process.Signal(still); err != nil {
			t.Fatal(err)
		}
		f.row.faults++
		f.rest(4500 * time.Millisecond)
		w := window{from: d.from, to: now(), node: p.o.Node, froze: true}
		if err := p.cmd.Process.Signal(goOn); err != nil {
			t.Fatal(err)
		}
		f.windows, f.deaths = append(f.windows, w), append(f.deaths, d)
		f.shared(3)
		f.calm()
	}
	f.finish()
}

// silentProxy lets nothing through between one node and the server, for longer than all its leases, and closes nothing.
func silentProxy(t *testing.T, url string) {
	p, through := newProxy(t, url)
	f := newFleet(t, url, orders{Producers: brief(3, 8), Lease: 2 * time.Second})
	f.startAll("b", "c")
	f.start("a", func(o *orders) { o.URL = through })
	f.shared(3)
	for _, p := range f.nodes {
		p.begin()
	}
	f.rest(500 * time.Millisecond)
	for i := range brief(1, 10) {
		f.steady(i, 6, 3*time.Second)
		set := f.shardsOf("a")
		if err := f.own.putMany(t.Context(), fmt.Sprintf("dense-%02d", i), 300, work{Millis: 5}, 600*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		f.rest(200 * time.Millisecond) // claims and outcomes are on their way
		d := death{node: "a", set: set, from: now()}
		p.hold()
		f.row.faults++
		f.rest(4500 * time.Millisecond)
		f.windows, f.deaths = append(f.windows, window{from: d.from, to: now(), node: "a"}), append(f.deaths, d)
		p.release()
		f.shared(3)
		f.calm()
	}
	f.finish()
}

// backlog has processes die over a backlog that is overdue, one after the other.
func backlog(t *testing.T, url string) {
	n := brief(5_000, 100_000)
	f := newFleet(t, url, orders{Workers: brief(24, 40), NoSync: true})
	if err := f.own.putMany(t.Context(), "backlog", n, work{Millis: 20}, 0); err != nil {
		t.Fatal(err)
	}
	f.startAll("a", "b", "c")
	kills := brief(4, 10)
	hit := 0
	for range kills {
		p := f.nodes[0] // the one that has lived longest
		left := f.count("select count(*) from duly.task")
		t.Logf("%d are left after %v, of which %d run", left, time.Since(f.began), f.count("select count(*) from duly.task where running > 0"))
		if left > 0 {
			hit++
			p.begin()
		}
		f.rest(time.Duration(50+rand.IntN(brief(100, 3000))) * time.Millisecond)
		f.kill(p)
		f.row.faults++
		f.launch(p.o.Node)
	}
	left := f.count("select count(*) from duly.task")
	f.row.note = fmt.Sprintf("%d kills came before the backlog of %d was worked off, %d were left after the last", hit, n, left)
	if hit == 0 {
		t.Error("the backlog was worked off before the first kill")
	}
	f.finish()
}

// count asks the database for a number.
func (f *fleet) count(sql string) (n int) {
	f.t.Helper()
	if err := f.query(sql, func(rows pgx.Rows) error { return rows.Scan(&n) }); err != nil {
		f.t.Fatal(err)
	}
	return n
}
