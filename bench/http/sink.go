package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/bench/runs"
)

// What a sink does with a callback, as its path begins.
const (
	pathOK    = "ok"    // answers at once
	pathSlow  = "slow"  // answers in a moment
	pathFail  = "fail"  // answers the first one of a number with 500
	pathHang  = "hang"  // never answers
	pathEvery = "every" // answers at once, and notes which occurrence it was
)

const slowAnswer = 300 * time.Millisecond

// A server of callbacks: it knows as much HTTP as the daemon's client needs, so that it costs little beside the daemon.
type server struct {
	first       []atomic.Int64 // when the callback of a number came first, nanoseconds since 1970; 0 is not yet
	times       []atomic.Int64
	seen        atomic.Int64 // numbers of which one has come
	connections atomic.Int64
	strange     atomic.Int64 // requests that it does not understand

	mu    sync.Mutex
	every map[string]map[string]int64 // for each recurring task the occurrences, and when they came
	again int                         // occurrences that came again
}

// A sinkReport is what a sink tells.
type sinkReport struct {
	First       []int64                     `json:"first,omitempty"`
	Times       []int64                     `json:"times,omitempty"`
	Seen        int64                       `json:"seen"`
	Connections int64                       `json:"connections"`
	Strange     int64                       `json:"strange"`
	Every       map[string]map[string]int64 `json:"every,omitempty"`
	Again       int                         `json:"again"`
}

// sinkMain serves callbacks numbered below n until its input ends. It tells its address, and answers each line of the input: "all" with all
// that it knows, others with the counts.
func sinkMain(n int, in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing is waited for
	if err != nil {
		return err
	}
	defer l.Close() //nolint:errcheck // the process ends
	s := newServer(n)
	go s.accept(l)
	enc := json.NewEncoder(out)
	if err := enc.Encode(l.Addr().String()); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := enc.Encode(s.report(lines.Text() == "all")); err != nil {
			return err
		}
	}
	return lines.Err()
}

// newServer is for callbacks numbered below n.
func newServer(n int) *server {
	return &server{first: make([]atomic.Int64, n), times: make([]atomic.Int64, n), every: map[string]map[string]int64{}}
}

func (s *server) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptors, say
			time.Sleep(time.Millisecond)
			continue
		}
		s.connections.Add(1)
		go func() {
			_ = s.serve(c) // whoever has gone, has gone
			_ = c.Close()
		}()
	}
}

var (
	answerOK   = []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n")
	answerFail = []byte("HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nfail\n")
)

// serve answers the requests of a connection.
func (s *server) serve(c net.Conn) error {
	const room = 4 << 10
	in := bufio.NewReaderSize(c, room)
	for {
		path, scheduled, err := readRequest(in)
		if err != nil {
			return err
		}
		answer, ok := s.take(path, scheduled, time.Now().UnixNano())
		switch {
		case !ok:
			_, err = in.ReadByte() // until the other side gives up
			return err
		case path[0] == pathSlow:
			time.Sleep(slowAnswer)
		}
		if _, err := c.Write(answer); err != nil {
			return err
		}
	}
}

// readRequest reads a request to its end, and returns the parts of its path and the occurrence that it is for.
func readRequest(in *bufio.Reader) (path [2]string, scheduled string, err error) {
	text, err := in.ReadSlice('\n')
	if err != nil {
		return path, "", err
	}
	words := bytes.Fields(text)
	if len(words) != 3 {
		return path, "", errors.New("no request")
	}
	how, which, _ := bytes.Cut(bytes.TrimPrefix(words[1], []byte("/")), []byte("/"))
	path = [2]string{string(how), string(which)}
	length := 0
	for {
		text, err := in.ReadSlice('\n')
		if err != nil {
			return path, "", err
		}
		name, value, ok := bytes.Cut(bytes.TrimRight(text, "\r\n"), []byte(": "))
		switch {
		case !ok:
			_, err = in.Discard(length)
			return path, scheduled, err
		case string(name) == "Content-Length":
			if length, err = strconv.Atoi(string(value)); err != nil {
				return path, "", err
			}
		case path[0] == pathEvery && string(name) == "Duly-Scheduled-For":
			scheduled = string(value)
		}
	}
}

// take notes a callback and returns the answer; ok is false if there is to be none.
func (s *server) take(path [2]string, scheduled string, now int64) (answer []byte, ok bool) {
	if path[0] == pathEvery {
		s.occurrence(path[1], scheduled, now)
		return answerOK, true
	}
	id, err := strconv.Atoi(path[1])
	if err != nil || id < 0 || id >= len(s.first) {
		s.strange.Add(1)
		return answerOK, true
	}
	if s.first[id].CompareAndSwap(0, now) {
		s.seen.Add(1)
	}
	times := s.times[id].Add(1)
	switch {
	case path[0] == pathHang:
		return nil, false
	case path[0] == pathFail && times == 1:
		return answerFail, true
	}
	return answerOK, true
}

func (s *server) occurrence(task, scheduled string, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.every[task] == nil {
		s.every[task] = map[string]int64{}
	}
	if _, there := s.every[task][scheduled]; there {
		s.again++
		return
	}
	s.every[task][scheduled] = now
}

func (s *server) report(all bool) sinkReport {
	r := sinkReport{Seen: s.seen.Load(), Connections: s.connections.Load(), Strange: s.strange.Load()}
	if !all {
		return r
	}
	r.First, r.Times = make([]int64, len(s.first)), make([]int64, len(s.first))
	for i := range s.first {
		r.First[i], r.Times[i] = s.first[i].Load(), s.times[i].Load()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Again, r.Every = s.again, make(map[string]map[string]int64, len(s.every))
	for task, came := range s.every {
		r.Every[task] = maps.Clone(came)
	}
	return r
}

// A sink is such a process, from outside.
type sink struct {
	cmd     *exec.Cmd
	address string
	asked   io.WriteCloser
	answers *json.Decoder
}

// startSink starts one for callbacks numbered below n.
func startSink(ctx context.Context, n int) (*sink, error) {
	cmd, err := runs.Command(context.WithoutCancel(ctx), childVariable, childSpec{Sink: n}) // it ends when its input does
	if err != nil {
		return nil, err
	}
	asked, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a sink: %w", err)
	}
	answers, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start a sink: %w", err)
	}
	s := &sink{cmd: cmd, asked: asked, answers: json.NewDecoder(answers)}
	if err := s.answers.Decode(&s.address); err != nil {
		return nil, errors.Join(fmt.Errorf("start a sink: %w", err), s.stop())
	}
	return s, nil
}

// ask asks for the counts, or for all that the sink knows.
func (s *sink) ask(what string) (r sinkReport, err error) {
	if _, err := io.WriteString(s.asked, what+"\n"); err != nil {
		return r, fmt.Errorf("ask the sink: %w", err)
	}
	if err := s.answers.Decode(&r); err != nil {
		return r, fmt.Errorf("ask the sink: %w", err)
	}
	return r, nil
}

// url is where a callback of a number goes.
func (s *sink) url(how string, n int) string {
	return "http://" + s.address + "/" + how + "/" + strconv.Itoa(n)
}

func (s *sink) stop() error {
	err := s.asked.Close()
	if werr := s.cmd.Wait(); werr != nil {
		err = errors.Join(err, fmt.Errorf("stop the sink: %w", werr))
	}
	return err
}
