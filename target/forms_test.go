package target_test

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/target"
)

// However an address of this machine, of a network around it or of a metadata service is written, it is refused when it is put; and what
// programs read in different ways is refused, whatever may be called.
func TestURLForms(t *testing.T) {
	for kind, urls := range map[string][]string{
		"numbers": {
			"http://2130706433/", "http://0x7f000001/", "http://0X7F.1/", "http://127.1/", "http://127.0.1/", "http://017700000001/", "http://0177.0.0.1/",
			"http://127.0.0.01/", "http://127.0.0.0x1/", "http://0/", "http://0x/", "http://4294967296/", "http://127.0.0.1.2/", "http://2852039166/",
			"http://0xa9fea9fe./", "http://\uff11\uff12\uff17.0.0.1/", "http://example.1/",
		},
		"addresses": {
			"http://127.0.0.1/", "http://127.0.0.1./", "http://127.255.255.254/", "http://0.0.0.0/", "http://10.1.2.3/", "http://100.64.0.1/", "http://224.0.0.1/",
			"http://255.255.255.255/", "http://[::1]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
			"http://[::127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fc00::1]/", "http://[fe80::1%25lo]/", "http://[::1%25lo]/",
		},
		"metadata": {
			"http://169.254.169.254/latest/meta-data/", "http://169.254.169.254./", "http://[::ffff:a9fe:a9fe]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a9fe:a9fe::1]/",
			"http://[fd00:ec2::254]/", "http://100.100.100.200/", "http://168.63.129.16/", "http://192.0.0.192/", "http://[fd20:ce::254]/",
		},
		"names": {"http://localhost/", "http://localhost./", "http://LOCALHOST:80/", "http://a.b.localhost/", "http://a.LocalHost./"},
		"tricks": {
			"http://user@127.0.0.1/", "http://example.com@127.0.0.1/", "http://127.0.0.1:80@example.com/", `http://example.com\@127.0.0.1/`, `http:\\127.0.0.1/`, `http:/\127.0.0.1/`,
			`http://127.0.0.1\.example.com/`, "http://127.0.0.1%2f.example.com/", "http://127.0.0.1%00.example.com/", "http://%31%32%37.0.0.1/", "http://example.com%40127.0.0.1/",
			"http://127.0.0.1\t/", "http://127.0\n.0.1/", "http://127.0.0.1/\r\nHost: x", "http://127.0.0.1/\x00", " http://127.0.0.1/", "http:// 127.0.0.1/", "http://example.com:0/", "http://example.com:65536/",
			"http://example.com:/", "http://example.com:80:80/", "http://example.com:+80/", "http://example.com#@127.0.0.1/", "http://127.0.0.1#@example.com/", "http:///127.0.0.1/", "http:127.0.0.1/", "//127.0.0.1/", "127.0.0.1",
			"http://[::1", "http://::1/", "http://[127.0.0.1]/", "http://[::1]x/", "http://[::1].example.com/",
		},
		"schemes": {"file:///etc/passwd", "gopher://127.0.0.1/_x", "ftp://example.com/", "unix:///run/x.sock", "http+unix://%2frun%2fx.sock/", "data:,x", "javascript:x", "jar:http://example.com!/", "ldap://127.0.0.1/", "HTTP:"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for _, u := range urls {
				if err := (target.Addresses{}).Check(&target.Callback{URL: u}); !errors.Is(err, duly.ErrInvalid) || !strings.HasPrefix(err.Error(), "target: url is ") {
					t.Errorf("%q: %v", u, err)
				}
				anywhere := kind == "addresses" || kind == "metadata" || kind == "names" || u == "http://[127.0.0.1]/" // if Private or Allow says so
				if err := (target.Callback{URL: u}).Check(); err == nil && !anywhere {
					t.Errorf("%q is taken where everything may be called", u)
				}
			}
		})
	}
	for _, u := range []string{
		"http://example.com/", "https://EXAMPLE.com.:8443/a@b?c=d@e", "http://8.8.8.8/", "http://[2606:4700::1111]:80/", "http://1.example/", "http://0xg/", "http://x0x1/",
		"http://b\u00fccher.example/", "http://xn--bcher-kva.example/", "http://a1/",
	} {
		if err := (target.Addresses{}).Check(&target.Callback{URL: u}); err != nil {
			t.Errorf("%q: %v", u, err)
		}
	}
}

// What a host means is known when it is connected to: a name whose address is private, and characters that stand for others.
func TestHostsAreLookedAtWhenTheyAreDialled(t *testing.T) {
	var reached atomic.Int64
	at := listening(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	_, port, err := net.SplitHostPort(strings.TrimPrefix(at, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"inside.example", "metadata.google.internal", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "127\u30020\u30020\u30021", "l\u24d8calhost.example"}
	for _, host := range hosts {
		c := target.Callback{URL: "http://" + host + ":" + port + "/"}
		if err := (target.Addresses{}).Check(&c); err != nil {
			t.Errorf("%s is seen before that: %v", host, err)
		}
		var refused *target.AddressError
		if a, _, err := called(t.Context(), t, target.CallbackOptions{Resolver: resolver(t, "127.0.0.1")}, c); !errors.As(err, &refused) || !strings.Contains(a.Reason, "127.0.0.1 may not be called: it is a loopback address") {
			t.Errorf("%s: %v, %+v", host, err, a)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d were connected to", n)
	}
	for _, host := range hosts {
		if _, _, err := called(t.Context(), t, target.CallbackOptions{Resolver: resolver(t, "127.0.0.1"), Allow: here}, target.Callback{URL: "http://" + host + ":" + port + "/"}); err != nil {
			t.Errorf("%s, allowed: %v", host, err)
		}
	}
	if n := int(reached.Load()); n != len(hosts) {
		t.Errorf("%d were connected to where it is allowed, want %d", n, len(hosts))
	}
}

// Of a name with several addresses those are passed over that may not be called.
func TestSeveralAddresses(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED, NOT TESTED: only on Linux all of 127.0.0.0/8 is this machine")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody calls
	inside := make(chan struct{})
	go func() {
		if c, err := l.Accept(); err == nil {
			close(inside)
			_ = c.Close()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := target.Callback{URL: "http://both.example:" + port + "/"}
	allow := target.Addresses{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
	a, _, err := called(t.Context(), t, target.CallbackOptions{Resolver: resolver(t, "127.0.0.1,127.0.0.2"), Allow: allow}, c)
	if err == nil {
		t.Errorf("nobody listens at 127.0.0.2: %+v", a)
	}
	o, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.NotFoundHandler()}
	go s.Serve(o)   //nolint:errcheck // it is closed
	defer s.Close() //nolint:errcheck // nothing is lost
	a, _, err = called(t.Context(), t, target.CallbackOptions{Resolver: resolver(t, "127.0.0.1,127.0.0.2"), Allow: allow}, c)
	if a.Status != http.StatusNotFound {
		t.Errorf("%v, %+v", err, a)
	}
	select {
	case <-inside:
		t.Error("127.0.0.1 was connected to")
	default:
	}
}

// A redirect leads nowhere, whatever it is, and nothing of the request goes to where it points.
func TestRedirects(t *testing.T) {
	var asked atomic.Int64
	other := listening(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("followed, with %v", r.Header) })
	host := strings.TrimPrefix(other, "http://")
	for _, to := range []string{
		other + "/?token=hush", "//" + host + "/", "/again", "again", "", "file:///etc/passwd", "gopher://" + host + "/_x", "https://" + host + "/", "http://ada:hush@" + host + "/",
		"http://169.254.169.254/", "http://[::1", "http://%zz/?token=hush", "http://h:port/?token=hush", "http://a b/?token=hush", `\\` + host + `\x`, "javascript:x",
	} {
		at := listening(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			w.Header()["Location"] = []string{to}
			w.Header().Set("Refresh", "0; url="+other)
			w.Header().Set("Link", "<"+other+">; rel=canonical")
			status := http.StatusFound
			if r.Method == http.MethodPost {
				status = http.StatusTemporaryRedirect
			}
			w.WriteHeader(status)
		})
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			asked.Store(0)
			a, _, err := called(t.Context(), t, target.CallbackOptions{Allow: here}, target.Callback{
				URL: at, Method: method, Body: "x", Header: map[string]string{"Authorization": "Bearer hush-hush", "Cookie": "a=hush-hush"},
			})
			if err == nil || a.Outcome != target.OutcomeFailed || a.Status/100 != 3 || !strings.Contains(a.Reason, "redirects are not followed") || strings.Contains(a.Reason, "hush") {
				t.Errorf("%s to %q: %v, %+v", method, to, err, a)
			}
			if n := asked.Load(); n != 1 {
				t.Errorf("%s to %q: asked %d times", method, to, n)
			}
		}
	}
}

// What is in a query cannot end the first line of the request.
func TestQueryStaysInItsLine(t *testing.T) {
	got := make(chan string, 1)
	at := raw(t, func(c *script) {
		got <- c.line
		c.say("HTTP/1.1 204 No Content\r\n\r\n")
	})
	if _, _, err := called(t.Context(), t, target.CallbackOptions{Allow: here}, target.Callback{URL: at + "/a b?c d=\u00fc&e=%20%zz HTTP/1.0"}); err != nil {
		t.Error(err)
	}
	if want := "POST /a%20b?c%20d=%C3%BC&e=%20%zz%20HTTP/1.0 HTTP/1.1"; want != <-got {
		t.Error("the first line is another")
	}
}

// A request by way of a proxy is checked before it goes there, because the proxy connects to whatever it is told. Its address, in which
// there may be a password, is not repeated.
func TestProxyIsToldNoOtherHost(t *testing.T) {
	proxy := listening(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the proxy is asked for %v", r.URL) })
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	o := target.CallbackOptions{Proxy: http.ProxyURL(u)}
	for _, at := range []string{"http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/", "http://2130706433/", "http://127\u30020\u30020\u30021/", "http://localhost/", "http://[::ffff:a9fe:a9fe]/"} {
		err := target.Callbacks(o)(t.Context(), &duly.Attempt[target.Callback]{AttemptInfo: info("tea", 1), Payload: target.Callback{URL: at}})
		if !errors.Is(err, duly.ErrInvalid) {
			t.Errorf("%s: %v", at, err)
		}
	}
	o.Proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New(`invalid proxy address "me:hush@h"`) }
	if a, _, err := called(t.Context(), t, o, target.Callback{URL: "http://example.com/"}); err == nil || a.Outcome != target.OutcomeFailed || strings.Contains(err.Error()+a.Reason, "hush") {
		t.Errorf("%v, %+v", err, a)
	}
}
