package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/timer"
)

// Options say whom a client talks to, and as whom. One of Socket and URL must be given.
type Options struct {
	// Socket is the path of the daemon's unix socket. Whoever may open it needs no token.
	Socket string
	// URL is the daemon's address, http or https, with the prefix under which the API is mounted if it has one: "http://127.0.0.1:4280".
	URL string
	// Token is sent with each request. Empty is none.
	Token string
	// TLS is for a URL of https; nil trusts what the system trusts.
	TLS *tls.Config
	// Namespace is whose tasks the client's methods are about. Empty is the one without a name. See [Client.In].
	Namespace string
	// UserAgent is what the daemon's log calls the client. Empty is "duly-client".
	UserAgent string
	// Lost is called when Events has lost its connection and will try again, with what happened. Nil is nothing.
	Lost func(error)
	// Wrap returns what carries requests in place of what it is given, as for looking at them. Nil leaves that as it is.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Engine is whose time is waited by before something is tried again. Nil is one that all share.
	Engine *timer.Engine
}

const (
	connectWithin = 10 * time.Second
	keepIdle      = 90 * time.Second
)

// A Client talks to one daemon. Its methods are safe for concurrent use.
type Client struct {
	o    Options
	base string // before "/v1"
	http *http.Client
}

// New returns a client. It opens nothing yet: that nobody is there is what its methods return. The error is duly.ErrInvalid.
func New(o Options) (*Client, error) {
	c := &Client{o: o}
	network, address := "", ""
	switch {
	case o.Socket != "" && o.URL != "":
		return nil, invalid("url", o.URL, "none where there is a socket, which is "+o.Socket)
	case o.Socket != "":
		network, address, c.base = "unix", o.Socket, "http://localhost"
	case o.URL != "":
		base, err := baseOf(o.URL)
		if err != nil {
			return nil, err
		}
		c.base = base
	default:
		return nil, invalid("socket", `""`, "a path, or a URL")
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, invalid("token", "not shown", "printable ASCII without blanks")
	}
	if c.o.UserAgent == "" {
		c.o.UserAgent = "duly-client"
	}
	carrier := http.RoundTripper(transport(network, address, o.TLS))
	if o.Wrap != nil {
		carrier = o.Wrap(carrier)
	}
	c.http = &http.Client{
		Transport: carrier,
		// An answer that sends the client elsewhere is an error: the token is for nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// baseOf checks a URL and takes its last slashes off.
func baseOf(s string) (string, error) {
	const want = "http://HOST:PORT or https://HOST:PORT, with a path at most behind it"
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", invalid("url", "not to be parsed", want) // what is wrong with it may be a secret
	case u.User != nil:
		return "", invalid("url", u.Redacted(), "no user and no password in it; give a token")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "", u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return "", invalid("url", strconv.Quote(s), want)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// transport connects to one address where network is given, else to that of each request. It asks no proxy.
func transport(network, address string, conf *tls.Config) *http.Transport {
	d := net.Dialer{Timeout: connectWithin}
	return &http.Transport{
		DialContext: func(ctx context.Context, n, a string) (net.Conn, error) {
			if network != "" {
				n, a = network, address
			}
			conn, err := d.DialContext(ctx, n, a)
			if err != nil && ctx.Err() == nil {
				return nil, &UnreachableError{Network: n, Address: a, Err: err}
			}
			return conn, err
		},
		TLSClientConfig:        conf.Clone(),
		TLSHandshakeTimeout:    connectWithin,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        keepIdle,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

// In returns a view of a namespace, which shares the client's connections.
func (c *Client) In(namespace string) *Client {
	v := *c
	v.o.Namespace = namespace
	return &v
}

// Close closes the connections that nobody uses. The client can be used on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Address returns whom the client talks to: the path of a socket, or a URL.
func (c *Client) Address() string {
	if c.o.Socket != "" {
		return c.o.Socket
	}
	return c.base
}

// An UnreachableError says that nobody answers at an address. Nothing was sent.
type UnreachableError struct {
	Network string // "unix" or "tcp"
	Address string // a path, or host:port
	Err     error  // why not, in the system's words
}

// Error returns the message: one line.
func (e *UnreachableError) Error() string {
	why := e.Err
	if op, ok := errors.AsType[*net.OpError](e.Err); ok && op.Err != nil {
		why = op.Err // without the address once more
	}
	return "nobody answers at " + e.Address + ": " + why.Error()
}

// Unwrap returns Err.
func (e *UnreachableError) Unwrap() error { return e.Err }

func invalid(field, value, want string) error {
	return &duly.Error{Op: "new client", Field: field, Value: value, Want: want, Err: duly.ErrInvalid}
}
