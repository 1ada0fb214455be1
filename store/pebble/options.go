package pebble

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// A Durability says what has happened to a write when its call is answered.
type Durability uint8

// The durabilities.
const (
	Sync     Durability = iota // it is synced: it survives power loss. The default
	Interval                   // it will be within Options.Interval: that much may be lost, also by kill -9
	Memory                     // it will be when the store is closed: all since it was opened may be lost
)

// Options are for Open. The zero Options are what nearly everybody wants.
type Options struct {
	Durability Durability
	ReadOnly   bool          // no byte of the directory is changed, and what would change one is refused with ErrReadOnly
	Interval   time.Duration // of the durability Interval: 5 to 100 ms; 0 is 20 ms
	MinFree    int64         // bytes: with less free space Put is refused with ErrNoSpace; 0 is 64 MiB, less than 0 never
	CacheSize  int64         // bytes of the block cache; 0 is 32 MiB
	Logger     *slog.Logger  // hears when storage fails and when it works again; nil is slog.Default()
	Clock      clock.Clock   // nil is clock.System()
	Stuck      func(error)   // is told, once, that storage has failed and that only another process can open it; nil is nobody
	FS         vfs.FS        // nil is the operating system's
}

func (o *Options) check() error {
	bad := func(field, value, want string) error {
		return &store.Error{Op: "open", Field: field, Value: value, Want: want, Err: store.ErrInvalid}
	}
	switch {
	case o.Durability > Memory:
		return bad("durability", strconv.Itoa(int(o.Durability)), "Sync, Interval or Memory")
	case o.Interval != 0 && (o.Interval < 5*time.Millisecond || o.Interval > 100*time.Millisecond):
		return bad("interval", o.Interval.String(), "5ms to 100ms")
	case o.CacheSize < 0:
		return bad("cache size", strconv.FormatInt(o.CacheSize, 10), "0 or more bytes")
	}
	if o.Interval == 0 {
		o.Interval = 20 * time.Millisecond
	}
	if o.ReadOnly {
		o.MinFree = -1 // what is refused needs no room
	}
	if o.MinFree == 0 {
		o.MinFree = 64 << 20
	}
	if o.CacheSize == 0 {
		o.CacheSize = 32 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	return nil
}
