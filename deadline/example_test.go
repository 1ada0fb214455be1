package deadline_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/dulyhq/duly/deadline"
)

// A peer that falls silent ends the Read that waits for it. The connection is not closed by that: whoever gets the error decides.
func ExampleConn() {
	near, far := net.Pipe()
	defer far.Close() //nolint:errcheck // in memory
	c := deadline.NewConn(near, deadline.Idle(20*time.Millisecond))
	defer c.Close() //nolint:errcheck // in memory

	go func() { _, _ = io.WriteString(far, "hello") }() // and nothing more
	buf := make([]byte, 16)
	n, err := c.Read(buf)
	fmt.Printf("%q %v\n", buf[:n], err)

	_, err = c.Read(buf)
	fmt.Println(err)
	if e, ok := errors.AsType[*deadline.Error](err); ok {
		fmt.Println(e.Limit == deadline.LimitIdle, e.Timeout(), errors.Is(err, os.ErrDeadlineExceeded))
	}
	// Output:
	// "hello" <nil>
	// deadline: read: no byte in either direction for 20ms (limit: idle)
	// true true true
}

// The limits are those of each connection that the listener accepts, whoever reads from it: a server of net/http, or this
// function.
func ExampleNewListener() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	l = deadline.NewListener(l, deadline.Idle(20*time.Millisecond), deadline.Total(time.Hour))
	defer l.Close() //nolint:errcheck // it is not used any more

	client, err := net.Dial("tcp", l.Addr().String()) // and says nothing
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close() //nolint:errcheck // nothing was said
	c, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close() //nolint:errcheck // nothing was said
	_, err = io.ReadAll(c)
	fmt.Println(err)
	// Output: deadline: read: no byte in either direction for 20ms (limit: idle)
}

func ExampleNewReader() {
	pr, pw, err := os.Pipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pw.Close() //nolint:errcheck // nothing was written
	r, err := deadline.NewReader(pr, 20*time.Millisecond)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close() //nolint:errcheck // it was only read
	_, err = r.Read(make([]byte, 1))
	fmt.Println(err)
	// Output: deadline: read: no byte came for 20ms (limit: read)
}

func ExampleNewWriter() {
	pr, pw := io.Pipe() // a pipe in memory, which has no deadlines: it is closed when the limit is reached
	w, err := deadline.NewWriter(pw, 20*time.Millisecond)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = io.WriteString(w, "nobody reads this")
	fmt.Println(err)
	_, err = pr.Read(make([]byte, 1))
	fmt.Println(err)
	// Output:
	// deadline: write: no byte was taken for 20ms (limit: write)
	// EOF
}
