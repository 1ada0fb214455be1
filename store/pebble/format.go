package pebble

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
)

// The kinds of keys: docs/format.md draws them, and the values, which package record makes as far as they are not only this store's.
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

// decodeDead takes the value of a dead run's key apart, but for when it died.
func decodeDead(k store.Key, v []byte) (*store.Task, error) {
	d := record.NewDecoder(v)
	t := &store.Task{Key: k}
	d.Dead(t)
	if err := d.End(); err != nil {
		return nil, fmt.Errorf("dead run of task %q: %w", k.String(), err)
	}
	return t, nil
}

// decodeEvent takes the value of an entry of the history apart.
func decodeEvent(v []byte, seq int64) (e store.Event, err error) {
	d := record.NewDecoder(v)
	e.Seq = seq
	d.Event(&e)
	return e, d.End()
}

func appendHour(b []byte, h hour) []byte {
	return binary.AppendVarint(binary.AppendVarint(append(b, record.Version), h.first), h.n)
}

func decodeHour(k, v []byte) (hour, error) {
	if len(k) != 5 {
		return hour{}, fmt.Errorf("%w: key %x of the history's hours", store.ErrCorrupt, k)
	}
	d := record.NewDecoder(v)
	d.Version()
	h := hour{hour: binary.BigEndian.Uint32(k[1:]), first: d.Int(), n: d.Int()}
	return h, d.End()
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
	b = binary.AppendUvarint(append(b, record.Version), s.batches)
	for _, n := range [...]int64{s.seq, s.eventSeq, int64(s.hour), int64(s.high), s.tasks, s.paused, s.dead, s.history} {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func (s *state) decode(b []byte) error {
	d := record.NewDecoder(b)
	d.Version()
	s.batches = d.Uint()
	s.seq, s.eventSeq, s.hour, s.high = d.Int(), d.Int(), uint32(d.Int()), d.Instant()
	s.tasks, s.paused, s.dead, s.history = d.Int(), d.Int(), d.Int(), d.Int()
	return d.End()
}
