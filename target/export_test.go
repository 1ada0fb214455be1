package target

import (
	"context"
	"io"
	"os"

	"github.com/dulyhq/duly"
)

// A Recording is what an attempt prints, for tests that play the attempt.
type Recording struct{ w *recording }

// Begin begins one.
func (o *Outputs) Begin(a *duly.AttemptInfo, limit int64) Recording {
	return Recording{o.begin(a, limit, false)}
}

// BeginHeld begins one that is expected to be short.
func (o *Outputs) BeginHeld(a *duly.AttemptInfo, limit int64) Recording {
	return Recording{o.begin(a, limit, true)}
}

// Held returns how many attempts are held.
func (o *Outputs) Held() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.held
}

// Stdout returns what takes its standard output.
func (r Recording) Stdout() io.Writer { return r.w.stream(streamOut) }

// Stderr returns what takes its standard error.
func (r Recording) Stderr() io.Writer { return r.w.stream(streamErr) }

// End ends it.
func (r Recording) End(outcome, reason string) { r.w.end(&ending{outcome: outcome, reason: reason}) }

// Memory returns what is counted of the memory for what runs.
func (o *Outputs) Memory() int64 { return o.memory.Load() }

// Live returns how many attempts run.
func (o *Outputs) Live() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.live)
}

// Writing says whether a write is under way.
func (o *Outputs) Writing() bool { return o.since.Load() != 0 }

// Break lets every write to the files fail, as on a disk that is gone, until the function that it returns is called.
func (o *Outputs) Break() (mend func() error, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.file != nil {
		_ = o.file.Close()
	}
	return func() error { return os.Rename(o.dir+".away", o.dir) }, os.Rename(o.dir, o.dir+".away")
}

// CallbacksPerHost is Callbacks with so many connections to a host.
func CallbacksPerHost(o CallbackOptions, perHost int) func(context.Context, *duly.Attempt[Callback]) error {
	return callbacks(o, perHost)
}

// Signature is signature.
func Signature(secrets [][]byte, id string, timestamp int64, body string) string {
	return signature(secrets, id, timestamp, body)
}

// AttemptJSON returns an attempt as it is in the files.
func AttemptJSON(a *Attempt) ([]byte, error) {
	b, err := appendFixed(nil, a)
	if err == nil {
		b, err = appendRest(b, a)
	}
	return b, err
}

// StartError names what a start has failed by.
func StartError(err error) error { return startError(err) }
