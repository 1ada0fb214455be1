package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/dulyhq/duly/bench/engines"
	"github.com/dulyhq/duly/bench/runs"
)

// The endurance run, in its processes.
//
// The pending tasks are a belt: task i is due at base + i / rate. The first process puts the first so many and ends. The second one
// puts one at the end for each that comes due at the front, so that as many pend all the time, and each is due only when it has
// been through the compactions of that time. It is killed in the middle, and a third goes on.

// leastEndurance leaves a middle to kill in.
const leastEndurance = 30 * time.Second

// endureSpec tells a process of the endurance run what it is.
type endureSpec struct {
	Fill    bool   `json:"fill"`    // put the first N, and end
	N       int    `json:"n"`       // tasks that pend
	Rate    int    `json:"rate"`    // due each second
	Base    int64  `json:"base"`    // when task 0 is due: nanoseconds since 1970
	Until   int64  `json:"until"`   // when to end
	Journal string `json:"journal"` // file of a journal
}

// due gives the instant of task i.
func (s *endureSpec) due(i int64) time.Time {
	return time.Unix(0, s.Base+i*int64(time.Second)/int64(s.Rate))
}

// count gives how many tasks are due before an instant.
func (s *endureSpec) count(at time.Time) int64 {
	return max((at.UnixNano()-s.Base)*int64(s.Rate)/int64(time.Second), 0)
}

// endureReply is what a process says when it is at work, and again when it ends.
type endureReply struct {
	Open time.Time `json:"open"` // when the store was open
	Put  int64     `json:"put"`  // tasks that were ever put, by the end
	Left int       `json:"left"` // tasks in the store, at the end
}

// endure is a process of the endurance run.
func endure(dir string, s *endureSpec, out *json.Encoder) {
	eng, err := newDuly(dir)
	runs.Must("open", err)
	reply := endureReply{Open: time.Now()}
	if s.Fill {
		fill(eng, s.N, func(i int) engines.Task { return engines.Task{ID: uint64(i), Due: s.due(int64(i))} })
		runs.Must("close", eng.Close())
		runs.Must("answer", out.Encode(reply))
		return
	}
	j, err := openJournal(s.Journal)
	runs.Must("open the journal", err)
	runs.Must("run", eng.Run(func(id uint64) {
		now := time.Now()
		runs.Must("note", j.note(int64(id), now.Sub(s.due(int64(id)))))
	}))
	runs.Must("answer", out.Encode(reply))
	put := s.feed(eng, j)
	runs.Must("wait for what is due", s.wait(eng, put))
	runs.Must("drain", eng.Drain())
	reply.Put = put
	reply.Left, err = eng.Left(context.Background())
	runs.Must("count", err)
	runs.Must("close", errors.Join(eng.Close(), j.close()))
	runs.Must("answer", out.Encode(reply))
}

// feed puts as many as come due, until the end, and gives how many were put ever.
func (s *endureSpec) feed(eng engine, j *journal) int64 {
	const every = 50 * time.Millisecond
	put := max(j.put(), int64(s.N))
	for until := time.Unix(0, s.Until); time.Now().Before(until); time.Sleep(every) {
		for want := int64(s.N) + s.count(time.Now()); put < want; {
			batch := make([]engines.Task, 0, engines.Batch)
			for i := put; i < min(put+engines.Batch, want); i++ {
				batch = append(batch, engines.Task{ID: uint64(i), Due: s.due(i)})
			}
			runs.Must("put", eng.Put(context.Background(), batch))
			put += int64(len(batch))
			runs.Must("note", j.setPut(put))
		}
	}
	return put
}

// wait gives what was due by the end some time to be done: until the tasks that are left are those that are not due yet, or nearly.
func (s *endureSpec) wait(eng engine, put int64) error {
	const least, patience, pause = 2 * time.Second, 30 * time.Second, 100 * time.Millisecond
	time.Sleep(time.Until(time.Unix(0, s.Until).Add(least)))
	for end := time.Now().Add(patience); ; time.Sleep(pause) {
		left, err := eng.Left(context.Background())
		if err != nil {
			return err
		}
		over := put - s.count(time.Now()) // those that may be there
		if int64(left) <= over+int64(s.Rate)/10 || time.Now().After(end) {
			return nil
		}
	}
}

// A journal is a file outside the store in which the handlers note that tasks began: it survives that its process is killed, and tells
// what the store may not have. Its first 8 bytes are how many tasks were put, by what was acknowledged; then there are 8 for each task.
type journal struct{ f *os.File }

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{f}, nil
}

const cellBytes = 8

// read gives a cell; those behind the end are 0.
func (j *journal) read(cell int64) uint64 {
	var b [cellBytes]byte
	if n, _ := j.f.ReadAt(b[:], cell*cellBytes); n < cellBytes { // only an end can be the reason
		return 0
	}
	return binary.LittleEndian.Uint64(b[:])
}

func (j *journal) write(cell int64, x uint64) error {
	var b [cellBytes]byte
	binary.LittleEndian.PutUint64(b[:], x)
	_, err := j.f.WriteAt(b[:], cell*cellBytes)
	return err
}

func (j *journal) put() int64 { return int64(j.read(0)) }

func (j *journal) setPut(n int64) error { return j.write(0, uint64(n)) }

// A began is what the journal has of a task: how often it began, and how late the first time, in microseconds.
type began struct {
	times int
	late  time.Duration
}

const lateBias = int64(1) << 40 // keeps what is early above 0

func (j *journal) note(id int64, late time.Duration) error {
	x := j.read(id + 1)
	if x == 0 {
		x = uint64(floorMicros(late)+lateBias) << 8
	}
	return j.write(id+1, x+1)
}

// floorMicros rounds down, so that what is early by less than a microsecond is.
func floorMicros(d time.Duration) int64 {
	us := int64(d / time.Microsecond)
	if d < 0 && d%time.Microsecond != 0 {
		us--
	}
	return us
}

func beganOf(x uint64) (b began, ok bool) {
	if x == 0 {
		return b, false
	}
	return began{times: int(x & 0xff), late: time.Duration(int64(x>>8)-lateBias) * time.Microsecond}, true
}

func (j *journal) close() error { return j.f.Close() }

// all calls f with what is known of tasks 0 to n-1.
func (j *journal) all(n int64, f func(i int64, b began, ok bool)) error {
	const at = 1 << 16
	buf := make([]byte, at*cellBytes)
	for from := int64(0); from < n; from += at {
		got, err := j.f.ReadAt(buf[:min(at, n-from)*cellBytes], (from+1)*cellBytes)
		if err != nil && got == 0 && from == 0 {
			return fmt.Errorf("read the journal: %w", err)
		}
		clear(buf[got:])
		for i := range min(at, n-from) {
			b, ok := beganOf(binary.LittleEndian.Uint64(buf[i*cellBytes:]))
			f(from+i, b, ok)
		}
	}
	return nil
}
