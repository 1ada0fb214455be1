// A server whose every connection has an idle timeout: it answers a client that speaks now and then for as long as that
// likes, and lets go of one that has fallen silent.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"github.com/dulyhq/duly/deadline"
)

const idle = 500 * time.Millisecond

func main() {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	dial := func() (net.Conn, error) {
		return new(net.Dialer).DialContext(context.Background(), "tcp", l.Addr().String())
	}
	if err := run(l, dial, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run serves on l, and has two clients dial.
func run(l net.Listener, dial func() (net.Conn, error), w io.Writer) error {
	out := log.New(w, "", 0)
	var server sync.WaitGroup
	server.Go(func() { serve(l, out) })
	defer server.Wait()
	defer l.Close() //nolint:errcheck // it only ends the server

	// This client says something ten times, for twice as long as the server would wait in silence.
	lively, err := dial()
	if err != nil {
		return err
	}
	answers := bufio.NewReader(lively)
	for i := range 10 {
		if _, err := fmt.Fprintln(lively, "line", i); err != nil {
			return err
		}
		if _, err := answers.ReadString('\n'); err != nil {
			return err
		}
		time.Sleep(idle / 5)
	}
	if err := lively.Close(); err != nil {
		return err
	}
	out.Print("the lively client got 10 answers")

	// This one connects and says nothing. It gets the server's goodbye.
	silent, err := dial()
	if err != nil {
		return err
	}
	defer silent.Close() //nolint:errcheck // nothing was said
	goodbye, err := io.ReadAll(silent)
	out.Printf("the silent client got %q", goodbye)
	return err
}

// serve answers every line with itself.
func serve(l net.Listener, out *log.Logger) {
	var conns sync.WaitGroup
	defer conns.Wait()
	l = deadline.NewListener(l, deadline.Idle(idle))
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		conns.Go(func() {
			defer c.Close() //nolint:errcheck // the client notices
			_, err := io.Copy(c, c)
			if e, ok := errors.AsType[*deadline.Error](err); ok && e.Timeout() {
				out.Print("server: ", e)
				_, _ = fmt.Fprint(c, "goodbye\n")
			}
		})
	}
}
