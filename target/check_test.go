package target_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/target"
)

// command makes a command from what is changed of a right one.
func command(change func(c *target.Command)) target.Command {
	c := target.Command{Args: []string{"true"}}
	change(&c)
	return c
}

func TestCommandCheck(t *testing.T) {
	for want, change := range map[string]func(c *target.Command){
		"": func(c *target.Command) {
			c.Args = []string{"printf", "", "a b", "\n"}
			c.Env, c.Dir, c.Grace, c.LaterCodes = map[string]string{"TOKEN": "x", "A": "", "a b": "c"}, "/tmp", target.Duration(1e9), []int{}
		},
		"args is empty":                        func(c *target.Command) { c.Args = nil },
		"args[0] is empty":                     func(c *target.Command) { c.Args = []string{""} },
		`args[1] is "\x00", want no byte 0`:    func(c *target.Command) { c.Args = []string{"a", "\x00"} },
		`args[0] is "\xff", want UTF-8`:        func(c *target.Command) { c.Args = []string{"\xff"} },
		`shell is "true", want either`:         func(c *target.Command) { c.Shell = "true" },
		`shell is " \n", want a line`:          func(c *target.Command) { c.Args, c.Shell = nil, " \n" },
		`shell is "a\x00", want no byte 0`:     func(c *target.Command) { c.Args, c.Shell = nil, "a\x00" },
		`dir is "tmp", want an absolute`:       func(c *target.Command) { c.Dir = "tmp" },
		`dir is "/a\x00", want no byte 0`:      func(c *target.Command) { c.Dir = "/a\x00" },
		`stdin is "\xff", want UTF-8`:          func(c *target.Command) { c.Stdin = "\xff" },
		`grace is "-1s", want`:                 func(c *target.Command) { c.Grace = -1e9 },
		`grace is "1h0m0.000000001s", want`:    func(c *target.Command) { c.Grace = 3600e9 + 1 },
		`output_limit is -1, want`:             func(c *target.Command) { c.OutputLimit = -1 },
		`output_limit is 67108865, want`:       func(c *target.Command) { c.OutputLimit = 64<<20 + 1 },
		`later_codes[1] is 0, want`:            func(c *target.Command) { c.LaterCodes = []int{1, 0} },
		`later_codes[0] is 256, want`:          func(c *target.Command) { c.LaterCodes = []int{256} },
		`env is "", want names`:                func(c *target.Command) { c.Env = map[string]string{"": "x"} },
		`env is "A=B", want names`:             func(c *target.Command) { c.Env = map[string]string{"A=B": "x"} },
		`env.A is "x\x00", want no byte 0`:     func(c *target.Command) { c.Env = map[string]string{"A": "x\x00"} },
		`env.DULY_FENCE is "1", want to be`:    func(c *target.Command) { c.Env = map[string]string{"DULY_FENCE": "1"} },
		`env.MY_TOKEN is [redacted], want no`:  func(c *target.Command) { c.Env = map[string]string{"MY_TOKEN": "hush\x00"} },
		`env.MY_TOKEN is [redacted], want the`: func(c *target.Command) { c.Env = map[string]string{"MY_TOKEN": target.Redaction} },
		`env.DB is [redacted], want the`:       func(c *target.Command) { c.Env = map[string]string{"DB": "pg://a:" + target.Redaction + "@h"} },
	} {
		wantCheck(t, command(change).Check(), want)
	}
}

func wantCheck(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("got %v, want no error", err)
	case want != "" && (err == nil || !errors.Is(err, duly.ErrInvalid) || !strings.HasPrefix(err.Error(), "target: "+want)):
		t.Errorf("got %v, want %q...", err, want)
	case want != "" && (strings.Contains(err.Error(), "hush") || len(err.Error()) > 400):
		t.Errorf("%v tells a secret, or too much", err)
	}
}

func TestCallbackCheck(t *testing.T) {
	header := func(name, v string) func(c *target.Callback) {
		return func(c *target.Callback) { c.Header = map[string]string{name: v} }
	}
	at := func(u string) func(c *target.Callback) { return func(c *target.Callback) { c.URL = u } }
	for _, x := range []struct {
		want   string
		change func(c *target.Callback)
	}{
		{"", func(c *target.Callback) {
			c.Method, c.Body, c.Header = "PUT", "{}", map[string]string{"content-type": "application/json", "Authorization": "Bearer x"}
		}},
		{"", at("http://example.com:8080/a?b=c&d=%20")},
		{"", at("https://[2606:4700::1111]/")},
		{`url is "", want`, at("")},
		{`url is "example.com", want`, at("example.com")},
		{`url is "/path", want`, at("/path")},
		{`url is "ftp://example.com", want an absolute URL as https://example.com/path, of the scheme`, at("ftp://example.com")},
		{`url is "https:///a", want`, at("https:///a")},
		{`url is "https:example.com", want`, at("https:example.com")},
		{`url is "https://[redacted]@example.com/", want no user`, at("https://me:hush@example.com/")},
		{`url is "https://[redacted]", want`, at("https://me:hu/sh%@example.com")},
		{`url is "https://example.com/#a", want no fragment`, at("https://example.com/#a")},
		{`url is "https://example.com:0/", want a port`, at("https://example.com:0/")},
		{`url is "https://example.com:/", want a port`, at("https://example.com:/")},
		{`url is "https://example.com:65536/", want a port`, at("https://example.com:65536/")},
		{`url is "https://example.com/?token=%5Bredacted%5D&a=\x7f", want`, at("https://example.com/?token=hush&a=\x7f")},
		{`url is "https://example.com/?token=%5Bredacted%5D", want the value`, at("https://example.com/?token=%5Bredacted%5D")},
		{`url is "https://example.com/\n", want`, at("https://example.com/\n")},
		{`method is "post", want POST`, func(c *target.Callback) { c.Method = "post" }},
		{`method is "CONNECT", want`, func(c *target.Callback) { c.Method = "CONNECT" }},
		{`method is "GET /", want`, func(c *target.Callback) { c.Method = "GET /" }},
		{`body is "\xff", want UTF-8`, func(c *target.Callback) { c.Body = "\xff" }},
		{`output_limit is 1048577, want`, func(c *target.Callback) { c.OutputLimit = 1<<20 + 1 }},
		{`header is "", want`, header("", "x")},
		{`header is "A B", want`, header("A B", "x")},
		{`header is "A:", want`, header("A:", "x")},
		{`header.A is "x\r\nB: y", want printable`, header("A", "x\r\nB: y")},
		{`header.A is " x", want printable`, header("A", " x")},
		{`header.A is "\xff", want printable`, header("A", "\xff")},
		{`header.host is "x", want to be left out`, header("host", "x")},
		{`header.duly-fence is "1", want to be left out`, header("duly-fence", "1")},
		{`header.webhook-signature is [redacted], want to be left out`, header("webhook-signature", "hush")},
		{`header.transfer-encoding is "chunked", want to be`, header("transfer-encoding", "chunked")},
		{`header.cookie is [redacted], want printable`, header("cookie", "hush\n")},
		{`header.Cookie is [redacted], want the value`, header("Cookie", target.Redaction)},
		{`header.a is "x", want each header once; it is there as A`, func(c *target.Callback) { c.Header = map[string]string{"a": "x", "A": "y"} }},
		{`header is 40001 bytes long, want`, header("A", strings.Repeat("x", 40_000))},
		{`url is "https://example.com/xxx`, at("https://example.com/" + strings.Repeat("x", 9000))},
	} {
		c := target.Callback{URL: "https://example.com/"}
		x.change(&c)
		wantCheck(t, c.Check(), x.want)
	}
}

// A list of statuses that is empty is not one that is absent, also when it was stored.
func TestCommandJSON(t *testing.T) {
	for text, want := range map[string][]int{`{"args":["a"]}`: nil, `{"args":["a"],"later_codes":[]}`: {}, `{"args":["a"],"later_codes":[3]}`: {3}} {
		var c target.Command
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(c)
		if err != nil || string(b) != text {
			t.Errorf("got %s, %v; want %s", b, err, text)
		}
		if diff := cmp.Diff(want, c.LaterCodes); diff != "" {
			t.Errorf("%s (-want +got)\n%s", text, diff)
		}
	}
}

func TestAddresses(t *testing.T) {
	public := []string{"8.8.8.8", "1.1.1.1", "2606:4700::1111", "172.15.255.255", "172.32.0.0", "64:ff9b::8.8.8.8", "2002:808:808::1", "::ffff:8.8.8.8", "100.63.255.255"}
	private := []string{
		"127.0.0.1", "127.255.255.254", "::1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fc00::1", "fd12::1",
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1", "::ffff:0:127.0.0.1",
	}
	never := []string{
		"0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fec0::1", "224.0.0.1", "ff02::1", "255.255.255.255",
		"240.0.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "192.0.2.1", "198.18.0.1", "2001:db8::1", "2001::1",
		"64:ff9b:1::1", "100::1", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "2002:a9fe:a9fe::", "4000::1", "64:ff9b::", "192.88.99.1",
	}
	for list, allowed := range map[*[]string][2]bool{&public: {true, true}, &private: {false, true}, &never: {false, false}} {
		for _, s := range *list {
			a := netip.MustParseAddr(s)
			for i, p := range []target.Addresses{{}, {Private: true}} {
				if why := p.Refuse(a); (why == "") != allowed[i] {
					t.Errorf("%s with Private %t: %q", s, p.Private, why)
				}
			}
			if why := (target.Addresses{Allow: []netip.Prefix{netip.PrefixFrom(a.Unmap().WithZone(""), a.Unmap().BitLen())}}).Refuse(a); why != "" {
				t.Errorf("%s is allowed, but it is %s", s, why)
			}
		}
	}
	if (target.Addresses{Private: true}).Refuse(netip.Addr{}) == "" {
		t.Error("no address is allowed")
	}
	for host, want := range map[string]string{
		"localhost": "loopback", "LOCALHOST.": "loopback", "a.localhost": "loopback", "127.0.0.1": "loopback", "[::1]:80": "loopback",
		"[::ffff:127.0.0.1]": "loopback", "169.254.169.254": "metadata", "10.0.0.1": "private", "example.com": "", "8.8.8.8": "", "[fe80::1%25eth0]": "link-local",
	} {
		err := target.Addresses{}.Check(&target.Callback{URL: "http://" + host + "/"})
		if want == "" && err != nil || want != "" && (err == nil || !errors.Is(err, duly.ErrInvalid) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", host, err, want)
		}
	}
	for _, host := range []string{"localhost", "127.0.0.1"} {
		if err := (target.Addresses{Private: true}).Check(&target.Callback{URL: "http://" + host}); err != nil {
			t.Error(err)
		}
		if err := (target.Addresses{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).Check(&target.Callback{URL: "http://" + host}); err != nil {
			t.Error(err)
		}
	}
}
