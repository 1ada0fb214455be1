//go:build unix

package proc_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dulyhq/duly/proc"
)

func ExampleRun() {
	r, err := proc.Run(context.Background(), proc.Spec{
		Args:    []string{"echo", "no shell looks at $this"},
		Timeout: time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("exit status %d: %s", r.Code, r.Stdout)
	// Output: exit status 0: no shell looks at $this
}

// A command that takes too long is ended, with all that it has started.
func ExampleRun_timeout() {
	r, err := proc.Run(context.Background(), proc.Spec{
		Args:    proc.Shell("sleep 60 & sleep 60"),
		Timeout: 100 * time.Millisecond,
		Grace:   time.Second,
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, context.DeadlineExceeded), r.Signal)
	// Output:
	// proc: run "/bin/sh -c sleep 60 & sleep 60 sh": timeout: not done after 100ms
	// true terminated
}

// An exit status that is not 0 is an error that says what the command said.
func ExampleExitError() {
	_, err := proc.Run(context.Background(), proc.Spec{Args: proc.Shell(`echo "no $1 today" >&2; exit 3`, "luck")})
	if e, ok := errors.AsType[*proc.ExitError](err); ok {
		fmt.Println(e.Code, e.Last)
	}
	// Output: 3 no luck today
}

func ExampleStart() {
	p, err := proc.Start(context.Background(), proc.Spec{Args: []string{"sleep", "60"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = p.WaitFor(10 * time.Millisecond) // it goes on
	fmt.Println(err)
	p.Stop()
	<-p.Done()
	_, err = p.Wait(context.Background())
	fmt.Println(err)
	// Output:
	// proc: wait "sleep 60": timeout: not done after 10ms
	// proc: run "sleep 60": stopped
}
