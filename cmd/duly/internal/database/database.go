// Package database says which database tasks are in, and shows it without what is secret.
//
// It is not for opening one, which is package postgres's. Its central type is [Address].
package database

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/dulyhq/duly/target"
)

// An Address leads to a database. The zero Address leads to none. However it is printed, it shows no password.
type Address struct {
	url     string
	shown   string
	secrets []string
}

const want = "a URL such as postgres://user@host/database"

// leastSecret is from how many characters on a secret is looked for in other texts: one that is shorter would be found everywhere.
const leastSecret = 4

// Parse reads an address. If it is none, want says what would be right: never with a part of the text, which may be a password.
func Parse(text string) (a Address, _ string) {
	u, err := url.Parse(text)
	switch {
	case !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://"), err != nil:
		return Address{}, want
	case u.Fragment != "", strings.ContainsRune(u.EscapedPath(), '@'), strings.ContainsRune(u.RawQuery, '@'):
		// What follows a #, a / or a ? that belongs to a password would be taken for the host or the database, and shown.
		return Address{}, want + ", where in a user, a password or a value # is written %23, / is %2F, ? is %3F and @ is %40"
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Address{}, want + ", and behind it ?name=value&name=value"
	}
	a = Address{url: text}
	if password, ok := u.User.Password(); ok {
		a.secrets = append(a.secrets, password)
		if _, written, ok := strings.Cut(u.User.String(), ":"); ok {
			a.secrets = append(a.secrets, written)
		}
		u.User = url.User(u.User.Username())
	}
	for name, values := range q {
		if target.IsSecret(name) || secretParameter.MatchString(name) {
			a.secrets = append(a.secrets, values...)
			q.Del(name)
		}
	}
	u.RawQuery = q.Encode()
	a.shown = u.String()
	return a, ""
}

// secretParameter are the parameters of a connection string that are secret.
var secretParameter = regexp.MustCompile(`^(ssl)?password$`)

// None says whether there is no database.
func (a Address) None() bool { return a.url == "" }

// URL returns the connection string, with all that is secret in it.
func (a Address) URL() string { return a.url }

// String returns the address for people, without a password.
func (a Address) String() string { return a.shown }

// HasSecret says whether there is a password in the connection string.
func (a Address) HasSecret() bool { return len(a.secrets) > 0 }

// Secrets returns what must not be in a log.
func (a Address) Secrets() (long []string) {
	for _, s := range a.secrets {
		if len(s) >= leastSecret {
			long = append(long, s)
		}
	}
	return long
}

// Hide returns an error whose text is one line without anything secret; nil for nil. It wraps err.
func (a Address) Hide(err error) error {
	if err == nil {
		return nil
	}
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.Join(strings.Fields(line), " "); !slices.Contains(lines, line) { // of a server that is tried with and without TLS
			lines = append(lines, line)
		}
	}
	text := strings.Join(lines, " ")
	if a.url != "" {
		text = strings.ReplaceAll(text, a.url, a.shown)
	}
	for _, s := range a.Secrets() {
		text = strings.ReplaceAll(text, s, target.Redaction)
	}
	return &hidden{text, err}
}

type hidden struct {
	text string
	err  error
}

func (h *hidden) Error() string { return h.text }

func (h *hidden) Unwrap() error { return h.err }
