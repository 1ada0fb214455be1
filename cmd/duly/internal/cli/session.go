package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

// A session is one run of the command: the process, and what the flags that every command has say about the daemon.
type session struct {
	Process
	data      string
	socket    string
	url       string
	tokenFile string
	namespace string
	args      []string                                  // of the command, without flags
	wrap      func(http.RoundTripper) http.RoundTripper // of the next client
	closing   []func()                                  // at the end of the run
	lost      func(error)                               // is told that a stream of events is broken, and goes on
}

func newSession(p Process) *session {
	if p.Local == nil {
		p.Local = time.Local
	}
	if p.Name == "" {
		p.Name = "duly"
	}
	return &session{Process: p}
}

// target adds the flags that say which daemon is meant. Serve has --data of them, too: it is one rule for both.
func (s *session) target(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.SortFlags = false
	flags.StringVar(&s.data, "data", "", "the daemon's `DIR` (default: DULY_DATA, else duly in the user's state directory)")
	flags.StringVar(&s.socket, "socket", "", "the `PATH` of the daemon's unix socket (default: DULY_SOCKET, else duly.sock in the daemon's directory)")
	flags.StringVar(&s.url, "url", "", "the daemon's `URL`, over the net (default: DULY_URL, else the socket)")
	flags.StringVar(&s.tokenFile, "token-file", "", "the `FILE` with the token for --url (default: DULY_TOKEN, else the file token in the daemon's directory)")
	flags.StringVar(&s.namespace, "namespace", "", "the `NAMESPACE` of names (default: DULY_NAMESPACE, else none)")
	for _, name := range []string{"data", "socket", "token-file"} {
		if err := root.MarkPersistentFlagFilename(name); err != nil {
			panic(err) // no such flag
		}
	}
}

// getenv returns a variable of the process's environment, the last of the name as getenv(3) does not promise and shells do.
func (s *session) getenv(name string) string {
	value, _ := s.lookupEnv(name)
	return value
}

func (s *session) lookupEnv(name string) (value string, ok bool) {
	for _, e := range s.Environ {
		if rest, found := strings.CutPrefix(e, name+"="); found {
			value, ok = rest, true
		}
	}
	return value, ok
}

// or returns the flag's value, else the variable's.
func (s *session) or(flag, variable string) string {
	if flag != "" {
		return flag
	}
	return s.getenv(variable)
}

// untilInterrupt returns a context that ends when the user presses Ctrl-C, and what gives the key its old meaning back: what
// follows and what waits ends well then, and says so by its status.
func untilInterrupt(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt)
}

// untilEnded is untilInterrupt for what has to clean up after itself, however it is made to end. Whoever stops reading what is printed
// must not end it either: the write fails then. A second signal ends it at once, also where it waits for whoever reads.
func untilEnded(ctx context.Context) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it, which is meant
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(ctx, signals...)
	context.AfterFunc(ctx, stop)
	signal.Ignore(syscall.SIGPIPE)
	return ctx, func() {
		stop()
		signal.Reset(syscall.SIGPIPE)
	}
}

// terminal returns the descriptor of what is a terminal.
func terminal(stream any) (fd int, ok bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// confirm asks whether to do what hits many tasks. Where nobody can be asked --yes must have said it. what is a sentence such as
// "this pauses 12 tasks".
func (s *session) confirm(what string, yes bool) error {
	if yes {
		return nil
	}
	_, in := terminal(s.Stdin)
	_, out := terminal(s.Stderr)
	if !in || !out {
		return &usageError{what: what, hint: "nobody can be asked here: --yes says that it is meant"}
	}
	if _, err := fmt.Fprintf(s.Stderr, "%s. Go on? [y/N] ", what); err != nil {
		return err
	}
	line, err := bufio.NewReader(s.Stdin).ReadString('\n')
	if err != nil && line == "" {
		_, _ = io.WriteString(s.Stderr, "\n")
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return &failure{status: exitFailed, what: "nothing was done"}
}

// quoteArgs are words as a shell reads them.
func quoteArgs(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = wording.Quote(word)
	}
	return strings.Join(quoted, " ")
}
