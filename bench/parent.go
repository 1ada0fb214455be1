package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly/bench/runs"
)

// A result is what a cell gave, and how many pending timers it has.
type result struct {
	runs.Cell
	line    line
	engine  engineSpec
	n       int
	pending int
}

func (r *result) cut() bool { return r.pending < r.n }

// measureAll runs every cell that the options leave in, line by line.
func measureAll(ctx context.Context, o options, out runs.Progress) ([]*result, error) {
	var all []*result
	for _, l := range plan() {
		if o.rows != nil && !o.rows[l.row] || o.lines != nil && !o.lines[l.name] {
			continue
		}
		for _, group := range groups(l, o) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			began := time.Now()
			out.Printf("row %d %s n=%d:", l.row, l.name, group[0].n)
			measureGroup(ctx, o, group, out)
			out.Printf(" %.1f s\n", time.Since(began).Seconds())
			all = append(all, group...)
		}
	}
	return all, ctx.Err()
}

// groups gives a line's cells, those of one size together: they take turns.
func groups(l line, o options) [][]*result {
	var out [][]*result
	at := make(map[int]int)
	for _, name := range l.engines {
		e, _ := findEngine(name)
		if o.engines != nil && !o.engines[name] || e.create == nil {
			continue
		}
		for _, n := range l.sizesFor(e, o) {
			i, ok := at[n]
			if !ok {
				i = len(out)
				at[n] = i
				out = append(out, nil)
			}
			out[i] = append(out[i], &result{line: l, engine: e, n: n})
		}
	}
	return out
}

// measureGroup takes the samples of several engines in turns, A B A B. The processes live side by side and all but one wait;
// a line that needs a fresh process for every sample gets one.
func measureGroup(ctx context.Context, o options, group []*result, out runs.Progress) {
	runs := o.count
	if limit := group[0].line.maxRuns; limit > 0 {
		runs = min(runs, limit)
	}
	children := make([]*child, len(group))
	for range runs {
		for i, r := range group {
			if r.Problem != "" {
				continue
			}
			out.Printf(" %s", r.engine.name)
			if children[i] == nil {
				children[i] = startChild(ctx, o, r)
			}
			children[i].sample(r)
			if r.line.fresh {
				children[i].end(r)
				children[i] = nil
			}
		}
	}
	for i, c := range children {
		if c != nil {
			c.end(group[i])
		}
	}
}

// child is a running process of one cell.
type child struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	replies *bufio.Reader
	stop    context.CancelFunc
}

// startChild starts the cell's process and waits until it is filled. What goes wrong is the result's problem, so that one broken
// cell does not cost the others.
func startChild(ctx context.Context, o options, r *result) *child {
	order := childSpec{
		Line: r.line.name, Engine: r.engine.name, N: r.n, Quick: o.quick, Sample: o.sample, Budget: o.budget,
	}
	if o.profile != "" {
		order.Profile = filepath.Join(o.profile, fmt.Sprintf("%s-%s-%d.pprof", r.line.name, r.engine.name, r.n))
	}
	// A cell may fill for a budget and then sample; what takes much longer hangs.
	ctx, stop := context.WithTimeout(ctx, 4*o.budget+time.Duration(o.count)*time.Minute)
	cmd, err := runs.Command(ctx, childVariable, order)
	if err != nil {
		stop()
		r.Problem = err.Error()
		return nil
	}
	c := &child{cmd: cmd, stop: stop}
	out, errOut := c.cmd.StdoutPipe()
	in, errIn := c.cmd.StdinPipe()
	if err := errors.Join(errOut, errIn, c.cmd.Start()); err != nil {
		stop()
		r.Problem = fmt.Sprintf("start: %v", err)
		return nil
	}
	c.orders, c.replies = in, bufio.NewReader(out)
	if reply, ok := c.read(r); ok {
		r.pending = reply.Pending
	}
	return c
}

// sample asks for one sample and keeps it.
func (c *child) sample(r *result) {
	if c == nil || r.Problem != "" {
		return
	}
	if _, err := io.WriteString(c.orders, "sample\n"); err != nil {
		r.Problem = fmt.Sprintf("order sample: %v", err)
		return
	}
	if reply, ok := c.read(r); ok {
		r.Samples = append(r.Samples, reply.Values)
	}
}

func (c *child) read(r *result) (childReply, bool) {
	var reply childReply
	text, err := c.replies.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, &reply)
	}
	if err != nil {
		r.Problem = fmt.Sprintf("read reply: %v", err)
		return reply, false
	}
	return reply, true
}

// end lets the child go and notes how it went.
func (c *child) end(r *result) {
	if c == nil {
		return
	}
	defer c.stop()
	if err := errors.Join(c.orders.Close(), c.cmd.Wait()); err != nil {
		r.Problem = fmt.Sprintf("child: %v", err)
	}
}
