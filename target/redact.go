package target

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Redaction is what is shown in the place of a secret. Check refuses it as a value, so that what was shown is not put back by mistake.
const Redaction = "[redacted]"

// secretWords are parts of names whose values are secrets, in capitals and without separators.
var secretWords = []string{
	"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "APIKEY", "PRIVATEKEY", "ACCESSKEY", "AUTHORIZATION", "COOKIE",
	"SIGNATURE", "SESSIONID",
}

// secretEnds are ends of names, after a separator or as the whole name, whose values are secrets.
var secretEnds = []string{"KEY", "PWD", "PASS", "AUTH", "SIG"}

// IsSecret says whether a variable of the environment, a header or a parameter of a query is taken for a secret, by its name: what has
// TOKEN, SECRET, PASSWORD, CREDENTIAL, API_KEY, PRIVATE_KEY, AUTHORIZATION, COOKIE and the like in it, in whatever case.
func IsSecret(name string) bool {
	words := strings.FieldsFunc(strings.ToUpper(name), func(r rune) bool { return r == '_' || r == '-' || r == '.' || r == ' ' })
	if len(words) == 0 || strings.EqualFold(name, "PWD") {
		return false
	}
	if slices.Contains(secretEnds, words[len(words)-1]) {
		return true
	}
	whole := strings.Join(words, "")
	return slices.ContainsFunc(secretWords, func(w string) bool { return strings.Contains(whole, w) })
}

// Redacted returns the command as it may be shown: the values of variables that are secrets by their name, and the passwords in those
// that are URLs, are replaced by Redaction. Its arguments and what it reads are shown.
func (c Command) Redacted() Command {
	c.Env = maps.Clone(c.Env)
	for name, v := range c.Env {
		if IsSecret(name) {
			c.Env[name] = Redaction
		} else if u, secret := password(v); secret != "" {
			c.Env[name] = u
		}
	}
	return c
}

// Redacted returns the callback as it may be shown: the values of headers and of the query's parameters that are secrets by their name
// are replaced by Redaction. Its body is shown.
func (c Callback) Redacted() Callback {
	c.Header = maps.Clone(c.Header)
	for name := range c.Header {
		if IsSecret(name) {
			c.Header[name] = Redaction
		}
	}
	c.URL = redactURL(c.URL)
	return c
}

// withPassword is a URL with a password, which is taken to end before the last @ that can belong to it.
var withPassword = regexp.MustCompile(`://[^\s/?#:@]*:(\S+)@`)

// password returns a value in which there are URLs with a password as it may be shown, and the passwords; of any other value, nothing.
func password(v string) (shown, secret string) {
	m := withPassword.FindStringSubmatchIndex(v)
	if m == nil {
		return "", ""
	}
	return v[:m[2]] + Redaction + v[m[3]:], v[m[2]:m[3]]
}

// redactURL returns a URL without its user and without the secrets in its query. It need not be a right one; what a right one has after
// the port is its path, also where there is an @ in it.
func redactURL(s string) string {
	if i := strings.Index(s, "://"); i >= 0 {
		rest := s[i+len("://"):]
		end := strings.IndexAny(rest, "/?#")
		shown := strings.TrimPrefix(rest, Redaction+"@") // if it has been redacted before
		if _, err := url.Parse(s[:i+len("://")] + shown); err != nil && strings.Contains(shown, "@") {
			return s[:i+len("://")] + Redaction // a password may have anything in it, and where it ends is anybody's guess
		}
		if end < 0 {
			end = len(rest)
		}
		if at := strings.LastIndexByte(rest[:end], '@'); at >= 0 {
			s = s[:i+len("://")] + Redaction + rest[at:]
		}
	}
	before, query, found := strings.Cut(s, "?")
	if !found {
		return s
	}
	query, fragment, anchored := strings.Cut(query, "#")
	pairs := strings.Split(query, "&")
	for i, p := range pairs {
		name, v, _ := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(name); v != "" && (err != nil || IsSecret(plain)) {
			pairs[i] = name + "=" + url.QueryEscape(Redaction)
		}
	}
	s = before + "?" + strings.Join(pairs, "&")
	if anchored {
		s += "#" + fragment
	}
	return s
}

// LogValue lets no secret into a log.
func (c Command) LogValue() slog.Value {
	type plain Command
	return slog.AnyValue(plain(c.Redacted()))
}

// LogValue lets no secret into a log.
func (c Callback) LogValue() slog.Value {
	type plain Callback
	return slog.AnyValue(plain(c.Redacted()))
}

// String returns the command as JSON, redacted.
func (c Command) String() string { return text(c.Redacted()) }

// String returns the callback as JSON, redacted.
func (c Callback) String() string { return text(c.Redacted()) }

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// A scrubber takes secrets out of texts.
type scrubber struct{ replace *strings.Replacer }

// scrub returns s without the secrets.
func (x scrubber) scrub(s string) string {
	if x.replace == nil {
		return s
	}
	return x.replace.Replace(s)
}

// leastPart is how long a part of a secret, a line of a key or what follows "Bearer", is at least that is looked for by itself.
const leastPart = 8

// newScrubber returns one for the secrets, their lines and their words, the longest first, so that none is left half.
func newScrubber(secrets []string) scrubber {
	var all []string
	for _, s := range secrets {
		all = append(all, s)
		for part := range strings.FieldsSeq(s) {
			if len(part) >= leastPart {
				all = append(all, part)
			}
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return strings.TrimSpace(s) == "" })
	if len(all) == 0 {
		return scrubber{}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(all))
	for _, s := range slices.Compact(all) {
		pairs = append(pairs, s, Redaction)
	}
	return scrubber{strings.NewReplacer(pairs...)}
}

// secrets returns the values that must not be shown.
func (c Command) secrets() (all []string) {
	for name, v := range c.Env {
		if IsSecret(name) {
			all = append(all, v)
		} else if _, secret := password(v); secret != "" {
			all = append(all, secret)
		}
	}
	return all
}

func (c Callback) secrets() (all []string) {
	for name, v := range c.Header {
		if IsSecret(name) {
			all = append(all, v)
		}
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return all
	}
	for name, vs := range u.Query() {
		if IsSecret(name) {
			for _, v := range vs {
				all = append(all, v, url.QueryEscape(v))
			}
		}
	}
	return all
}
