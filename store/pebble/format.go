package pebble

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/dulyhq/duly/store"
)

// The kinds of keys: docs/format.md draws them.
const (
	keyHours   = 'c' // hour -> its first seq, how many entries
	keyDue     = 'd' // position, key -> the task
	keyHistory = 'h' // hour, seq -> an entry
	keyIndex   = 'i' // day, hash of key, seq -> nothing
	keyMeta    = 'm'
	keyPayload = 'p' // key -> a payload too large for the task
	keyLive    = 'r' // key -> what claims have changed of the task
	keyTask    = 't' // key -> position, generation
	keyDead    = 'x' // key, generation, instant -> when it died, the task with the dead run
)

const (
	formatVersion = 1
	valueVersion  = 1
	largePayload  = 2 << 10 // from here on a payload is kept apart, so that moving a task does not rewrite it
)

var (
	metaFormat = []byte{keyMeta, 'f'}
	metaState  = []byte{keyMeta, 's'}
	metaNote   = []byte{keyMeta, 'n'} // name -> a note
)

// appendKey appends namespace, a zero byte and name. No name has a byte below 0x20, so the order is that of Key.Compare.
func appendKey(b []byte, k store.Key) []byte {
	b = append(b, k.Namespace...)
	b = append(b, 0)
	return append(b, k.Name...)
}

func parseKey(b []byte) (k store.Key, ok bool) {
	for i, c := range b {
		if c == 0 {
			return store.Key{Namespace: string(b[:i]), Name: string(b[i+1:])}, true
		}
	}
	return k, false
}

// appendInstant appends an instant so that bytes order as instants do.
func appendInstant(b []byte, i store.Instant) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(i)^(1<<63))
}

func parseInstant(b []byte) store.Instant {
	return store.Instant(binary.BigEndian.Uint64(b) ^ (1 << 63))
}

func dueKey(b []byte, pos store.Instant, k store.Key) []byte {
	return appendKey(appendInstant(append(b, keyDue), pos), k)
}

func nameKey(b []byte, kind byte, k store.Key) []byte { return appendKey(append(b, kind), k) }

func deadKey(b []byte, id store.RunID) []byte {
	b = append(nameKey(b, keyDead, id.Key), 0)
	b = binary.BigEndian.AppendUint64(b, uint64(id.Generation))
	return appendInstant(b, id.For)
}

func parseDeadKey(b []byte) (id store.RunID, ok bool) {
	if len(b) < 1+1+17 || b[len(b)-17] != 0 {
		return id, false
	}
	tail := b[len(b)-16:]
	if id.Key, ok = parseKey(b[1 : len(b)-17]); !ok {
		return id, false
	}
	id.Generation = int64(binary.BigEndian.Uint64(tail))
	id.For = parseInstant(tail[8:])
	return id, true
}

func historyKey(b []byte, hour uint32, seq int64) []byte {
	b = binary.BigEndian.AppendUint32(append(b, keyHistory), hour)
	return binary.BigEndian.AppendUint64(b, uint64(seq))
}

func indexKey(b []byte, hour uint32, hash uint64, seq int64) []byte {
	b = binary.BigEndian.AppendUint32(append(b, keyIndex), hour/24)
	b = binary.BigEndian.AppendUint64(b, hash)
	return binary.BigEndian.AppendUint64(b, uint64(seq))
}

func noteKey(b []byte, name string) []byte { return append(append(b, metaNote...), name...) }

func hoursKey(b []byte, hour uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, keyHours), hour)
}

// hashKey is the FNV-1a hash of a key, of 64 bits, on disk and in the filter.
func hashKey(k store.Key) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := range len(k.Namespace) {
		h = (h ^ uint64(k.Namespace[i])) * prime
	}
	h *= prime // the zero byte
	for i := range len(k.Name) {
		h = (h ^ uint64(k.Name[i])) * prime
	}
	return h
}

var _ = fnv.New64a // hashKey is this function, without its allocation; a test compares them

// Flags of a task's value.
const (
	flagRecurring = 1 << iota
	flagEnded
	flagPaused
	flagLarge // the payload is under its own key
	flagMoved
)

func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTask encodes a task.
func appendTask(b []byte, t *store.Task, inline bool) []byte {
	var flags byte
	if t.Recurring {
		flags |= flagRecurring
	}
	if t.Ended {
		flags |= flagEnded
	}
	if t.Paused() {
		flags |= flagPaused
	}
	if t.Moved {
		flags |= flagMoved
	}
	large := !inline && len(t.Payload) >= largePayload
	if large {
		flags |= flagLarge
	}
	b = append(b, valueVersion, flags)
	b = binary.AppendVarint(b, t.Generation)
	b = binary.AppendVarint(b, int64(t.AcceptedAt))
	b = binary.AppendVarint(b, int64(t.FirstAt))
	if t.Paused() {
		b = binary.AppendVarint(b, int64(t.PausedAt))
		b = appendString(b, t.PausedWhy)
	}
	b = appendString(b, t.Kind)
	b = appendString(b, t.Schedule)
	b = appendString(b, t.Policy)
	b = appendString(b, t.LimitKey)
	b = binary.AppendVarint(b, int64(t.Priority))
	b = binary.AppendUvarint(b, uint64(len(t.Tags)))
	for _, tag := range t.Tags {
		b = appendString(b, tag)
	}
	if !large {
		b = appendString(b, t.Payload)
	}
	return appendLive(b, t)
}

// appendLive encodes what claiming and settling change of a task.
func appendLive(b []byte, t *store.Task) []byte {
	b = binary.AppendVarint(b, int64(t.Next.For))
	b = binary.AppendVarint(b, int64(t.Next.Due))
	b = binary.AppendVarint(b, int64(t.Last))
	b = binary.AppendVarint(b, t.Starts)
	b = binary.AppendUvarint(b, uint64(len(t.Runs)))
	for i := range t.Runs {
		b = appendRun(b, &t.Runs[i])
	}
	return b
}

// Flags of a run.
const (
	runFinal = 1 << iota
	runStop
	runExtra
)

// appendRun encodes a run, but for its lease: that ends with the process.
func appendRun(b []byte, r *store.Run) []byte {
	var flags byte
	if r.Final {
		flags |= runFinal
	}
	if r.Stop {
		flags |= runStop
	}
	if r.Extra {
		flags |= runExtra
	}
	b = append(b, byte(r.State), flags)
	for _, n := range [...]int64{
		r.Generation, int64(r.For), int64(r.Due), int64(r.Attempt), int64(r.Snoozed), int64(r.Lost),
		r.Fence, r.Missed, int64(r.BegunAt), int64(r.StartedAt),
	} {
		b = binary.AppendVarint(b, n)
	}
	b = appendString(b, r.Owner)
	return appendString(b, r.Reason)
}

// A decoder takes values apart. The first thing that is wrong stays in err, and everything after it is zero.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", store.ErrCorrupt, what)
	}
	d.b = nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail("value ends early")
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) int() int64 {
	n, w := binary.Varint(d.b)
	if w <= 0 {
		d.fail("bad number")
		return 0
	}
	d.b = d.b[w:]
	return n
}

func (d *decoder) uint() uint64 {
	n, w := binary.Uvarint(d.b)
	if w <= 0 {
		d.fail("bad number")
		return 0
	}
	d.b = d.b[w:]
	return n
}

func (d *decoder) instant() store.Instant { return store.Instant(d.int()) }

// bytes returns a part of the value, which is not the caller's to keep.
func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail("bad length")
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) string() string { return string(d.bytes()) }

func (d *decoder) clone() []byte {
	if s := d.bytes(); len(s) > 0 {
		return append([]byte(nil), s...)
	}
	return nil
}

func (d *decoder) version() {
	v := d.byte()
	if d.err == nil && v != valueVersion {
		d.fail(fmt.Sprintf("value of version %d, want %d", v, valueVersion))
	}
}

// task decodes a task; large says that its payload is kept apart.
func (d *decoder) task(t *store.Task) (large bool) {
	d.version()
	flags := d.flags(flagRecurring | flagEnded | flagPaused | flagLarge | flagMoved)
	t.Recurring, t.Ended, t.Moved = flags&flagRecurring != 0, flags&flagEnded != 0, flags&flagMoved != 0
	t.Generation, t.AcceptedAt, t.FirstAt = d.int(), d.instant(), d.instant()
	if flags&flagPaused != 0 {
		if t.PausedAt, t.PausedWhy = d.instant(), d.string(); t.PausedAt == 0 {
			d.fail("paused, but since when?")
		}
	}
	t.Kind, t.Schedule = d.string(), d.string()
	t.Policy, t.LimitKey, t.Priority = d.clone(), d.string(), int32(d.int())
	if n := d.uint(); n > store.MaxTags {
		d.fail("too many tags")
	} else if n > 0 {
		t.Tags = make([]string, n)
		for i := range t.Tags {
			t.Tags[i] = d.string()
		}
	}
	if large = flags&flagLarge != 0; !large {
		t.Payload = d.clone()
	}
	d.live(t)
	return large
}

func (d *decoder) live(t *store.Task) {
	t.Next.For, t.Next.Due = d.instant(), d.instant()
	t.Last, t.Starts = d.instant(), d.int()
	t.Runs = nil
	n := d.uint()
	if n > uint64(len(d.b)) { // each takes more than a byte
		d.fail("too many runs")
		return
	}
	for i := uint64(0); i < n && d.err == nil; i++ {
		var r store.Run
		d.run(&r)
		t.Runs = append(t.Runs, r)
	}
}

// flags returns a byte of flags.
func (d *decoder) flags(known byte) byte {
	f := d.byte()
	if f&^known != 0 {
		d.fail(fmt.Sprintf("unknown flags %#02x", f&^known))
	}
	return f
}

// appendOverlay encodes what claims have changed of a task, beside the task.
func appendOverlay(b []byte, t *store.Task) []byte {
	return appendLive(binary.AppendVarint(append(b, valueVersion), t.Generation), t)
}

// overlay decodes it into the task, and returns the generation that it belongs to.
func (d *decoder) overlay(t *store.Task) (generation int64) {
	d.version()
	generation = d.int()
	d.live(t)
	return generation
}

// appendDead encodes a task that has a dead run alone.
func appendDead(b []byte, died store.Instant, t *store.Task) []byte {
	return appendTask(binary.AppendVarint(append(b, valueVersion), int64(died)), t, true)
}

func decodeDead(k store.Key, v []byte) (died store.Instant, t *store.Task, err error) {
	d := decoder{b: v}
	d.version()
	died = d.instant()
	t = &store.Task{Key: k}
	if d.task(t) {
		d.fail("a dead run's payload is apart")
	}
	if len(t.Runs) != 1 {
		d.fail("not one dead run")
	}
	if err = d.end(); err != nil {
		return 0, nil, fmt.Errorf("dead run of task %q: %w", k.String(), err)
	}
	return died, t, nil
}

func appendHour(b []byte, h hour) []byte {
	return binary.AppendVarint(binary.AppendVarint(append(b, valueVersion), h.first), h.n)
}

func decodeHour(k, v []byte) (hour, error) {
	if len(k) != 5 {
		return hour{}, fmt.Errorf("%w: key %x of the history's hours", store.ErrCorrupt, k)
	}
	d := decoder{b: v}
	d.version()
	h := hour{hour: binary.BigEndian.Uint32(k[1:]), first: d.int(), n: d.int()}
	return h, d.end()
}

func (d *decoder) run(r *store.Run) {
	r.State = store.State(d.byte())
	flags := d.flags(runFinal | runStop | runExtra)
	r.Final, r.Stop, r.Extra = flags&runFinal != 0, flags&runStop != 0, flags&runExtra != 0
	r.Generation, r.For, r.Due = d.int(), d.instant(), d.instant()
	r.Attempt, r.Snoozed, r.Lost = int32(d.int()), int32(d.int()), int32(d.int())
	r.Fence, r.Missed = d.int(), d.int()
	r.BegunAt, r.StartedAt = d.instant(), d.instant()
	r.Owner, r.Reason = d.string(), d.string()
	if r.State == store.Running {
		r.Lease = store.Over
	}
}

// end says whether all was well, and nothing is left over.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.fail("value is too long")
	}
	return d.err
}

// appendEvent encodes an entry of the history.
func appendEvent(b []byte, e *store.Event) []byte {
	b = append(b, valueVersion, byte(e.Verb), byte(e.From), byte(e.To))
	b = binary.AppendVarint(b, int64(e.At))
	for _, n := range [...]int64{
		e.Generation, int64(e.For), int64(e.Due), int64(e.Attempt), e.Fence, int64(e.AcceptedAt), int64(e.StartedAt), e.Missed,
	} {
		b = binary.AppendVarint(b, n)
	}
	b = appendString(b, e.Namespace)
	b = appendString(b, e.Name)
	b = appendString(b, e.Kind)
	b = appendString(b, e.Owner)
	b = appendString(b, e.Reason)
	if e.Identity != (store.Identity{}) {
		b = append(b, e.Identity[:]...)
	}
	return b
}

func decodeEvent(b []byte, seq int64) (e store.Event, err error) {
	d := decoder{b: b}
	d.version()
	e.Seq = seq
	e.Verb, e.From, e.To = store.Verb(d.byte()), store.State(d.byte()), store.State(d.byte())
	e.At, e.Generation, e.For, e.Due = d.instant(), d.int(), d.instant(), d.instant()
	e.Attempt, e.Fence = int32(d.int()), d.int()
	e.AcceptedAt, e.StartedAt, e.Missed = d.instant(), d.instant(), d.int()
	e.Namespace, e.Name, e.Kind, e.Owner, e.Reason = d.string(), d.string(), d.string(), d.string(), d.string()
	if len(d.b) == len(e.Identity) {
		copy(e.Identity[:], d.b)
		d.b = nil
	}
	return e, d.end()
}

// state is what each batch writes of the store as a whole.
type state struct {
	batches  uint64 // how many there were, this one among them
	seq      int64  // the last generation or fence
	eventSeq int64
	hour     uint32        // of the newest entry of the history, which never goes back
	high     store.Instant // the latest that the clock has shown
	tasks    int64
	paused   int64
	dead     int64
	history  int64
}

func (s *state) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, valueVersion), s.batches)
	for _, n := range [...]int64{s.seq, s.eventSeq, int64(s.hour), int64(s.high), s.tasks, s.paused, s.dead, s.history} {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func (s *state) decode(b []byte) error {
	d := decoder{b: b}
	d.version()
	s.batches = d.uint()
	s.seq, s.eventSeq, s.hour, s.high = d.int(), d.int(), uint32(d.int()), d.instant()
	s.tasks, s.paused, s.dead, s.history = d.int(), d.int(), d.int(), d.int()
	return d.end()
}
