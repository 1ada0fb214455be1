package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// bolt keeps a bucket of tasks by name and one of instants, and appends the history to a third, without the index by name that ours
// has. Calls that wait share a transaction, by DB.Batch.
type bolt struct {
	db  *bbolt.DB
	gen int64 // under the database's lock for writers
	pos []byte
}

var (
	boltName    = []byte("name")
	boltDue     = []byte("due")
	boltHistory = []byte("history")
)

func openBolt(dir string, o openOptions) (engine, error) {
	// As its largest user has it: no list of free pages in the file, and a map of memory that need not grow step by step.
	db, err := bbolt.Open(filepath.Join(dir, "bolt.db"), 0o600, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, InitialMmapSize: 4 << 30,
	})
	if err != nil {
		return nil, err
	}
	// All callers come back at once after a commit, so the batch is whole without waiting.
	db.MaxBatchSize, db.MaxBatchDelay = max(o.callers, 1), time.Millisecond
	b := &bolt{db: db}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{boltName, boltDue, boltHistory} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		b.gen = int64(tx.Bucket(boltHistory).Sequence()) + 1<<40
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// A record is due, generation, state, fence, then kind, schedule and payload.
const (
	boltPending byte = 1
	boltRunning byte = 2
	boltHead         = 8 + 8 + 1 + 8
)

func boltRecord(due, gen int64, state byte, fence int64, tail []byte) []byte {
	v := make([]byte, 0, boltHead+len(tail))
	v = binary.BigEndian.AppendUint64(v, uint64(due))
	v = binary.BigEndian.AppendUint64(v, uint64(gen))
	v = append(v, state)
	v = binary.BigEndian.AppendUint64(v, uint64(fence))
	return append(v, tail...)
}

func boltDueKey(due int64, name []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(name)), uint64(due)), name...)
}

func (b *bolt) put(items []item) error {
	return b.db.Batch(func(tx *bbolt.Tx) error {
		names, dues := tx.Bucket(boltName), tx.Bucket(boltDue)
		for _, x := range items {
			name := []byte(x.name)
			if old := names.Get(name); old != nil {
				if err := dues.Delete(boltDueKey(int64(binary.BigEndian.Uint64(old)), name)); err != nil {
					return err
				}
			}
			b.gen++
			tail := append([]byte(itemKind+itemSchedule), x.payload...)
			if err := names.Put(name, boltRecord(x.due, b.gen, boltPending, 0, tail)); err != nil {
				return err
			}
			if err := dues.Put(boltDueKey(x.due, name), nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bolt) due(until int64, limit int) (refs []ref, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		names, c := tx.Bucket(boltName), tx.Bucket(boltDue).Cursor()
		k, _ := c.Seek(b.pos)
		if k != nil && bytes.Equal(k, b.pos) {
			k, _ = c.Next()
		}
		for ; k != nil && len(refs) < limit; k, _ = c.Next() {
			if int64(binary.BigEndian.Uint64(k)) > until {
				break
			}
			v := names.Get(k[8:])
			if len(v) < boltHead {
				return fmt.Errorf("no task %q", k[8:])
			}
			b.pos = append(b.pos[:0], k...)
			if v[16] == boltPending {
				refs = append(refs, ref{
					name: string(k[8:]), at: int64(binary.BigEndian.Uint64(k)), gen: int64(binary.BigEndian.Uint64(v[8:])),
					payload: bytes.Clone(v[boltHead+len(itemKind+itemSchedule):]),
				})
			}
		}
		return nil
	})
	if len(refs) == 0 {
		b.pos = nil
	}
	return refs, err
}

func (b *bolt) claim(refs []ref) error {
	return b.db.Batch(func(tx *bbolt.Tx) error {
		names := tx.Bucket(boltName)
		for i := range refs {
			r := &refs[i]
			v := names.Get([]byte(r.name))
			if len(v) < boltHead || v[16] != boltPending || int64(binary.BigEndian.Uint64(v[8:])) != r.gen {
				return fmt.Errorf("claim %s: gone, replaced or taken", r.name)
			}
			b.gen++
			r.fence = b.gen
			if err := names.Put([]byte(r.name), boltRecord(r.at, r.gen, boltRunning, r.fence, v[boltHead:])); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bolt) settle(refs []ref) error {
	return b.db.Batch(func(tx *bbolt.Tx) error {
		names, dues, history := tx.Bucket(boltName), tx.Bucket(boltDue), tx.Bucket(boltHistory)
		history.FillPercent = 1 // it is only appended to
		for i := range refs {
			name := []byte(refs[i].name)
			v := names.Get(name)
			if len(v) < boltHead || v[16] != boltRunning || int64(binary.BigEndian.Uint64(v[17:])) != refs[i].fence {
				return fmt.Errorf("settle %s: fenced", refs[i].name)
			}
			seq, err := history.NextSequence()
			if err != nil {
				return err
			}
			entry := boltRecord(refs[i].at, refs[i].gen, 3, refs[i].fence, append(name, itemKind...))
			if err := history.Put(binary.BigEndian.AppendUint64(nil, seq), entry); err != nil {
				return err
			}
			if err := names.Delete(name); err != nil {
				return err
			}
			if err := dues.Delete(boltDueKey(refs[i].at, name)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *bolt) pending() (n int, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		n = tx.Bucket(boltName).Stats().KeyN
		return nil
	})
	return n, err
}

func (b *bolt) close() error { return b.db.Close() }
