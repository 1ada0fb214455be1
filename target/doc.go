// Package target is what the daemon can run for a task: a command, or an HTTP callback.
//
// It is for tasks that are data, put over the network or by the command line, where package duly's own tasks are functions of the
// program that puts them. It is not for deciding when: it gives [duly.Handle] its handlers. Its central types are [Command] and
// [Callback], what a task's payload says is to be done, and [Outputs], which keeps what attempts have printed.
package target

import "time"

// The kinds under which the daemon's tasks are put.
const (
	KindCommand = "command"
	KindHTTP    = "http"
)

// A Command is a command to run, the payload of a task of KindCommand. It is run as it is given: no shell looks at Args, nothing of
// the daemon's own environment or directory is passed on, no descriptor of it is inherited.
type Command struct {
	// Args are the program and its arguments. A name without a separator is looked up in the PATH of Env, else in the daemon's, and
	// the program then sees the path at which it was found as its name.
	Args []string `json:"args,omitempty"`
	// Shell is a line for the system's shell, in place of Args.
	Shell string `json:"shell,omitempty"`
	// Dir is an absolute directory to run in. Empty is the root directory.
	Dir string `json:"dir,omitempty"`
	// Env is the whole environment, but for the DULY_ variables that each attempt adds. Where it has no PATH there is a standard one.
	Env map[string]string `json:"env,omitempty"`
	// Stdin is what it reads. Empty is nothing.
	Stdin string `json:"stdin,omitempty"`
	// Grace is how long after SIGTERM its group has before SIGKILL. 0 is 5 s.
	Grace Duration `json:"grace,omitempty"`
	// OutputLimit is how many bytes of what an attempt prints are kept. 0 is 1 MiB; the most is 64 MiB.
	OutputLimit int64 `json:"output_limit,omitempty"`
	// LaterCodes are the exit statuses that mean "try again later", which does not count as an attempt. Nil is 75, EX_TEMPFAIL of
	// sysexits.h; an empty list is none.
	LaterCodes []int `json:"later_codes,omitzero"`
}

// A Callback is an HTTP request to make, the payload of a task of KindHTTP.
type Callback struct {
	// URL is absolute, of the scheme http or https.
	URL string `json:"url"`
	// Method is POST if it is empty.
	Method string `json:"method,omitempty"`
	// Header are headers to send beside those that each attempt adds.
	Header map[string]string `json:"header,omitempty"`
	// Body is sent as it is.
	Body string `json:"body,omitempty"`
	// OutputLimit is how many bytes of the answer are kept. 0 is 64 KiB; the most is 1 MiB.
	OutputLimit int64 `json:"output_limit,omitempty"`
}

// A Duration is a length of time that is written as text: "1m30s", or "PT1M30S" as in ISO 8601 without years and months. A bare
// number is refused, because it does not say of what.
type Duration time.Duration
