package daemon

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/target"
)

const (
	tokenPrefix = "duly_" // lets scanners for secrets find one that was checked in
	tokenBytes  = 32      // of randomness
	leastToken  = 22      // characters of base64 that hold 128 bits
	mostToken   = 512
)

var allScopes = []api.Scope{api.Read, api.Write, api.Exec, api.Backup}

// A credential is a token as it is compared: nothing that was read out of memory could be sent as one.
type credential struct {
	name   string
	sum    [sha256.Size]byte
	scopes []api.Scope
}

// read returns the credential of a configured token, and its text if the daemon knows it.
func (t *Token) read() (c credential, text string, err error) {
	c = credential{name: t.Name, scopes: t.Scopes}
	if t.SHA256 != "" {
		sum, err := hex.DecodeString(t.SHA256)
		if err != nil || len(sum) != sha256.Size {
			return c, "", &ConfigError{Where: t.where, Want: "as sha256 64 hexadecimal digits: printf %s TOKEN | sha256sum"}
		}
		copy(c.sum[:], sum)
		return c, "", nil
	}
	text, err = readToken(t.File)
	if err != nil {
		return c, "", fmt.Errorf("%s: token %q: %w", t.where, t.Name, err)
	}
	c.sum = sha256.Sum256([]byte(text))
	return c, text, nil
}

// readToken reads a token that stands alone in a file, which nobody else may read.
func readToken(path string) (string, error) {
	b, err := readSecret(path)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(b))
	switch {
	case len(text) < leastToken || len(text) > mostToken:
		return "", fmt.Errorf("%s: want a token of %d to %d characters, it has %d; a new one: openssl rand -base64 32", path, leastToken, mostToken, len(text))
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", fmt.Errorf("%s: want one token of printable ASCII without blanks", path)
	}
	return text, nil
}

// readSecret reads a file that nobody but its owner may read or write.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if owner := foreign(info, os.Geteuid()); owner != "" {
		return nil, fmt.Errorf("%s: want a file of the user who uses it, uid %d, or of root, it is that of %s: chown %d %s",
			path, os.Geteuid(), owner, os.Geteuid(), path)
	}
	if open := tooOpen(info, notOwners(path)); open != "" {
		return nil, fmt.Errorf("%s: want a file that only its owner can read, it has mode %s: chmod 600 %s", path, open, path)
	}
	return readLimited(path)
}

// notOwners are the bits by which others than the owner use a file. systemd may let the daemon read a credential by an access control list,
// whose mask stands where the group's bits do; the directory is nobody else's.
func notOwners(path string) fs.FileMode {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(path) == filepath.Clean(dir) {
		return 0o037
	}
	return 0o077
}

// readWebhookSecrets reads the secrets that callbacks are signed with.
func readWebhookSecrets(path, where string) (keys [][]byte, texts []string, err error) {
	b, err := readSecret(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", where, err)
	}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := target.ParseSecret(line)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %s:%d: %w", where, path, i+1, err)
		}
		keys, texts = append(keys, key), append(texts, line)
	}
	if len(keys) == 0 {
		return nil, nil, &ConfigError{Where: where, Value: path, Want: "at least one secret, whsec_ and base64"}
	}
	return keys, texts, nil
}

// ownToken reads the daemon's own token, which may do everything, and makes it if there is none.
func ownToken(path string) (c credential, text string, err error) {
	text, err = readToken(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = writeToken(path); err == nil {
			text, err = readToken(path)
		}
	}
	if err != nil {
		return c, "", fmt.Errorf("the daemon's token: %w", err)
	}
	return credential{name: "the daemon's own", sum: sha256.Sum256([]byte(text)), scopes: allScopes}, text, nil
}

// writeToken makes a token. After a crash the file is there whole or not at all.
func writeToken(path string) (err error) {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b)                                     // never fails
	f, err := os.CreateTemp(filepath.Dir(path), ".token-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.WriteString(tokenPrefix + base64.RawURLEncoding.EncodeToString(b) + "\n")
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	return err
}

// A guard knows who may do what over TCP. A reload replaces what it knows.
type guard struct {
	known atomic.Pointer[[]credential]

	mu      sync.Mutex
	granted map[*grant]bool // to requests that are being answered
}

// A grant is what a request was allowed so far.
type grant struct {
	asked *http.Request
	end   context.CancelCauseFunc

	mu     sync.Mutex
	scopes []api.Scope
}

func (a *grant) add(s api.Scope) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.scopes, s) {
		a.scopes = append(a.scopes, s)
	}
}

func (a *grant) all() []api.Scope {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.scopes)
}

type grantKey struct{}

// replace has other credentials count from now on, and ends requests that were allowed what these do not allow. It returns whether one that
// has counted counts no more.
func (g *guard) replace(known []credential) (taken bool) {
	if was := g.known.Swap(&known); was != nil {
		taken = slices.ContainsFunc(*was, func(c credential) bool {
			return !slices.ContainsFunc(known, func(k credential) bool { return k.sum == c.sum })
		})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for a := range g.granted {
		for _, s := range a.all() {
			if err := g.authorize(a.asked, s); err != nil {
				a.end(err)
			}
		}
	}
	return taken
}

// follow has a request ended, with the reason, when what it is allowed with the context returned is taken back, until stop is called.
func (g *guard) follow(ctx context.Context, r *http.Request, end context.CancelCauseFunc) (_ context.Context, stop func()) {
	a := &grant{asked: r, end: end}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.granted == nil {
		g.granted = map[*grant]bool{}
	}
	g.granted[a] = true
	return context.WithValue(ctx, grantKey{}, a), func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.granted, a)
	}
}

// allow is an [api.Options.Authorize] for requests that are followed.
func (g *guard) allow(r *http.Request, need api.Scope) error {
	a, _ := r.Context().Value(grantKey{}).(*grant)
	for {
		known := g.known.Load()
		if err := g.authorize(r, need); err != nil || a == nil {
			return err
		}
		a.add(need)
		if g.known.Load() == known { // else whoever has replaced them may not have seen it
			return nil
		}
	}
}

// authorize says whether a request may have a scope. However many tokens there are, and wherever one differs, it takes the same time.
func (g *guard) authorize(r *http.Request, need api.Scope) error {
	if len(r.Header.Values("Authorization")) > 1 { // whoever has looked at the other one, a proxy for one, must not have been wrong
		return fmt.Errorf("%w: want the header Authorization once", api.ErrUnauthenticated)
	}
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	text = strings.TrimSpace(text)
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return fmt.Errorf("%w: want the header Authorization: Bearer TOKEN; the daemon's own token is in the file token of its directory",
			api.ErrUnauthenticated)
	}
	sum := sha256.Sum256([]byte(text))
	var found *credential
	vouch := vouching(r.Context()) // before it is known which count
	known := *g.known.Load()
	for i := range known {
		if subtle.ConstantTimeCompare(sum[:], known[i].sum[:]) == 1 {
			found = &known[i]
		}
	}
	if found == nil {
		return fmt.Errorf("%w: the token is not one of this daemon's", api.ErrUnauthenticated)
	}
	vouch()
	if !slices.Contains(found.scopes, need) {
		return fmt.Errorf("%w: the token %q has other scopes", api.ErrForbidden, found.name)
	}
	return nil
}
