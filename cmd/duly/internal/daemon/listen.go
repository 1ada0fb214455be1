package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A port is one place at which the daemon listens.
type port struct {
	net.Listener

	socket bool // a unix socket: whoever may open it may do everything
	beyond bool // other machines reach it
	secure bool // it is of TLS
}

// String is what a user is told of it.
func (p *port) String() string {
	if p.socket {
		return p.Addr().String()
	}
	scheme := "http"
	if p.secure {
		scheme = "https"
	}
	return scheme + "://" + p.Addr().String()
}

// loopback says whether an address is one that only this machine reaches.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// bindTCP binds all addresses. handed are the init system's, which take the default's place.
func (c *Config) bindTCP(ctx context.Context, handed []net.Listener) (ports []*port, err error) {
	defer func() {
		if err != nil {
			closePorts(ports)
			ports = nil
		}
	}()
	tcp := false
	for _, l := range handed {
		_, socket := l.Addr().(*net.UnixAddr)
		tcp = tcp || !socket
		p := &port{Listener: l, socket: socket}
		ports = append(ports, p)
		if err := c.judge(p, "the init system's socket"); err != nil {
			return ports, err
		}
	}
	if tcp && !c.listenGiven {
		return ports, nil
	}
	for _, address := range c.Listen {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", address)
		if err != nil {
			return ports, c.explainBind(ctx, address, err)
		}
		p := &port{Listener: l}
		ports = append(ports, p)
		if err := c.judge(p, c.where("listen")); err != nil {
			return ports, err
		}
	}
	return ports, nil
}

// judge looks at where a port really is: a name can stand for any address.
func (c *Config) judge(p *port, where string) error {
	if p.socket {
		return nil
	}
	p.secure = c.TLSCert != ""
	p.beyond = !loopback(p.Addr().String())
	if err := c.checkReach(p.Addr().String()); err != nil {
		if e, ok := errors.AsType[*ConfigError](err); ok {
			e.Where = where
		}
		return err
	}
	return nil
}

// explainBind says what to do where an address can't be listened on.
func (c *Config) explainBind(ctx context.Context, address string, err error) error {
	if !taken(err) {
		return fmt.Errorf("%s %q: want an address of this machine that this user may listen on: %w", c.where("listen"), address, err)
	}
	if c.Socket != "" && answers(ctx, c.Socket) {
		return fmt.Errorf("a daemon with the data directory %s runs already, and answers at %s", c.Data, c.Socket)
	}
	host, _, _ := net.SplitHostPort(address) // it was looked at before
	return fmt.Errorf("%s is taken, maybe by another user's daemon: --listen %s takes any free port, "+
		"--listen none does without (the command line needs only the socket)", address, net.JoinHostPort(host, "0"))
}

// answers says whether somebody listens on a unix socket.
func answers(ctx context.Context, path string) bool {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return false
	}
	_ = conn.Close() // nothing was said
	return true
}

// bindUnix binds the socket. One that a killed daemon has left is taken away.
func (c *Config) bindUnix(ctx context.Context) (*port, error) {
	where := c.where("socket")
	info, err := os.Lstat(c.Socket)
	switch {
	case err == nil && info.Mode()&fs.ModeSocket == 0:
		return nil, &ConfigError{Where: where, Value: c.Socket, Want: "a path where nothing is yet, or a socket: this is another file"}
	case err == nil:
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", c.Socket)
		if err == nil {
			_ = conn.Close() // nothing was said
			return nil, &ConfigError{Where: where, Value: c.Socket, Want: "a socket that nobody listens on: another program does"}
		}
		if !refused(err) {
			return nil, fmt.Errorf("%s %q: want a socket that this user may replace: %w", where, c.Socket, err)
		}
		if err := os.Remove(c.Socket); err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	l, err := bindSocket(ctx, c.Socket)
	if err != nil {
		return nil, fmt.Errorf("%s %q: want a path in a directory that is there and that this user may write to: %w", where, c.Socket, err)
	}
	return &port{Listener: l, socket: true}, nil
}

func closePorts(ports []*port) {
	for _, p := range ports {
		_ = p.Close() // nobody has been served
	}
}

// names are what a request over TCP may call this daemon: so a name that somebody else resolves to it is of no use to a browser. The
// address that a connection came to is one without being among them.
func (c *Config) names(p *port) []string {
	names := append([]string{"localhost", "127.0.0.1", "::1"}, c.Hosts...)
	host, _, err := net.SplitHostPort(p.Addr().String())
	if err != nil {
		return names
	}
	names = append(names, host)
	for _, address := range c.Listen {
		if given, _, err := net.SplitHostPort(address); err == nil && given != "" {
			names = append(names, given)
		}
	}
	if name, err := os.Hostname(); err == nil && net.ParseIP(host).IsUnspecified() {
		names = append(names, name)
	}
	return names
}

// makeDir makes the data directory if it is not there, and looks at who else could write to it. undo takes away what it has made, as
// far as that is empty.
func makeDir(dir string) (undo func(), err error) {
	var made []string
	undo = func() {
		for _, d := range made { // the deepest is first
			if os.Remove(d) != nil {
				return
			}
		}
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		made = append(made, at)
	}
	for i, d := range slices.Backward(made) {
		err := os.Mkdir(d, 0o700)
		if err == nil {
			err = os.Chmod(d, 0o700) //nolint:gosec // a directory; whatever the umask has taken away
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			made = made[i+1:]
			undo()
			return nil, fmt.Errorf("the data directory %s: want one that this user may make, or another --data DIR: %w", dir, err)
		}
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		err = fmt.Errorf("the data directory: %w", err)
	case !info.IsDir():
		err = fmt.Errorf("the data directory %s: want a directory, it is a file: give another --data DIR", dir)
	case foreign(info, os.Geteuid()) != "":
		err = fmt.Errorf("the data directory %s: want one of the user who uses it, uid %d, or of root, it is that of %s: "+
			"do this as its owner, chown -R it, or give another --data DIR", dir, os.Geteuid(), foreign(info, os.Geteuid()))
	default:
		if mode := tooOpen(info, 0o022); mode != "" {
			err = fmt.Errorf("the data directory %s: want one that only its owner can write to, it has mode %s: chmod go-w %s, or another --data DIR",
				dir, mode, dir)
		}
	}
	if err != nil {
		undo()
		return nil, err
	}
	return undo, nil
}

// isStream says whether a request's answer has no end of its own. The path is read as the API reads it, segment by segment: a task may have
// any name, also one in which the name of a stream is.
func isStream(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	segments := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	for i, s := range segments {
		var err error
		if segments[i], err = url.PathUnescape(s); err != nil {
			return false
		}
	}
	switch len(segments) {
	case 2: // /v1/events
		return segments[0] == "v1" && segments[1] == "events"
	case 4: // /v1/tasks/{name}/output
		return segments[0] == "v1" && segments[1] == "tasks" && segments[3] == "output" && r.URL.Query().Get("follow") == "true"
	}
	return false
}
