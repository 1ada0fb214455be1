package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/dulyhq/duly/queue"
	"github.com/dulyhq/duly/timer"
)

// What a value costs that nobody has to wait for, beside a channel.
func BenchmarkPutGet(b *testing.B) {
	ctx := b.Context()
	b.Run("chan", func(b *testing.B) {
		c := make(chan int, 8)
		for b.Loop() {
			c <- 1
			<-c
		}
	})
	for name, k := range kinds {
		b.Run(name, func(b *testing.B) {
			q := k.fresh(8)
			for b.Loop() {
				_ = q.Put(ctx, 1)
				_, _ = q.Get(ctx)
				q.Done()
			}
		})
	}
	b.Run("mailbox", func(b *testing.B) {
		var m queue.Mailbox[int]
		for b.Loop() {
			_ = m.Send(1)
			_, _ = m.Receive(ctx)
		}
	})
}

// A question and its answer between two goroutines, beside two channels.
func BenchmarkCall(b *testing.B) {
	ctx := b.Context()
	b.Run("chan", func(b *testing.B) {
		type question struct {
			n     int
			reply chan int
		}
		c := make(chan question)
		go func() {
			for q := range c {
				q.reply <- q.n
			}
		}()
		for b.Loop() {
			q := question{1, make(chan int, 1)}
			c <- q
			<-q.reply
		}
		close(c)
	})
	b.Run("call", func(b *testing.B) {
		var c queue.Call[int, int]
		go func() {
			for {
				r, err := c.Receive(ctx)
				if err != nil {
					return
				}
				r.Reply(r.Req, nil)
			}
		}()
		for b.Loop() {
			_, _ = c.CallFor(time.Minute, 1)
		}
		c.Close()
	})
}

// nobody is an entry of the engine for one value, which is how a Delay could also be built.
type nobody struct{ _ int }

func (*nobody) Expire(error) {}

// A value into a Delay that holds 100,000 others, and out again before it is due; beside an entry of the engine for each.
func BenchmarkDelay(b *testing.B) {
	const n = 100_000
	e := timer.New()
	defer func() { _, _ = e.Close(context.WithoutCancel(b.Context())) }()
	b.Run("heap, head armed", func(b *testing.B) {
		d := &queue.Delay[int]{Engine: e}
		for i := range n {
			_, _ = d.Put(i, time.Hour+time.Duration(i)*time.Millisecond)
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i += 7919
			h, _ := d.Put(i, time.Hour+time.Duration(i%n)*time.Millisecond)
			h.Remove()
		}
	})
	b.Run("an entry each", func(b *testing.B) {
		for i := range n {
			_, _ = e.Expire(e.Elapsed()+time.Hour+time.Duration(i)*time.Millisecond, &nobody{})
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i += 7919
			x, _ := e.Expire(e.Elapsed()+time.Hour+time.Duration(i%n)*time.Millisecond, &nobody{})
			x.Stop()
		}
	})
}
