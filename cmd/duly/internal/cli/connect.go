package cli

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

// connect returns the client of the daemon that the flags and the environment mean: a flag before a variable, the socket before the
// net. It opens nothing, so that it succeeds where no daemon is.
func (s *session) connect() (*client.Client, error) {
	o := client.Options{Namespace: s.or(s.namespace, "DULY_NAMESPACE"), UserAgent: "duly-cli", Lost: s.lost, Wrap: s.wrap}
	if s.socket != "" && s.url != "" {
		return nil, &usageError{what: "--socket and --url say two daemons", hint: "give one of them"}
	}
	// A flag that says where the daemon is leaves no question for the variables.
	o.Socket, o.URL = s.socket, s.url
	if o.Socket == "" && o.URL == "" && s.data == "" {
		if o.URL = s.getenv("DULY_URL"); o.URL == "" {
			o.Socket = s.getenv("DULY_SOCKET")
		}
	}
	var err error
	switch {
	case o.URL != "":
		o.Token, err = s.token(o.URL)
	case s.tokenFile != "":
		return nil, &usageError{what: "--token-file beside the socket, which needs no token", hint: "a token is for --url"}
	case o.Socket == "":
		o.Socket, err = s.homeSocket()
	}
	if err != nil {
		return nil, err
	}
	return client.New(o)
}

func (s *session) homeSocket() (string, error) {
	data, err := home.Data(s.data, s.getenv)
	if err != nil {
		return "", &usageError{what: err.Error()}
	}
	path, err := home.Socket(data)
	if err != nil {
		return "", &usageError{what: err.Error()}
	}
	return path, nil
}

// token returns what --token-file or the environment give, else for a daemon on this machine what it has written into its directory.
func (s *session) token(address string) (string, error) {
	if s.tokenFile == "" {
		if token := s.getenv("DULY_TOKEN"); token != "" {
			return token, nil
		}
		u, err := url.Parse(address)
		if err != nil || !loopback(u.Hostname()) {
			return "", nil //nolint:nilerr // what is wrong with the URL is for the client to say
		}
	}
	path := s.tokenFile
	if path == "" {
		data, err := home.Data(s.data, s.getenv)
		if err != nil {
			return "", nil //nolint:nilerr // without a directory there is no token in it
		}
		path = home.Token(data)
	}
	b, err := os.ReadFile(path) //nolint:gosec // the user says which file
	switch {
	case err != nil && s.tokenFile == "":
		return "", nil // whoever asks for one will say so
	case err != nil:
		return "", &usageError{what: "--token-file: " + err.Error()}
	}
	return strings.TrimSpace(string(b)), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// onThisMachine says whether the daemon sees the files that the user sees.
func (s *session) onThisMachine() bool {
	if s.socket != "" || s.data != "" {
		return true
	}
	address := s.or(s.url, "DULY_URL")
	if address == "" {
		return true
	}
	u, err := url.Parse(address)
	return err == nil && loopback(u.Hostname())
}

// explainDaemon returns what is printed of an error that has to do with the daemon as a whole, and its status.
func (s *session) explainDaemon(err error) (f *failure, ok bool) {
	if gone, is := errors.AsType[*client.UnreachableError](err); is && !errors.Is(err, context.Canceled) {
		return s.explainUnreachable(gone), true
	}
	switch {
	case errors.Is(err, api.ErrUnauthenticated):
		return &failure{exitNotAllowed, err.Error(), "--token-file FILE, or DULY_TOKEN, says who asks; the daemon's own is in the file token of its directory"}, true
	case errors.Is(err, api.ErrForbidden), errors.Is(err, api.ErrKindOff), errors.Is(err, api.ErrHost), errors.Is(err, api.ErrOrigin):
		return &failure{status: exitNotAllowed, what: err.Error()}, true
	case errors.Is(err, api.ErrNoOutput):
		return &failure{status: exitNotFound, what: err.Error()}, true
	}
	return nil, false
}

func (s *session) explainUnreachable(gone *client.UnreachableError) *failure {
	f := &failure{status: exitNoDaemon, what: gone.Error()}
	if gone.Network != "unix" {
		f.hint = "is the address right? duly serve prints it when it starts"
		return f
	}
	if errors.Is(gone, fs.ErrPermission) {
		f.hint = "the daemon there is another user's; your own is started by: " + s.Name + " serve"
		return f
	}
	f.what = "no daemon answers at " + gone.Address
	f.hint = "start one: " + s.Name + " serve"
	if s.data != "" {
		f.hint += " --data " + wording.Quote(s.data)
	}
	if s.socket != "" {
		f.hint = "is the socket right? duly serve prints it when it starts"
	}
	return f
}
