package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/internal/record"
	"github.com/dulyhq/duly/wait"
)

// Files of the directory beside the database's own.
const (
	lockFile  = "LOCK"  // what whoever has it open has locked
	ownerFile = "OWNER" // the process that has, or had, it open
	sealFile  = "SEAL"  // what the directory held when it was closed
	copyFile  = "COPY"  // it is a backup that was never opened
	tmpSuffix = ".tmp"  // of one of these that is being written
)

// Open opens the store in a directory, which is made if it does not exist. It takes what it takes to read the log of the last few
// writes, whatever is pending.
//
// The error is ErrLocked if another process has it open, ErrFormat if it was written by a newer version or is not a store,
// ErrCorrupt if it is damaged, ErrReadOnly or ErrNoSpace if it can't be written to, ErrInvalid for a bad option.
//
// With Options.ReadOnly the directory has to be there, as it was closed, as kill -9 has left it, or as a backup; it is read as it is, and
// stays so to the byte. Nobody else can open it meanwhile.
func Open(dir string, o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if dir == "" {
		return nil, &store.Error{Op: "open", Field: "dir", Value: `""`, Want: "a directory", Err: store.ErrInvalid}
	}
	s := &Store{dir: dir, o: o}
	s.life, s.kill = context.WithCancel(context.Background())
	acquire := s.acquire
	if o.ReadOnly {
		acquire = s.acquireAsIs
	}
	if err := acquire(); err != nil {
		if errors.Is(err, store.ErrInvalid) {
			return nil, err
		}
		return nil, &store.Error{Op: "open", Err: fmt.Errorf("%s: %w", dir, err)}
	}
	c, err := s.open(nil)
	if err != nil {
		err = errors.Join(err, s.lock.Close())
		return nil, &store.Error{Op: "open", Err: fmt.Errorf("%s: %w", dir, err)}
	}
	s.install(c)
	return s, nil
}

// install makes a core the store's, which may have failed already. It does not if the store is closed.
func (s *Store) install(c *core) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return false
	}
	s.core, s.broken = c, nil
	s.mu.Unlock()
	if c.failed() != nil {
		s.heal(c)
	}
	return true
}

// acquire makes the directory and takes its lock.
func (s *Store) acquire() error {
	fs := s.o.FS
	if err := makeDir(fs, s.dir); err != nil {
		info, serr := fs.Stat(s.dir)
		if serr == nil && !info.IsDir() || errors.Is(err, syscall.ENOTDIR) {
			return &store.Error{Op: "open", Field: "dir", Value: s.dir, Want: "a directory, not a file", Err: store.ErrInvalid}
		}
		return blame(err)
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	err := s.foreign()
	if err == nil {
		err = blameIf(s.put(ownerFile, thisProcess()))
	}
	if err != nil {
		return errors.Join(err, s.lock.Close())
	}
	return nil
}

// acquireAsIs takes the lock of a directory that is only read. Where there is no file to lock, as in a backup, nobody has it open; where
// nothing can be written, nobody can.
func (s *Store) acquireAsIs() error {
	fs := s.o.FS
	info, err := fs.Stat(s.dir)
	switch {
	case missing(err), err == nil && !info.IsDir():
		return &store.Error{Op: "open", Field: "dir", Value: s.dir, Want: "a directory that holds a store", Err: store.ErrInvalid}
	case err != nil:
		return blame(err)
	}
	s.lock = io.NopCloser(nil)
	if _, err := fs.Stat(fs.PathJoin(s.dir, lockFile)); err == nil {
		if err := s.takeLock(); err != nil && !errors.Is(err, syscall.EROFS) {
			return err
		}
	} else if !missing(err) {
		return blame(err)
	}
	if err := s.foreign(); err != nil {
		return errors.Join(err, s.lock.Close())
	}
	return nil
}

// takeLock takes the lock of the directory, or says who has it.
func (s *Store) takeLock() error {
	lock, err := pdb.LockDirectory(s.dir, s.o.FS)
	if err == nil {
		s.lock = lock
		return nil
	}
	if readOnly(err) || full(err) || trouble(err) {
		return blame(err)
	}
	if _, serr := s.o.FS.Stat(s.o.FS.PathJoin(s.dir, lockFile)); serr != nil {
		return blame(err)
	}
	who := s.owner()
	if strings.Contains(err.Error(), "current process") {
		who = "this process"
	}
	return fmt.Errorf("%w (%s); close it there, or use another directory: %w", store.ErrLocked, who, err)
}

// makeDir makes a directory and those above it, so that power loss does not take them away again.
func makeDir(fs vfs.FS, dir string) error {
	var grown []string // directories that get a new entry, or may have got one lately
	for at := dir; ; {
		up := fs.PathDir(at)
		grown = append(grown, up)
		if _, err := fs.Stat(up); err == nil || up == at {
			break
		}
		at = up
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, d := range grown {
		if err := syncDir(fs, d); err != nil {
			return err
		}
	}
	return nil
}

// thisProcess is what OWNER holds: in containers a number alone says little.
func thisProcess() string {
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	return strconv.Itoa(os.Getpid()) + " on " + host + "\n"
}

// owner says who has the directory open.
func (s *Store) owner() string {
	b, err := s.get(ownerFile)
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return "process " + pid
	}
	return "process unknown"
}

// put writes a small file and syncs it. After a crash it is there whole, or as it was before.
func (s *Store) put(name, text string) (err error) {
	fs := s.o.FS
	tmp := fs.PathJoin(s.dir, name+tmpSuffix)
	f, err := fs.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fs.Rename(tmp, fs.PathJoin(s.dir, name))
	}
	if err == nil {
		err = syncDir(fs, s.dir)
	}
	return err
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

func (s *Store) get(name string) ([]byte, error) {
	f, err := s.o.FS.Open(s.o.FS.PathJoin(s.dir, name))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return b, err
}

// drop removes a small file, for good.
func (s *Store) drop(name string) error {
	if err := s.o.FS.Remove(s.o.FS.PathJoin(s.dir, name)); err != nil {
		return err
	}
	return syncDir(s.o.FS, s.dir)
}

// memTableSize is in bytes. A larger one makes opening after a kill longer. Tests make it smaller.
var memTableSize uint64 = 16 << 20

func (s *Store) options(c *core) *pdb.Options {
	o := &pdb.Options{
		FS:                          c.fuse,
		CacheSize:                   s.o.CacheSize + 2*int64(memTableSize), // it counts the tables in memory: that which is written to, and that which is flushed
		MemTableSize:                memTableSize,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       8,
		L0StopWritesThreshold:       1000,
		LBaseMaxBytes:               64 << 20,
		FormatMajorVersion:          pdb.FormatTableFormatV6,
		DisableWAL:                  s.o.Durability == Memory,
		ReadOnly:                    s.o.ReadOnly,
		Logger:                      logger{c},
		EventListener:               c.listener(),
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// open opens the database and reads what has to be known of it. Leases holds the ends of leases of this process's own attempts.
func (s *Store) open(leases map[store.Key]entry) (_ *core, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
	}()
	if err := s.checkSeal(); err != nil {
		return nil, err
	}
	marked, err := s.readMark()
	if err != nil {
		return nil, blame(err)
	}
	if err := s.whole(marked); err != nil {
		return nil, err
	}
	c := s.newCore(marked)
	if c.db, err = pdb.Open(s.dir, s.options(c)); err != nil {
		return nil, blameOpen(err)
	}
	if err = c.failed(); err == nil {
		err = c.load(leases)
	}
	if ferr := c.failed(); ferr != nil { // then what load was told is not true
		err = ferr
	}
	if err != nil {
		return nil, errors.Join(blame(err), c.closeDB())
	}
	c.start()
	return c, nil
}

func (s *Store) newCore(marked uint64) *core {
	c := &core{
		s: s, marked: marked, moved: make(chan struct{}, 1), stop: make(chan struct{}), syncs: make(chan *group, 1), done: make(chan struct{}),
		hot: map[store.Key]entry{}, scans: map[*scan]struct{}{}, floor: store.Over, broken: make(chan struct{}), since: s.clock().Mono,
	}
	c.fuse = newFuse(s.o.FS, s.dir, c.fail)
	c.wake = sync.NewCond(&c.qmu)
	return c
}

func (c *core) start() {
	w := &c.helpers
	f := newFilter(2 * max(c.st.tasks, 1<<15))
	c.filling.Store(f)
	w.Go(func() {
		defer c.filling.Store(nil)
		if err := c.fill(f); err == nil {
			c.filter.Store(f)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	w.Go(func() { <-c.stop; cancel() })
	if !c.s.o.ReadOnly {
		w.Go(func() { c.keepMark(ctx) })
	}
	if c.s.o.Durability == Interval && !c.s.o.ReadOnly {
		w.Go(func() { c.tick(ctx) })
	}
	go c.commit()
	go c.sync()
}

// tick syncs what is not, again and again.
func (c *core) tick(ctx context.Context) {
	var last uint64
	for wait.Sleep(ctx, c.s.o.Interval) == nil {
		n := c.published()
		if n == last {
			continue
		}
		last = n
		if err := c.db.LogData(nil, pdb.Sync); err != nil {
			_ = c.fail(err) // it returns why the core has failed
			return
		}
		if c.failed() != nil {
			return // what was told of the sync may not be true
		}
		c.durable(n)
	}
}

// load reads the format, the counters, the table of hours and the attempts that were under way.
func (c *core) load(leases map[store.Key]entry) error {
	if err := c.loadState(); err != nil {
		return err
	}
	err := each(c.db, kindOf(keyHours), false, func(it *pdb.Iterator) (bool, error) {
		h, err := decodeHour(it.Key(), it.Value())
		c.hours = append(c.hours, h)
		return true, err
	})
	if err != nil {
		return err
	}
	return each(c.db, kindOf(keyLive), false, func(it *pdb.Iterator) (bool, error) {
		key, ok := parseKey(it.Key()[1:])
		if !ok {
			return false, store.ErrCorrupt
		}
		e, err := read(c.db, key)
		if err != nil {
			return false, err
		}
		if e.t == nil {
			return false, fmt.Errorf("%w: attempts of task %q, which is not there", store.ErrCorrupt, key.String())
		}
		d := record.NewDecoder(it.Value())
		if gen := d.Overlay(e.t); gen != e.t.Generation {
			d.Fail(fmt.Sprintf("attempts of generation %d of task %q, which is of %d", gen, key.String(), e.t.Generation))
		}
		e.overlay = true
		for i := range e.t.Runs {
			r := &e.t.Runs[i]
			if old, ok := leases[key]; ok && r.State == store.Running {
				if was := old.t.Run(r.Generation, r.For); was != nil && was.Fence == r.Fence {
					r.Lease = was.Lease
				}
			}
		}
		c.keep(key, e)
		c.running += int64(e.t.Running())
		return true, d.End()
	})
}

func (c *core) loadState() error {
	found, err := fetch(c.db, metaFormat, func(v []byte) error {
		got := uint32(0)
		if len(v) == 4 {
			got = binary.BigEndian.Uint32(v)
		}
		if got != formatVersion {
			return fmt.Errorf("%w: format %d, want %d: use the version of duly that wrote it, or a newer one", store.ErrFormat, got, formatVersion)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !found {
		if err := c.checkMark(); err != nil {
			return err
		}
		if c.s.o.ReadOnly {
			return fmt.Errorf("%w: it holds a database in which nothing was ever written", store.ErrFormat)
		}
		return c.format()
	}
	if found, err = fetch(c.db, metaState, c.st.decode); err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("%w: the counters are gone", store.ErrCorrupt)
	}
	if err := c.checkMark(); err != nil {
		return err
	}
	switch _, err := c.s.o.FS.Stat(c.s.o.FS.PathJoin(c.s.dir, copyFile)); {
	case err == nil && c.s.o.ReadOnly: // no number is given out
	case err == nil:
		if err := c.leap(); err != nil {
			return err
		}
	case !errors.Is(err, os.ErrNotExist):
		return blame(err)
	}
	c.stats, c.handed, c.synced = c.st, c.st.batches, c.st.batches
	return nil
}

// leap is for a backup that is opened: what was given out after it was taken must not be given out again, neither by the store that
// it is of nor by another that was restored from it. The seconds of the clock times 2^21 are more than either can have reached by
// now, and for eighty years fit into what a float64 holds exactly.
func (c *core) leap() error {
	c.st.seq = max(c.st.seq+1<<40, int64(c.s.clock().Now)/1e6<<21)
	opt := pdb.Sync
	if c.s.o.Durability == Memory {
		opt = pdb.NoSync // there is no log to sync
	}
	err := c.db.Set(metaState, c.st.append(nil), opt)
	if err == nil && opt == pdb.NoSync {
		err = c.db.Flush()
	}
	if err != nil {
		return blame(err)
	}
	return blameIf(c.s.drop(copyFile))
}

func blameIf(err error) error {
	if err == nil {
		return nil
	}
	return blame(err)
}

// format makes an empty database a store.
func (c *core) format() error {
	err := each(c.db, nil, false, func(*pdb.Iterator) (bool, error) {
		return false, fmt.Errorf("%w: it holds data, but none of a store's", store.ErrFormat)
	})
	if err != nil {
		return err
	}
	b := c.db.NewBatch()
	_ = b.Set(metaFormat, binary.BigEndian.AppendUint32(nil, formatVersion), nil) // not applied yet: refuses nothing
	_ = b.Set(metaState, c.st.append(nil), nil)
	opt := pdb.Sync
	if c.s.o.Durability == Memory {
		opt = pdb.NoSync
	}
	return blameIf(b.Commit(opt))
}
