package timer

import (
	"context"
	"hash/maphash"
	"log/slog"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly/clock"
)

// Options are what an engine can be told when it is made. The zero value is right for most.
type Options struct {
	// Name tells engines apart, in errors that are logged, in Stats and in the labels of profiles.
	Name string
	// Workers limits how many named tasks run at a time; 0 is no limit. With 1 the order is exact: by due, then first in,
	// first out. Unnamed timers never wait for a limit.
	Workers int
	// MaxPending limits how many named tasks may be pending or running; beyond it Put of a new name returns ErrFull. 0 is no
	// limit but memory.
	MaxPending int
	// Held engines accept tasks and run none until Start is called.
	Held bool
	// Logger receives what nobody else is told: panics without an OnPanic, failures of the engine itself. Nil is
	// slog.Default().
	Logger *slog.Logger
	// OnPanic is called, on the goroutine of the run, for every panic and runtime.Goexit of user code. A panic of its own
	// is logged. Nil logs the panic with its stack.
	OnPanic func(Panic)
	// Hooks are told what happens to named tasks.
	Hooks Hooks
	// Clock is what the engine reads and waits for. Nil is clock.System().
	Clock clock.Clock
}

// A Handler is what a task runs. Its context carries the task (see TaskFrom) and ends when the task's timeout passes, when
// CancelRunning asks it to, or when the engine is closed.
type Handler func(ctx context.Context) error

// Engine runs things later. Make one with New; all methods are safe from several goroutines, and from inside handlers.
type Engine struct {
	clk    clock.Clock
	alarm  clock.Alarm
	opts   Options
	log    *slog.Logger
	seed   maphash.Seed
	mask   uint64
	shards []shard
	origin time.Time // the instant of boot time 0
	epoch  int64     // the boot time at which it was made
	limit  int       // of entries that the driver takes out under one hold of a shard's lock

	timers *pool // runs unnamed timers
	tasks  *pool // runs named tasks; the same pool where Workers sets no limit
	hooks  hookQueue
	keys   keyTable

	live  atomic.Int64 // shards that hold an entry
	named atomic.Int64 // named tasks, counted only with MaxPending

	armMu     sync.Mutex   // guards what the alarm is set to
	armedBoot atomic.Int64 // what it is set to; awake while the driver is, or the engine is held
	armedWall atomic.Int64
	linger    atomic.Int64 // the boot time to which the alarm was set when nothing was pending any more
	lastWall  int64        // the driver's last reading, to notice a clock that was set back
	handing   sync.Mutex   // held while the driver carries a batch from a shard to the pools

	life     lifecycle
	testPass func() // a test's, called at the beginning of each of the driver's passes

	stats
}

const (
	awake     = math.MinInt64 // the driver will look by itself
	lingerFor = int64(10 * time.Millisecond)
	batchSize = 256
)

// New makes an engine, which runs at once unless it is Held. An engine with nothing pending holds no goroutine; one that
// is not needed any more should be closed. Inside a testing/synctest bubble it follows the bubble's time and must be used
// and closed inside of that bubble; across the bubble's edge what can return an error returns ErrBubble. Several Options are
// a mistake and panic.
func New(opts ...Options) *Engine {
	var o Options
	if len(opts) > 1 {
		panic("timer: New takes at most one Options")
	}
	if len(opts) == 1 {
		o = opts[0]
	}
	n := 16 * runtime.GOMAXPROCS(0)
	if o.Workers == 1 {
		n = 1
	}
	n = 1 << bits.Len(uint(min(n, 256)-1))
	e := &Engine{
		clk: o.Clock, opts: o, log: o.Logger, seed: maphash.MakeSeed(), mask: uint64(n - 1),
		shards: make([]shard, n), limit: batchSize,
	}
	if e.clk == nil {
		e.clk = clock.System()
	}
	if e.log == nil {
		e.log = slog.Default()
	}
	if n == 1 {
		e.limit = math.MaxInt
	}
	now := e.clk.Read()
	e.origin = time.Unix(0, now.Wall-now.Boot).UTC()
	e.lastWall, e.epoch = now.Wall, now.Boot
	for i := range e.shards {
		e.shards[i].init(e, i, n)
	}
	e.alarm = e.clk.NewAlarm(e.wake)
	pending := func() bool { return e.live.Load() != 0 }
	e.cells = make([]fireStats, min(runtime.GOMAXPROCS(0), maxCells))
	e.timers = newPool(0, e.runItem, pending, e.cells)
	e.tasks = e.timers
	if o.Workers > 0 {
		e.tasks = newPool(o.Workers, e.runItem, pending, e.cells)
	}
	e.hooks.init(o.Hooks, e)
	e.life.init()
	e.linger.Store(awake)
	e.armedBoot.Store(awake)
	e.armedWall.Store(awake)
	if !o.Held {
		_ = e.Start()
	}
	return e
}

// Start lets a Held engine run; tasks that came due meanwhile run at once. An engine that runs returns ErrAlreadyStarted,
// a closed one ErrClosed.
func (e *Engine) Start() error {
	if _, err := e.read(); err != nil {
		return opError("start", "", err)
	}
	if err := e.life.start(); err != nil {
		return opError("start", "", err)
	}
	e.wakeUp()
	return nil
}

// wakeUp sets the alarm of an engine that was held. Like rest it first publishes that the alarm is not set, so that what is
// put at the same moment is seen here, or sets the alarm itself.
func (e *Engine) wakeUp() {
	e.armMu.Lock()
	defer e.armMu.Unlock()
	e.armedBoot.Store(never)
	e.armedWall.Store(never)
	e.setAlarmLocked(e.nexts())
}

// Name returns the engine's name.
func (e *Engine) Name() string { return e.opts.Name }

// read reads the clock for an operation of a caller.
func (e *Engine) read() (clock.Reading, error) {
	if e.clk == nil {
		return clock.Reading{}, errNotMade
	}
	now := e.clk.Read()
	if now.Foreign() {
		return now, ErrBubble
	}
	return now, nil
}

// shardOf returns the name's shard and its hash for the shard's table.
func (e *Engine) shardOf(name string) (*shard, uint32) {
	h := maphash.String(e.seed, name)
	return &e.shards[h&e.mask], uint32(h >> 32)
}

func (e *Engine) anyShard() *shard {
	if e.mask == 0 {
		return &e.shards[0]
	}
	return &e.shards[rand.Uint64()&e.mask]
}

// bootTime is the instant of a boot time by the engine's own count, which no wall-clock step moves.
func (e *Engine) bootTime(boot int64) time.Time { return e.origin.Add(time.Duration(boot)) }

// wallOf tells by the wall clock's present setting when a boot time is.
func wallOf(boot int64, now clock.Reading) time.Time {
	return time.Unix(0, satAdd(now.Wall, boot-now.Boot)).UTC()
}

// satAdd adds a duration to a time, both in ns, and saturates: a sum that overflows is never, one that is negative is 0.
func satAdd(t, d int64) int64 {
	s := t + d
	if d > 0 && s < t {
		return never
	}
	if d < 0 && (s > t || s < 0) {
		return 0
	}
	return s
}

// wallNanos is an instant on the wall clock's timeline: ns since 1970, saturating; exact says that it is not cut.
func wallNanos(t time.Time) (ns int64, exact bool) {
	const last = math.MaxInt64 / int64(time.Second)
	switch s := t.Unix(); {
	case s < 0:
		return 0, true // long past; that it is due is all that matters
	case s >= last:
		return never, false
	default:
		return s*int64(time.Second) + int64(t.Nanosecond()), true
	}
}
