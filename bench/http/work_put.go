package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/bench/figures"
	"github.com/dulyhq/duly/bench/runs"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/store/pebble"
)

// payloadOf gives 201 bytes of JSON, as many as a task has that the library puts.
func payloadOf(id uint64) json.RawMessage {
	t := engines.Task{ID: id}
	return json.RawMessage(fmt.Sprintf(`"%06x%s"`, id&0xffffff, t.Payload()[8:]))
}

// A putter puts a task by its number, for a caller.
type putter func(caller int, id uint64) error

// putAll lets 64 callers put n tasks, and returns how long calls took.
func putAll(n int, put putter) ([]time.Duration, error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	for w := range callers {
		wg.Go(func() {
			for failed.Load() == nil {
				i := next.Add(1) - 1
				if i >= int64(n) {
					return
				}
				began := time.Now()
				if err := put(w, uint64(i)); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				took[w] = append(took[w], time.Since(began))
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	all := slices.Concat(took...)
	slices.Sort(all)
	return all, nil
}

// workPut measures single puts.
func workPut(c *cell) values {
	if c.spec.Engine == engineLibrary {
		return putLibrary(c)
	}
	d, err := startDaemon(c.spec.Daemon, c.spec.Dir)
	runs.Must("start", err)
	defer d.kill() //nolint:errcheck // after stop there is nothing to kill
	n, base := c.spec.N, time.Now().Add(24*time.Hour)
	put, closed, err := putterOf(c, d, base)
	runs.Must("connect", err)
	v := c.measured(d, n, func() error {
		calls, err := putAll(n, put)
		c.called = calls
		return err
	})
	runs.Must("disconnect", closed())
	noteCalls(v, c.called)
	c.count(d, v, n)
	runs.Must("stop", d.stop())
	return v
}

// putLibrary measures the library's own puts, in this process.
func putLibrary(c *cell) values {
	st, err := pebble.Open(c.spec.Dir, pebble.Options{Logger: engines.Log()})
	runs.Must("open", err)
	eng, err := engines.NewDuly(st)
	runs.Must("open", err)
	runs.Must("run", eng.Run(func(uint64) { panic("a task began a day early") }))
	n, base := c.spec.N, time.Now().Add(24*time.Hour)
	before := figures.ReadCost()
	calls, err := putAll(n, func(_ int, id uint64) error {
		return eng.PutOne(c.ctx, engines.Task{ID: id, Due: dueOf(base, id, n)})
	})
	runs.Must("put", err)
	spent := figures.ReadCost().Since(before)
	left, err := eng.Left(c.ctx)
	runs.Must("count", err)
	runs.Must("close", eng.Close())
	v := values{
		keyRate: float64(n) / spent.Wall.Seconds(), keyOwnCPU: figures.Micros(spent.CPU) / float64(n), keyWant: float64(n), keyLeft: float64(n - left),
	}
	noteCalls(v, calls)
	return v
}

func dueOf(base time.Time, id uint64, n int) time.Time {
	return base.Add(time.Duration(engines.Shuffled(int(id), n)) * time.Millisecond)
}

// noteCalls notes how long calls took.
func noteCalls(v values, sorted []time.Duration) {
	v[keyCall50], v[keyCall99] = figures.Millis(figures.Quantile(sorted, 0.5)), figures.Millis(figures.Quantile(sorted, 0.99))
}

// measured does something with a daemon, for n tasks, and notes what it cost.
func (c *cell) measured(d *daemon, n int, do func() error) values {
	stop := c.profiled(d)
	own, theirs := figures.ReadCost(), d.cpu()
	err := do()
	spent, used := figures.ReadCost().Since(own), d.cpu()-theirs
	stop()
	if err != nil {
		panic(fmt.Sprintf("http: %v; the daemon says: %s", err, d.said()))
	}
	return values{
		keyRate: float64(n) / spent.Wall.Seconds(), keyOwnCPU: figures.Micros(spent.CPU) / float64(n), keyCPU: figures.Micros(used) / float64(n),
		keyResident: d.resident(),
	}
}

// count notes how many of n tasks are not there.
func (c *cell) count(d *daemon, v values, n int) {
	cl := d.client()
	defer cl.Close()
	st, err := cl.Stats(c.ctx)
	runs.Must("count", err)
	v[keyWant], v[keyLeft] = float64(n), float64(n)-float64(st.Pending)
}

// putterOf returns what puts, on 64 connections that stay, and what closes them.
func putterOf(c *cell, d *daemon, base time.Time) (putter, func() error, error) {
	n := c.spec.N
	if c.spec.Engine == engineClient {
		cl := d.client()
		return func(_ int, id uint64) error {
			_, err := cl.Put(c.ctx, engines.Task{ID: id}.Name(), specOf(id, dueOf(base, id, n)))
			return err
		}, func() error { cl.Close(); return nil }, nil
	}
	conns := make([]*bare, callers)
	for i := range conns {
		var err error
		if conns[i], err = dialBare(c.ctx, d); err != nil {
			return nil, nil, err
		}
	}
	put := func(w int, id uint64) error {
		body := fmt.Sprintf(`{"kind":"remind","payload":%s,"at":%q}`, payloadOf(id), dueOf(base, id, n).UTC().Format(time.RFC3339Nano))
		return conns[w].do(http.MethodPut, "/v1/tasks/"+engines.Task{ID: id}.Name(), body)
	}
	return put, func() (err error) {
		for _, x := range conns {
			err = errors.Join(err, x.Close())
		}
		return err
	}, nil
}

func specOf(id uint64, due time.Time) api.Spec {
	return api.Spec{Kind: "remind", Payload: payloadOf(id), At: due}
}

// A bare connection writes requests as they are.
type bare struct {
	net.Conn

	in   *bufio.Reader
	head string // of each request
	buf  []byte
}

func dialBare(ctx context.Context, d *daemon) (*bare, error) {
	host := strings.TrimPrefix(d.url, "http://")
	c, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	return &bare{
		Conn: c, in: bufio.NewReader(c),
		head: " HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + d.token + "\r\nContent-Type: application/json\r\nContent-Length: ",
	}, nil
}

// do sends a request and reads the answer. One that is none of success is an error.
func (b *bare) do(method, path, body string) error {
	b.buf = append(append(append(append(b.buf[:0], method...), ' '), path...), b.head...)
	b.buf = append(append(strconv.AppendInt(b.buf, int64(len(body)), 10), "\r\n\r\n"...), body...)
	if _, err := b.Write(b.buf); err != nil {
		return err
	}
	status, length := "", 0
	for {
		text, err := b.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		said := strings.TrimRight(string(text), "\r\n")
		if status == "" {
			status = said
			continue
		}
		if said == "" {
			break
		}
		if value, ok := strings.CutPrefix(said, "Content-Length: "); ok {
			if length, err = strconv.Atoi(value); err != nil {
				return err
			}
		}
	}
	if strings.HasPrefix(status, "HTTP/1.1 2") {
		_, err := b.in.Discard(length)
		return err
	}
	text, err := io.ReadAll(io.LimitReader(b.in, int64(length)))
	return errors.Join(fmt.Errorf("%s %s: %s: %s", method, path, status, text), err)
}

const batchCallers = 4

// workBatch measures puts of very many tasks.
func workBatch(c *cell) values {
	d, err := startDaemon(c.spec.Daemon, c.spec.Dir)
	runs.Must("start", err)
	defer d.kill() //nolint:errcheck // after stop there is nothing to kill
	n, base := c.spec.N, time.Now().Add(24*time.Hour)
	cl := d.client()
	put := func() error { return putBatches(c.ctx, cl, n, base) }
	if c.spec.Engine == engineStream {
		put = func() error { return putStream(c.ctx, d, n, base) }
	}
	v := c.measured(d, n, put)
	cl.Close()
	c.count(d, v, n)
	v[keyDisk] = treeMiB(d.data)
	runs.Must("stop", d.stop())
	return v
}

// putBatches puts by package client.
func putBatches(ctx context.Context, cl *client.Client, n int, base time.Time) error {
	of := func(i int) engines.Task { return engines.Task{ID: uint64(i), Due: dueOf(base, uint64(i), n)} }
	return engines.Batches(n, batchCallers, of, func(tasks []engines.Task) error {
		return putMany(ctx, cl, func(yield func(api.Spec) bool) {
			for _, t := range tasks {
				s := specOf(t.ID, t.Due)
				s.Name = t.Name()
				if !yield(s) {
					return
				}
			}
		})
	})
}

// putMany puts, and returns the first error.
func putMany(ctx context.Context, cl *client.Client, specs iter.Seq[api.Spec]) error {
	for _, err := range cl.PutMany(ctx, specs) {
		if err != nil {
			return err
		}
	}
	return nil
}

// putStream puts all by one request.
func putStream(ctx context.Context, d *daemon, n int, base time.Time) (err error) {
	r, w := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(w, 64<<10)
		for i := range uint64(n) {
			_, err := fmt.Fprintf(out, `{"name":%q,"kind":"remind","payload":%s,"at":%q}`+"\n", engines.Task{ID: i}.Name(), payloadOf(i),
				dueOf(base, i, n).UTC().Format(time.RFC3339Nano))
			if err != nil {
				break // the other end says why
			}
		}
		_ = w.CloseWithError(out.Flush()) // never fails
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/v1/tasks:batch", r)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Authorization", "Bearer "+d.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	answers := 0
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), `"error"`) {
			return fmt.Errorf("line %d is refused: %s", answers+1, lines.Text())
		}
		answers++
	}
	if res.StatusCode != http.StatusOK || answers != n {
		return fmt.Errorf("status %d, %d answers for %d lines", res.StatusCode, answers, n)
	}
	return nil
}
