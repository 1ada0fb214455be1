package store

// A Clock is one look at a store's time. A Now in the store's own process is exact; any other has an Uncertainty of at least one.
type Clock struct {
	Now         Instant // the wall clock that everything due is compared with
	Mono        Instant // what leases are counted on: no setting of the wall clock moves it
	Uncertainty Instant // how far Now may be off, in microseconds
}

// A Cursor is a place in an order: of what is due, or of names. The zero Cursor is the beginning.
type Cursor struct {
	At Instant
	Key
}

// Shards is a set of shards.
type Shards [4]uint64

// Has says whether the set holds a shard. A nil set holds all.
func (s *Shards) Has(shard uint8) bool { return s == nil || s[shard>>6]&(1<<(shard&63)) != 0 }

// Add puts a shard into the set.
func (s *Shards) Add(shard uint8) { s[shard>>6] |= 1 << (shard & 63) }

// A DueQuery asks for tasks in the order of their positions, ties by key: those behind After, up to and with Until.
type DueQuery struct {
	After  Cursor
	Until  Instant
	Limit  int               // 0 is 1,000
	Shards *Shards           // nil is all
	Kinds  map[string]Shards // of these kinds, in place of Shards
}

// Has says whether tasks of a kind in a shard are asked for.
func (q *DueQuery) Has(shard uint8, kind string) bool { return has(q.Shards, q.Kinds, shard, kind) }

// A DuePage is a part of what is due. If there is more it goes on at Cursor, the last task's place, and it may be shorter than the limit. Where
// not all shards and kinds are asked for it may even be empty, or Cursor behind the last task, at what was looked at and is none of these.
// Otherwise Next is the first position after Until, or Never; where not all shards and kinds are asked for, it may also be one in between at
// which nothing of these stands.
type DuePage struct {
	Tasks  []*Task
	More   bool
	Cursor Cursor
	Next   Instant
}

// A Query selects tasks by what all its fields ask. The zero Query asks for all tasks of the empty namespace.
type Query struct {
	Namespace     string
	AllNamespaces bool
	Prefix        string // of the name
	Kind          string
	Tag           string
	State         State // Pending, Running or Dead; None is both of the first two
	Paused        bool
	DueFrom       Instant // position; for dead runs, when they were due
	DueUntil      Instant
	After         string // Page.Cursor of the page before
	Limit         int    // 0 is 100
}

// PageBytes bounds a Page and a DuePage, whatever the limit: it ends with the task with whose payload those on it have so many bytes.
const PageBytes = 4 << 20

// A Page is a part of what a Query selects, in the order of keys. A page may be shorter than the limit, and even empty, although
// there is more. Cursor is where the next one begins, and empty after the last. A dead run is a task with that run alone.
type Page struct {
	Tasks  []*Task
	Cursor string
}

// A HistoryQuery asks for entries of the history: those of one task if Key is set, in the order they were written, or the
// newest first.
type HistoryQuery struct {
	Key
	After  int64 // only entries of a greater Seq, to go on from the last that is known
	Before int64 // only entries of a lesser Seq, to go on backwards; 0 is no bound
	Newest bool
	Since  Instant
	Limit  int // 0 is 100
}

// Retention is what Trim keeps: entries of the history from HistoryFrom on, and of them at most MaxHistory, the newest; dead runs
// that died from DeadFrom on. What is not set keeps all.
type Retention struct {
	HistoryFrom Instant
	MaxHistory  int64
	DeadFrom    Instant
}

// Stats are counted along, not when they are asked for. While Counting is true they are not yet complete, because the store has
// been opened after a crash.
type Stats struct {
	Tasks, Paused, Running, Dead, History int64
	Counting                              bool
}
