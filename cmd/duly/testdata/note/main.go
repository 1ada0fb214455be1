// Command note is what the tests' tasks run: it prints a text, and notes it in a file with when it was due, and when that was, in
// microseconds.
//
//	note FILE TEXT...           at once
//	note -until GATE FILE TEXT  when the file GATE is there; before that it notes TEXT-begun
//	note -never FILE TEXT       never, and SIGTERM does not end it; before that it notes TEXT-begun, and its process in FILE.pid
//
// One that waits ends with whoever has started it.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	args := os.Args[1:]
	until, never := "", false
	switch args[0] {
	case "-until":
		until, args = args[1], args[2:]
	case "-never":
		never, args = true, args[1:]
		signal.Ignore(syscall.SIGTERM)
	}
	text := strings.Join(args[1:], " ")
	if never {
		complain(os.WriteFile(args[0]+".pid", strconv.AppendInt(nil, int64(os.Getpid()), 10), 0o600))
	}
	if never || until != "" {
		enter(args[0], text+"-begun")
	}
	parent, end := os.Getppid(), time.Now().Add(time.Minute)
	for never || until != "" && !there(until) {
		time.Sleep(5 * time.Millisecond)
		if os.Getppid() != parent || time.Now().After(end) {
			complain(errors.New("nobody ends this"))
		}
	}
	enter(args[0], text)
	fmt.Println(text)
}

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// complain ends the program if there is an error.
func complain(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// enter appends a line to a file.
func enter(file, text string) {
	now := time.Now().UnixMicro()
	due, err := time.Parse(time.RFC3339Nano, os.Getenv("DULY_SCHEDULED_FOR"))
	complain(err)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	complain(err)
	_, err = fmt.Fprintf(f, "%d %d %s\n", due.UnixMicro(), now, text)
	complain(errors.Join(err, f.Close()))
}
