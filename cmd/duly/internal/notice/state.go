package notice

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// MostLimit is the greatest Limit: what was told is kept in a note, which has 4 KiB.
const MostLimit = 50

// A state is what is kept in the store's note, whole: each that ever was there says of every entry of the history up to After that it has
// been told, or where it is counted. So an older one that is written over a newer one, by a daemon that stood still, tells twice and loses
// nothing.
type state struct {
	By     string `json:"by,omitempty"`   // of several daemons the one that tells
	Beat   int64  `json:"beat,omitempty"` // when it was last heard of, in seconds
	After  int64  `json:"after"`
	Told   marks  `json:"told,omitempty"`
	Held   tally  `json:"held,omitzero"`
	Sealed *tally `json:"sealed,omitempty"` // a summary that is being told: it stays as it is until it has been
	Summed int64  `json:"summed,omitempty"` // when the last one was told, in seconds
}

// A tally counts what is held back.
type tally struct {
	Dead    int64    `json:"dead,omitempty"`
	Expired int64    `json:"expired,omitempty"`
	Late    int64    `json:"late,omitempty"`
	First   int64    `json:"first,omitempty"` // its entries of the history
	Last    int64    `json:"last,omitempty"`
	Since   int64    `json:"since,omitempty"` // in microseconds
	Until   int64    `json:"until,omitempty"`
	Names   []string `json:"names,omitempty"`
}

// The names of a tally, of which there are two in a note, have no more than so many bytes, each of which is two in JSON at worst.
const (
	mostNames = 8
	namesSize = 384
)

func (h *tally) count() int64 { return h.Dead + h.Expired + h.Late }

// add counts one more.
func (h *tally) add(n *Notice, seq int64) {
	at := n.At.UnixMicro()
	if h.count() == 0 {
		h.First, h.Since = seq, at
	}
	h.Last, h.Since, h.Until = seq, min(h.Since, at), max(h.Until, at)
	switch n.What {
	case Dead:
		h.Dead++
	case Expired:
		h.Expired++
	case Late:
		h.Late++
	}
	name := shortName(n.Namespace, n.Name)
	size := len(name)
	for _, has := range h.Names {
		size += len(has)
	}
	if len(h.Names) < mostNames && size <= namesSize && !slices.Contains(h.Names, name) {
		h.Names = append(h.Names, name)
	}
}

// A mark is one notice that was told: of which task and with which id, as hashes, and when, in seconds.
type mark struct {
	task uint64
	id   uint32
	at   int64
}

// marks are what was told in the last Interval, and so no more than the Limit.
type marks []mark

const markSize = 8 + 4 + 4

// MarshalText writes them short.
func (m marks) MarshalText() ([]byte, error) {
	b := make([]byte, 0, len(m)*markSize)
	for _, x := range m {
		b = binary.BigEndian.AppendUint64(b, x.task)
		b = binary.BigEndian.AppendUint32(b, x.id)
		b = binary.BigEndian.AppendUint32(b, uint32(x.at)) // in seconds since 1970, until the year 2106
	}
	return base64.RawStdEncoding.AppendEncode(nil, b), nil
}

// UnmarshalText reads what MarshalText has written.
func (m *marks) UnmarshalText(text []byte) error {
	b, err := base64.RawStdEncoding.DecodeString(string(text))
	if err != nil || len(b)%markSize != 0 || len(b) > MostLimit*markSize {
		return fmt.Errorf("want up to %d marks of %d bytes, in base64", MostLimit, markSize)
	}
	for ; len(b) > 0; b = b[markSize:] {
		*m = append(*m, mark{binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), int64(binary.BigEndian.Uint32(b[12:]))})
	}
	return nil
}

func hash64(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = h.Write([]byte(p)) // it never fails
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64()
}

func markOf(n *Notice, now time.Time) mark {
	return mark{hash64(n.Namespace, n.Name), uint32(hash64(n.ID)), now.Unix()}
}

// A verdict is what becomes of something that there is to tell.
type verdict int

const (
	tell  verdict = iota
	hold          // it is too much
	again         // it has been told
)

// forget forgets what was told longer ago than an interval, and also what was told in a time to come: the clock was set back.
func (s *state) forget(now time.Time, interval time.Duration) {
	at := now.Unix()
	s.Told = slices.DeleteFunc(s.Told, func(x mark) bool {
		return x.at > at || time.Duration(at-x.at)*time.Second >= interval
	})
}

// judge says what becomes of a notice. It forgets what is no longer to be counted.
func (s *state) judge(n *Notice, now time.Time, interval time.Duration, limit int) verdict {
	s.forget(now, interval)
	m := markOf(n, now)
	for _, x := range s.Told {
		if x.task == m.task && x.id == m.id {
			return again
		}
	}
	if len(s.Told) >= limit || slices.ContainsFunc(s.Told, func(x mark) bool { return x.task == m.task }) {
		return hold
	}
	return tell
}

// text is the state as it is kept.
func (s *state) text() string {
	b, err := json.Marshal(s)
	if err != nil { // it has nothing in it that could fail
		panic(err)
	}
	return string(b)
}

// readState reads a note; "" is none.
func readState(text string) (s state, err error) {
	if text == "" {
		return s, nil
	}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return state{}, fmt.Errorf("the note is none of this program's: %w", err)
	}
	if s.After < 0 || s.Held.count() < 0 || len(s.Held.Names) > mostNames || s.Sealed != nil && len(s.Sealed.Names) > mostNames {
		return state{}, errors.New("the note is none of this program's")
	}
	return s, nil
}
