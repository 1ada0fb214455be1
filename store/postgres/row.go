package postgres

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
)

// appendTask encodes a task as it stands in the column body: without its payload, and with the leases behind it.
func appendTask(b []byte, t *store.Task) []byte {
	b = record.AppendTask(b, t, false)
	for i := range t.Runs {
		if r := &t.Runs[i]; r.State == store.Running {
			b = binary.AppendVarint(b, int64(r.Lease))
		}
	}
	return b
}

// A held row is one that this process has written last, because it has claimed and is to settle or to renew: it need not be read, because what is
// written says what it has to be. Where it is another by now, it is read.
type held struct {
	mu   sync.Mutex
	age  int64 // of the server that the rows were written to, as serverAge has it
	rows map[store.Key]heldRow
}

type heldRow struct {
	ctid, xmin string
	t          *store.Task
}

const (
	mostHeld     = 4096
	mostHeldSize = 8 << 10 // bytes of a task
)

// keep notes rows that have attempts, as a batch has written them to a server of an age.
func (h *held) keep(cells []*cell, places string, age int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.age != age {
		h.age = age
		clear(h.rows)
	}
	for _, c := range cells {
		var place string
		place, places, _ = strings.Cut(places, " ")
		if c.now.Running() == 0 || sizeOf(c.now) > mostHeldSize {
			continue
		}
		for k := range h.rows {
			if len(h.rows) < mostHeld {
				break
			}
			delete(h.rows, k) // any: it may be one that somebody else has settled
		}
		t := *c.now
		t.Runs, t.Payload = slices.Clone(t.Runs), bytes.Clone(t.Payload) // others have them too
		n := strings.IndexByte(place, ')') + 1
		h.rows[c.key] = heldRow{place[:n], place[n:], &t}
	}
}

// sizeOf is about how many bytes a task takes beside its names and tags, which are few.
func sizeOf(t *store.Task) int {
	const one = 200
	n := len(t.Payload) + len(t.Policy) + len(t.Schedule) + len(t.PausedWhy)
	for i := range t.Runs {
		n += one + len(t.Runs[i].Owner) + len(t.Runs[i].Reason)
	}
	return n
}

// take gives the cells of a batch their rows, which it forgets, and says whether all were known, and to a server of which age they were
// written.
func (h *held) take(cells []*cell) (age int64, all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all = true
	for _, c := range cells {
		x, known := h.rows[c.key]
		delete(h.rows, c.key)
		c.ctid, c.xmin, c.old, c.now = x.ctid, x.xmin, x.t, x.t
		all = all && known
	}
	return h.age, all
}

// decode takes a task out of its columns. The generation of one that is not dead is in a column of its own.
func (s *Store) decode(k store.Key, body, payload []byte) (*store.Task, error) {
	t := &store.Task{Key: k}
	d := record.NewDecoder(body)
	d.Task(t)
	for i := range t.Runs {
		if r := &t.Runs[i]; r.State == store.Running {
			if r.Lease = d.Instant(); s.gone(r.Owner, r.StartedAt) {
				r.Lease = store.Over
			}
		}
	}
	if err := d.End(); err != nil {
		return nil, fmt.Errorf("task %q: %w", k.String(), err)
	}
	if len(payload) > 0 {
		t.Payload = payload
	}
	return t, nil
}

// tagsOf are the tags as one text, which is taken apart by the statement: no tag has a control character.
func tagsOf(t *store.Task) string { return strings.Join(t.Tags, "\x1f") }

// attemptOf is the highest number of an attempt among a task's runs.
func attemptOf(t *store.Task) (n int32) {
	for i := range t.Runs {
		n = max(n, t.Runs[i].Attempt)
	}
	return n
}

// same says whether two slices are one, so that nothing has to be written.
func same(a, b []byte) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// hashOf is the FNV-1a hash of a key, of 64 bits, by which the history is found: http://www.isthe.com/chongo/tech/comp/fnv/.
func hashOf(k store.Key) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(k.Namespace)) // hash.Hash never returns an error
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(k.Name))
	return int64(h.Sum64())
}

// parseNumbers reads numbers with commas between them.
func parseNumbers(to []int64, s string) ([]int64, error) {
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("numbers drawn: %w", err)
		}
		to = append(to, n)
	}
	return to, nil
}
