package clusterproof_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/schedule"
	"github.com/dulyhq/duly/store/postgres"
)

// What a process that is to be broken is told by its environment: its orders, as JSON.
const envOrders = "DULY_TEST_CLUSTER_NODE"

// orders say what a process is and does.
type orders struct {
	URL       string
	Log       string // where it writes down what it does
	Node      string
	Boot      int64 // which life of the node it is, from 1
	Seed      uint64
	Producers int
	Declares  int           // recurring tasks that it declares when it starts, as others do
	Ahead     time.Duration // of its clock before the machine's
	Lease     time.Duration
	Workers   int
	Drain     time.Duration
	NoSync    bool // its log survives its death, but not the machine's: it writes too much
}

// A worker is such a process.
type worker struct {
	o     orders
	book  *verdict.Writer
	st    *postgres.Store
	l     *load
	ended chan error // what Run has returned
	bulks int        // how many were put

	quiet func() // ends the producers
}

// TestNode is the process that the fault runs start, break and judge.
func TestNode(t *testing.T) {
	text := os.Getenv(envOrders)
	if text == "" {
		t.Skip("it is a process of the fault runs; run by itself it has nothing to do")
	}
	w := &worker{ended: make(chan error, 1), quiet: func() {}}
	if err := json.Unmarshal([]byte(text), &w.o); err != nil {
		t.Fatal(err)
	}
	if err := w.open(t.Context()); err != nil {
		w.fail(err)
	}
	go func() { w.ended <- w.l.s.Run(context.WithoutCancel(t.Context())) }()
	if err := w.declare(t.Context()); err != nil {
		w.fail(err)
	}
	say("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		if err := w.obey(t.Context(), in.Text()); err != nil {
			w.fail(err)
		}
	}
	os.Exit(1) // whoever started it is gone
}

// fail ends the process, which shows why.
func (w *worker) fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// say tells whoever started this process. If nobody listens any more, it ends soon.
func say(what string) { _, _ = os.Stdout.WriteString(what + "\n") }

func (w *worker) open(ctx context.Context) (err error) {
	w.book, err = verdict.OpenWriter(w.o.Log, verdict.WriterOptions{
		Incarnation: verdict.Incarnation{Node: w.o.Node, Boot: w.o.Boot}, At: now(), NoSync: w.o.NoSync,
	})
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	wall := func() time.Time { return time.Now().Add(w.o.Ahead) }
	if w.st, err = postgres.Open(ctx, w.o.URL, postgres.Options{Logger: log, Wall: wall}); err != nil {
		return err
	}
	o := duly.Options{
		Store: w.st, Owner: w.o.Node, Lease: w.o.Lease, Workers: w.o.Workers, DrainTimeout: w.o.Drain, Logger: log,
	}
	if w.o.Ahead != 0 {
		o.Clock = ahead{clock.System(), int64(w.o.Ahead)}
	}
	s, err := duly.New(o)
	if err != nil {
		return err
	}
	w.l = newLoad(s, w.book, w.o.Node, true)
	w.l.fault = w.fail
	w.l.first = sync.OnceFunc(func() { say("begun") })
	return nil
}

// declare puts recurring tasks that others put, too.
func (w *worker) declare(ctx context.Context) error {
	for i := range w.o.Declares {
		name := fmt.Sprintf("same-%02d", i)
		w.l.ask(name)
		e, err := w.l.again.Put(ctx, name, work{Millis: 1}, schedule.Every(time.Duration(200+10*i)*time.Millisecond))
		if err != nil {
			return err
		}
		w.l.accepted(&e, true)
	}
	return nil
}

// obey does what a line says, and tells when it is done.
func (w *worker) obey(ctx context.Context, line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "produce":
		ctx, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.l.produce(ctx, w.o.Producers, w.o.Seed)
		}()
		w.quiet = func() {
			stop()
			<-done
		}
	case "quiet":
		w.quiet()
	case "bulk":
		n, err := strconv.Atoi(rest)
		if err != nil {
			return err
		}
		w.bulks++
		if err := w.l.putMany(ctx, fmt.Sprintf("bulk-%s-%d", w.o.Node, w.bulks), n, work{}, time.Second); err != nil {
			return err
		}
	case "shards":
		st, err := w.l.s.Stats(ctx)
		if err != nil {
			return err
		}
		say(strconv.Itoa(st.Shards))
	case "drain":
		return w.drain(ctx)
	default:
		return fmt.Errorf("it is told to %q, and can't", line)
	}
	say(word)
	return nil
}

// drain ends the process well.
func (w *worker) drain(ctx context.Context) error {
	w.quiet()
	if err := w.l.s.Drain(ctx); err != nil {
		return err
	}
	if err := <-w.ended; err != nil {
		return err
	}
	if err := w.st.Close(); err != nil {
		return err
	}
	if err := w.book.Close(); err != nil {
		return err
	}
	os.Exit(0)
	return nil
}

// ahead is a clock that is set wrong.
type ahead struct {
	clock.Clock
	by int64
}

func (c ahead) Read() clock.Reading {
	r := c.Clock.Read()
	r.Wall += c.by
	return r
}

func (c ahead) NewAlarm(wake func()) clock.Alarm { return aheadAlarm{c.Clock.NewAlarm(wake), c.by} }

type aheadAlarm struct {
	clock.Alarm
	by int64
}

func (a aheadAlarm) Set(boot, wall int64) {
	if wall != clock.Never {
		wall -= a.by
	}
	a.Alarm.Set(boot, wall)
}
