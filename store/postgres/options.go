package postgres

import (
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// Options are for Open. The zero Options are what nearly everybody wants.
type Options struct {
	// Schema is where the tables are; "" is duly. Small letters, digits and _, at most 58, and not pg_ first.
	Schema string
	// Pooler says that the connection string leads to a pooler that hands out connections for one transaction at a time. Then nothing is
	// used that belongs to a session: no LISTEN, no session locks, no prepared statements. What others write is found within half a
	// second, and the death of another process when its lease has run out.
	Pooler bool
	// Writers is how many connections write at a time; 0 is 2. More help where the way to the server is long.
	Writers int
	// Logger hears when the server is lost and when it is back; nil is slog.Default().
	Logger *slog.Logger
	// Clock is the store's time in place of the server's, for tests whose time is moved by hand. Nil is the server's.
	Clock clock.Clock
	// Wall is this machine's wall clock, which a node compares with the server's (Health.Offset), for tests of one that is wrong. Nil is the
	// system's.
	Wall func() time.Time
}

const (
	defaultSchema  = "duly"
	defaultWriters = 2

	// What comes due later need not be told to others, who read the next seconds again and again: what is to come in more than these
	// and the time that a transaction of ours may take, or in a transaction of a user, of which nobody knows when it ends, in an hour.
	readAhead   = 10*time.Second + sendTimeout
	readAheadTx = time.Hour
	mostWriters = 32
)

// schemaName leaves room for what the channel has before it: the server takes 63 bytes.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,57}$`)

func (o *Options) check() error {
	bad := func(field, value, want string) error {
		return &store.Error{Op: "open", Field: field, Value: value, Want: want, Err: store.ErrInvalid}
	}
	switch {
	case o.Schema != "" && (!schemaName.MatchString(o.Schema) || strings.HasPrefix(o.Schema, "pg_")):
		return bad("schema", strconv.Quote(o.Schema), "small letters, digits and _, at most 58, with neither a digit nor pg_ first")
	case o.Writers < 0, o.Writers > mostWriters:
		return bad("writers", strconv.Itoa(o.Writers), "1 to 32, or 0 for 2")
	}
	if o.Schema == "" {
		o.Schema = defaultSchema
	}
	if o.Writers == 0 {
		o.Writers = defaultWriters
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return nil
}
