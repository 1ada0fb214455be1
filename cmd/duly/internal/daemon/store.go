package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/database"
	"github.com/dulyhq/duly/cmd/duly/internal/home"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/postgres"
	"github.com/dulyhq/duly/target"
	"github.com/dulyhq/duly/wait"
)

// A sharing is a store in a database.
type sharing struct {
	*postgres.Store

	found postgres.Schema // when it was opened
}

const (
	connecting = 30 * time.Second // how long a database may take to be opened
	answering  = 5 * time.Second  // how long a store may take to say that it is there
)

// openStore opens where the tasks are, and makes the directory this daemon's own. What is in the directory beside tasks is one
// daemon's, wherever its tasks are.
func (d *Daemon) openStore(ctx context.Context) error {
	c := d.config
	if c.Store.None() {
		st, err := d.openDirectory(ctx)
		if err != nil {
			return c.explainStore(err)
		}
		d.store = st
	} else if err := d.openDatabase(ctx); err != nil {
		return err
	}
	var err error
	d.lock, err = lockDirectory(ctx, c.Data)
	return err
}

// A daemon that was killed holds its directory until the system has taken it apart, which takes longer the more it had in memory.
const (
	dying     = 2 * time.Second
	tryDying  = 20 * time.Millisecond
	triesMost = int(dying / tryDying)
)

// openDirectory opens the store in the directory, and gives whoever has it a moment to be gone.
func (d *Daemon) openDirectory(ctx context.Context) (*pebble.Store, error) {
	c := d.config
	for tries := 1; ; tries++ {
		st, err := pebble.Open(home.Store(c.Data), pebble.Options{ //nolint:contextcheck // the store lives longer than ctx
			Durability: c.Durability, MinFree: c.MinFree, Logger: d.log, FS: privateFS{watchedFS{vfs.Default, &d.disk}},
			Stuck: func(err error) { d.stuck <- err },
		})
		if !errors.Is(err, store.ErrLocked) || tries == triesMost {
			return st, err
		}
		if werr := wait.Sleep(ctx, tryDying); werr != nil {
			return nil, err
		}
	}
}

// explainStore says what to do where the store in the directory can't be opened.
func (c *Config) explainStore(err error) error {
	switch {
	case errors.Is(err, store.ErrLocked):
		return fmt.Errorf("the data directory %s is in use by another daemon: %w", c.Data, err)
	case errors.Is(err, store.ErrNoSpace):
		return fmt.Errorf("the disk of the data directory %s is full; free some space, or give another: --data DIR: %w", c.Data, err)
	}
	return err
}

// lockDirectory takes the lock of a data directory, in which there may be no store. A lock that can't be had once may be that of a
// daemon that was killed.
func lockDirectory(ctx context.Context, data string) (lock io.Closer, err error) {
	for tries := 1; ; tries++ {
		lock, err = privateFS{vfs.Default}.Lock(home.Lock(data))
		if err == nil || tries == triesMost || wait.Sleep(ctx, tryDying) != nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the data directory %s is in use by another daemon; end that one, or give this one a directory of its own: --data DIR: %w", data, err)
	}
	return lock, nil
}

// openDatabase opens the store in the database. One that can't be reached is an error: whoever starts a daemon sees what is wrong at
// once, and an init system tries again.
func (d *Daemon) openDatabase(ctx context.Context) error {
	c := d.config
	d.veil.keep(c.Store.Secrets())
	if c.from["store"] == flagOf("store") && c.Store.HasSecret() {
		d.log.Warn("whoever may list processes sees the password in --store; DULY_STORE, PGPASSFILE or the configuration file keeps it from them")
	}
	o := postgres.Options{Schema: c.Schema, Pooler: c.Pooler, Logger: d.log}
	found, err := Schema(ctx, c.Store, o)
	if err != nil {
		return err
	}
	if found.Version > 0 && !found.Fits() {
		return fmt.Errorf("the database %v: %s", c.Store, Unfit(found, c.Store, c.schema()))
	}
	opening, stop := within(ctx, connecting)
	defer stop()
	st, err := postgres.Open(opening, c.Store.URL(), o)
	if err != nil {
		return explainDatabase(c.Store, err)
	}
	d.store = st
	if found.Version == 0 {
		if found, err = Schema(ctx, c.Store, o); err != nil {
			return err
		}
	}
	d.shared = &sharing{st, found}
	return nil
}

// Schema returns what there is in a database. Its error says what is wrong, and shows no password.
func Schema(ctx context.Context, a database.Address, o postgres.Options) (postgres.Schema, error) {
	ctx, stop := within(ctx, connecting)
	defer stop()
	found, err := postgres.Status(ctx, a.URL(), o)
	return found, explainDatabase(a, err)
}

// Migrate brings what there is in a database to this program's version. Its error is as Schema's.
func Migrate(ctx context.Context, a database.Address, o postgres.Options) (before, after postgres.Schema, err error) {
	before, after, err = postgres.Migrate(ctx, a.URL(), o)
	return before, after, explainDatabase(a, err)
}

// explainDatabase says what to do where a database can't be used.
func explainDatabase(a database.Address, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*store.Error](err); ok && e.Field == "" {
		err = e.Err // which call of the store's it was says nothing to whoever gave an address
	}
	format := "the database %v: %w"
	if errors.Is(err, store.ErrBroken) || errors.Is(err, context.DeadlineExceeded) {
		format = "the database %v can't be used: is the server up, are the address and the role right? %w"
	}
	return fmt.Errorf(format, a, a.Hide(err))
}

// Unfit says what to do about a schema that this program can't work on.
func Unfit(found postgres.Schema, a database.Address, schema string) string {
	has := fmt.Sprintf("schema %s is of version %d, and this program works on %d", schema, found.Version, found.Wanted)
	if found.Version > found.Wanted {
		return has + ": take a newer version of duly"
	}
	up := "duly migrate up"
	if schema != "duly" {
		up += " --schema " + schema
	}
	return has + ": " + up + " --store " + wording.Quote(a.String())
}

// OpenDirectory opens the tasks in a data directory for a command that puts some there itself, which it can while no daemon has them open.
// The directory is made where there is none.
func OpenDirectory(data string) (store.Store, error) {
	if _, err := makeDir(data); err != nil {
		return nil, err
	}
	st, err := pebble.Open(home.Store(data), pebble.Options{Logger: mute, FS: privateFS{vfs.Default}})
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("a daemon runs in the data directory %s: end it first: %w", data, err)
	}
	if err != nil {
		return nil, err
	}
	return st, nil
}

// OpenDatabase opens the tasks in a database for a command that looks at them itself. If makes is set, the tables are made where there are
// none.
func OpenDatabase(ctx context.Context, a database.Address, o postgres.Options, makes bool) (store.Store, error) {
	found, err := Schema(ctx, a, o)
	schema := (&Config{Schema: o.Schema}).schema()
	switch {
	case err != nil:
		return nil, err
	case found.Version == 0 && !makes:
		return nil, fmt.Errorf("there are no tasks in the database %v: it has no schema %s", a, schema)
	case found.Version > 0 && !found.Fits():
		return nil, fmt.Errorf("the database %v: %s", a, Unfit(found, a, schema))
	}
	st, err := postgres.Open(ctx, a.URL(), o)
	if err != nil {
		return nil, explainDatabase(a, err)
	}
	return st, nil
}

// answers says whether the store does, and whether what is written there comes to an end.
func (d *Daemon) answers(ctx context.Context) error {
	if err := d.disk.check(); err != nil {
		return err
	}
	ctx, stop := within(ctx, answering)
	defer stop()
	_, err := d.store.Clock(ctx)
	if err != nil && d.shared != nil {
		return fmt.Errorf("the database %v does not answer: %w", d.config.Store, d.config.Store.Hide(err))
	}
	return err
}

// state is where the tasks are, and who shares them.
func (d *Daemon) state() *api.StoreState {
	c := d.config
	if d.shared == nil {
		return &api.StoreState{Kind: "directory", At: home.Store(c.Data)}
	}
	h := d.shared.Health()
	s := &api.StoreState{
		Kind: "postgres", At: c.Store.String(), Schema: c.schema(), Version: d.shared.found.Version, Server: d.shared.found.Server,
		Node: h.Node, Connected: h.Connected, Shards: count(h.Shards), ClockOffset: target.Duration(h.Offset), Uncertainty: target.Duration(h.Uncertainty),
		StandsDown: h.StandsDown, Nodes: []api.NodeState{},
	}
	for _, n := range h.Nodes {
		state := "away"
		switch {
		case n.Gone:
			state = "gone"
		case n.StandsDown:
			state = "stands_down"
		case n.Live:
			state = "live"
		}
		s.Nodes = append(s.Nodes, api.NodeState{
			Node: n.Name, State: state, Shards: n.Owned, ClockOffset: target.Duration(n.Offset), SeenAt: n.SeenAt.Time(), Self: n.Name == h.Node,
		})
	}
	return s
}

func count(s store.Shards) (n int) {
	for _, part := range s {
		n += bits.OnesCount64(part)
	}
	return n
}
