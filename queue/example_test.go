package queue_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/queue"
)

// Workers process what is put; Join waits until all of it is done, and Close lets the workers go home.
func ExampleQueue() {
	ctx := context.Background()
	var q queue.Queue[int]
	var sum atomic.Int64
	var workers sync.WaitGroup
	for range 3 {
		workers.Go(func() {
			for q.Process(ctx, func(n int) { sum.Add(int64(n)) }) == nil {
			}
		})
	}
	for n := range 101 {
		if err := q.Put(ctx, n); err != nil {
			fmt.Println(err)
		}
	}
	if err := q.Join(ctx); err != nil { // also those that are in work
		fmt.Println(err)
	}
	fmt.Println(sum.Load(), "with", q.Unfinished(), "unfinished")
	q.Close()
	workers.Wait()
	fmt.Println(q.Put(ctx, 1))
	// Output:
	// 5050 with 0 unfinished
	// closed
}

// A bounded queue holds its producers back. With a timeout they find out that nobody keeps up.
func ExampleQueue_PutFor() {
	q := queue.New[string](1)
	for _, s := range []string{"first", "second"} {
		switch err := q.PutFor(time.Millisecond, s); {
		case errors.Is(err, queue.ErrTimeout):
			fmt.Println(s, "was not put: the queue is full")
		case err != nil:
			fmt.Println(err)
		}
	}
	s, err := q.GetFor(time.Millisecond)
	fmt.Println(s, err)
	_, err = q.GetFor(time.Millisecond)
	fmt.Println(err)
	// Output:
	// second was not put: the queue is full
	// first <nil>
	// timeout
}

// Close ends the range when what is left has been got.
func ExampleQueue_All() {
	ctx := context.Background()
	q := queue.New[string](0)
	for _, s := range []string{"a", "b", "c"} {
		_ = q.Put(ctx, s)
	}
	q.Close()
	for s := range q.All(ctx) {
		fmt.Println(s)
	}
	// Output:
	// a
	// b
	// c
}

// CloseNow hands back what nobody will process any more.
func ExampleQueue_CloseNow() {
	q := queue.New[string](0)
	q.TryPut("a")
	q.TryPut("b")
	fmt.Println(q.CloseNow())
	fmt.Println(q.Join(context.Background()))
	// Output:
	// [a b]
	// closed
}

// The most urgent value first, and of two that are as urgent the one that came first.
func ExampleNewPriority() {
	type order struct {
		urgency int
		what    string
	}
	q := queue.NewPriority(0, func(a, b order) bool { return a.urgency > b.urgency })
	q.TryPut(order{1, "paper"})
	q.TryPut(order{9, "water"})
	q.TryPut(order{1, "pens"})
	q.Close()
	for o := range q.All(context.Background()) {
		fmt.Println(o.what)
	}
	// Output:
	// water
	// paper
	// pens
}

// The newest value first.
func ExampleNewLIFO() {
	q := queue.NewLIFO[int](0)
	for n := range 3 {
		q.TryPut(n)
	}
	fmt.Println(q.GetAll())
	// Output: [2 1 0]
}

// A receiver takes what it needs now, and leaves the rest as it is.
func ExampleMailbox() {
	type message struct{ from, text string }
	var m queue.Mailbox[message]
	for _, msg := range []message{{"bob", "hello"}, {"bob", "are you there?"}, {"eve", "it is urgent"}, {"bob", "bye"}} {
		if err := m.Send(msg); err != nil {
			fmt.Println(err)
		}
	}
	msg, err := m.ReceiveIfFor(time.Second, func(m message) bool { return m.from == "eve" })
	fmt.Println(msg.text, err)
	_, err = m.ReceiveIfFor(time.Millisecond, func(m message) bool { return m.from == "mallory" })
	fmt.Println(err)
	for _, msg := range m.ReceiveAll() {
		fmt.Println(msg.text)
	}
	// Output:
	// it is urgent <nil>
	// timeout
	// hello
	// are you there?
	// bye
}

// A server answers one client after the other; a client waits as long as it likes.
func ExampleCall() {
	ctx, stop := context.WithCancel(context.Background())
	var squares queue.Call[int, int]
	var server sync.WaitGroup
	server.Go(func() {
		_ = squares.Serve(ctx, func(ctx context.Context, n int) (int, error) {
			if n < 0 {
				<-ctx.Done() // until the client gives up
				return 0, context.Cause(ctx)
			}
			return n * n, nil
		})
	})
	n, err := squares.Call(ctx, 12)
	fmt.Println(n, err)
	_, err = squares.CallFor(10*time.Millisecond, -1)
	fmt.Println(err)
	n, err = squares.CallFor(time.Minute, 5)
	fmt.Println(n, err)
	stop()
	server.Wait()
	// Output:
	// 144 <nil>
	// timeout
	// 25 <nil>
}

// A server that replies by itself learns whether the reply was still wanted.
func ExampleRequest_Reply() {
	var c queue.Call[string, string]
	var client sync.WaitGroup
	client.Go(func() {
		reply, err := c.CallFor(time.Minute, "time?")
		fmt.Println(reply, err)
	})
	r, err := c.Receive(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	taken := r.Reply("late", nil)
	client.Wait()
	fmt.Println(r.Req, taken, r.Reply("later", nil))
	// Output:
	// late <nil>
	// time? true false
}

// Values come out when they are due.
func ExampleDelay() {
	var d queue.Delay[string]
	start := time.Now()
	for _, after := range []time.Duration{30 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond} {
		if _, err := d.Put(after.String(), after); err != nil {
			fmt.Println(err)
		}
	}
	mistake, err := d.PutAt("never wanted", start.Add(15*time.Millisecond))
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println("removed:", mistake.Remove())
	d.Close() // and what is left still comes out
	for {
		s, err := d.Get(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(s)
	}
	// Output:
	// removed: true
	// 10ms
	// 20ms
	// 30ms
	// closed
}
