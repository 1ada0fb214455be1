package target

import (
	"maps"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The limits of commands and callbacks.
const (
	DefaultGrace          = 5 * time.Second
	MaxGrace              = time.Hour
	DefaultCommandOutput  = 1 << 20
	MaxCommandOutput      = 64 << 20
	DefaultCallbackOutput = 64 << 10
	MaxCallbackOutput     = 1 << 20

	maxURL    = 8 << 10
	maxHeader = 32 << 10
)

// given are the variables that each attempt adds.
var given = []string{"DULY_NAME", "DULY_NAMESPACE", "DULY_RUN_ID", "DULY_FENCE", "DULY_ATTEMPT", "DULY_SCHEDULED_FOR"}

// givenHeaders are those that each attempt adds, beside all that begin with Duly-, and those that the connection has for itself.
var givenHeaders = []string{
	"Connection", "Content-Length", "Host", "Idempotency-Key", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "User-Agent", "Webhook-Id", "Webhook-Signature", "Webhook-Timestamp", "Accept-Encoding", "Expect",
}

// Check returns an [*Error] for what cannot be run, whatever the machine is like. That the program and the directory exist is seen when
// it is run.
func (c Command) Check() error {
	switch {
	case c.Shell == "" && len(c.Args) == 0:
		return invalid("args", "", "a program, or a shell line in shell")
	case c.Shell != "" && len(c.Args) > 0:
		return invalid("shell", quote(c.Shell), "either args or shell, not both")
	case c.Shell != "" && strings.TrimSpace(c.Shell) == "":
		return invalid("shell", quote(c.Shell), "a line for the shell")
	case len(c.Args) > 0 && c.Args[0] == "":
		return invalid("args[0]", "", "a program")
	case c.Dir != "" && !filepath.IsAbs(c.Dir):
		return invalid("dir", quote(c.Dir), "an absolute directory")
	case c.Grace < 0 || time.Duration(c.Grace) > MaxGrace:
		return invalid("grace", quote(c.Grace.String()), "0s, which is "+DefaultGrace.String()+", to "+MaxGrace.String())
	case c.OutputLimit < 0 || c.OutputLimit > MaxCommandOutput:
		return invalid("output_limit", strconv.FormatInt(c.OutputLimit, 10), "0 to "+strconv.Itoa(MaxCommandOutput)+" bytes")
	}
	for i, a := range c.Args {
		if want := argWant(a); want != "" {
			return invalid("args["+strconv.Itoa(i)+"]", quote(a), want)
		}
	}
	if want := argWant(c.Shell); want != "" {
		return invalid("shell", quote(c.Shell), want)
	}
	if want := argWant(c.Dir); want != "" {
		return invalid("dir", quote(c.Dir), want)
	}
	if !utf8.ValidString(c.Stdin) {
		return invalid("stdin", quote(c.Stdin), "UTF-8")
	}
	for i, code := range c.LaterCodes {
		if code < 1 || code > 255 {
			return invalid("later_codes["+strconv.Itoa(i)+"]", strconv.Itoa(code), "a status from 1 to 255")
		}
	}
	return c.checkEnv()
}

// argWant says what is wrong with what is handed to a process, or "".
func argWant(s string) string {
	switch {
	case strings.ContainsRune(s, 0):
		return "no byte 0"
	case !utf8.ValidString(s):
		return "UTF-8"
	}
	return ""
}

func (c Command) checkEnv() error {
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		v := c.Env[name]
		field := "env." + name
		shown := quote(v)
		if _, secret := password(v); IsSecret(name) || secret != "" {
			shown = Redaction
		}
		switch want := argWant(v); {
		case name == "" || strings.ContainsAny(name, "=\x00") || !utf8.ValidString(name):
			return invalid("env", quote(name), "names that are not empty and have no = or byte 0 in them")
		case slices.Contains(given, name):
			return invalid(field, shown, "to be left out: each attempt sets it")
		case strings.Contains(v, Redaction) && shown == Redaction:
			return invalid(field, shown, "the value itself: this is only shown in its place")
		case want != "":
			return invalid(field, shown, want)
		}
	}
	return nil
}

// Check returns an [*Error] for a request that cannot be made, whatever the network is like. Which addresses may be called is
// [Addresses.Check]'s to say.
func (c Callback) Check() error {
	_, err := checkCallback(&c)
	return err
}

// checkCallback is Check, and returns the URL.
func checkCallback(c *Callback) (*url.URL, error) {
	u, err := checkURL(c)
	if err != nil {
		return nil, err
	}
	switch {
	case c.Method == http.MethodConnect || c.Method == http.MethodTrace || strings.Trim(c.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" || len(c.Method) > 32:
		return nil, invalid("method", quote(c.Method), "POST, PUT, GET or another one in capitals, but not CONNECT or TRACE")
	case !utf8.ValidString(c.Body):
		return nil, invalid("body", quote(c.Body), "UTF-8")
	case c.OutputLimit < 0 || c.OutputLimit > MaxCallbackOutput:
		return nil, invalid("output_limit", strconv.FormatInt(c.OutputLimit, 10), "0 to "+strconv.Itoa(MaxCallbackOutput)+" bytes")
	}
	return u, checkHeader(c)
}

func checkURL(c *Callback) (*url.URL, error) {
	const want = "an absolute URL as https://example.com/path"
	bad := func(want string) (*url.URL, error) { return nil, invalid("url", quote(redactURL(c.URL)), want) }
	if len(c.URL) > maxURL {
		return bad("at most " + strconv.Itoa(maxURL) + " bytes")
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || !utf8.ValidString(c.URL):
		return bad(want)
	case u.Scheme != "http" && u.Scheme != "https":
		return bad(want + ", of the scheme http or https")
	case u.User != nil:
		return bad("no user or password in it; an Authorization header can have them")
	case u.Hostname() == "" || u.Opaque != "":
		return bad(want + ", with a host")
	case isHalfAddress(u.Hostname()):
		return bad("an address in full, as 192.0.2.1: what this means depends on who reads it")
	case u.Fragment != "" || strings.Contains(c.URL, "#"):
		return bad("no fragment (#...), which is not sent")
	case strings.Contains(c.URL, url.QueryEscape(Redaction)):
		return bad("the value itself: " + Redaction + " is only shown in its place")
	}
	if p := u.Port(); p != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return bad("a port from 1 to 65535")
		}
	}
	return u, nil
}

// isHalfAddress says whether a host is an address of IPv4 to some programs and a name to others: one with fewer than four numbers, with
// hexadecimal or octal ones. No name ends in a number.
func isHalfAddress(host string) bool {
	host = strings.TrimSuffix(host, ".")
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hex, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

func checkHeader(c *Callback) error {
	seen := map[string]string{}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(c.Header)) {
		v := c.Header[name]
		size += len(name) + len(v)
		field := "header." + name
		refuse := func(want string) error {
			shown := quote(v)
			if IsSecret(name) {
				shown = Redaction
			}
			return invalid(field, shown, want)
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !isToken(name):
			return invalid("header", quote(name), "a header's name: letters, digits and any of !#$%&'*+-.^_`|~")
		case slices.Contains(givenHeaders, canonical) || strings.HasPrefix(canonical, "Duly-"):
			return refuse("to be left out: each attempt sets it, or the connection does")
		case seen[canonical] != "":
			return refuse("each header once; it is there as " + seen[canonical])
		case v == Redaction && IsSecret(name):
			return refuse("the value itself: this is only shown in its place")
		case !isHeaderValue(v):
			return refuse("printable text, UTF-8, without line breaks or blanks at its ends")
		}
		seen[canonical] = name
	}
	if size > maxHeader {
		return invalid("header", strconv.Itoa(size)+" bytes long", "at most "+strconv.Itoa(maxHeader)+" bytes in all")
	}
	return nil
}

// isToken says whether s may be a header's name, by RFC 9110.
func isToken(s string) bool {
	for _, r := range s {
		alnum := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", r) {
			return false
		}
	}
	return s != ""
}

func isHeaderValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(s) && strings.Trim(s, " \t") == s
}
