package pebble

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

// The file MARK says how many batches are known to be synced. The database can't tell a log that ends early because the power went
// from one that is damaged, and takes either for its end without a word; a store whose counters have less than the mark says has
// lost something. It is written in place, two lines in turn, so that one of them is whole whatever happens.
const (
	markFile  = "MARK"
	markLine  = 30          // bytes: twenty digits, a space, the checksum in eight, a newline
	markEvery = time.Second // how long the mark may lag behind; what a store writes within it is not protected
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendMark(n uint64) string {
	digits := fmt.Sprintf("%020d", n)
	return fmt.Sprintf("%s %08x\n", digits, crc32.Checksum([]byte(digits), castagnoli))
}

// parseMark returns the greatest number of the lines that are whole, 0 if none is, and which line is to be written next.
func parseMark(text string) (n uint64, next int64) {
	for i := int64(0); len(text) >= markLine && i < 2; i++ {
		line := text[:markLine]
		text = text[markLine:]
		if got, err := strconv.ParseUint(line[:20], 10, 64); err == nil && line == appendMark(got) && got >= n {
			n, next = got, 1-i
		}
	}
	return n, next
}

// readMark returns how many batches must be there.
func (s *Store) readMark() (uint64, error) {
	text, err := s.get(markFile)
	if err != nil && !missing(err) {
		return 0, err
	}
	n, _ := parseMark(string(text))
	return max(n, s.durable.Load()), nil
}

// writeMark notes that n batches are synced.
func (s *Store) writeMark(n uint64) (err error) {
	fs, path := s.o.FS, s.o.FS.PathJoin(s.dir, markFile)
	text, err := s.get(markFile)
	if missing(err) {
		return s.put(markFile, appendMark(n)+appendMark(n))
	}
	if err != nil {
		return err
	}
	was, next := parseMark(string(text))
	if was == n {
		return nil
	}
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err = f.WriteAt([]byte(appendMark(n)), next*markLine); err != nil {
		return err
	}
	return f.Sync()
}

// durable notes that n batches are synced: for the mark, that is written later, and for whoever opens the directory anew.
func (c *core) durable(n uint64) {
	c.s.durable.Store(n)
	select {
	case c.moved <- struct{}{}:
	default:
	}
}

// keepMark writes the mark, some time after it has moved. Where that fails it is tried again when it moves again: the store is as
// good without it, only less of its damage is noticed.
func (c *core) keepMark(ctx context.Context) {
	for {
		select {
		case <-c.moved:
		case <-ctx.Done():
			return
		}
		if wait.Sleep(ctx, markEvery) != nil {
			return
		}
		_ = c.s.writeMark(c.s.durable.Load())
	}
}

// checkMark compares the number of batches that were found with what the mark demands.
func (c *core) checkMark() error {
	if c.st.batches >= c.marked {
		return nil
	}
	return fmt.Errorf("%w: of %d batches that were synced %d are there, the newest are lost or damaged; restore a backup, or remove %s to go on without them",
		store.ErrCorrupt, c.marked, c.st.batches, c.s.o.FS.PathJoin(c.s.dir, markFile))
}

// whole finds out whether the database of a directory is there, before it takes what is left for nothing and begins anew.
func (s *Store) whole(marked uint64) error {
	fs := s.o.FS
	names, err := fs.List(s.dir)
	if err != nil {
		return blame(err)
	}
	desc, err := pdb.Peek(s.dir, fs)
	if err != nil {
		if system(err) {
			return blame(err)
		}
		return fmt.Errorf("%w: use the version of duly that wrote it, or a newer one: %w", store.ErrFormat, err)
	}
	if desc.Exists {
		return nil
	}
	for _, name := range names {
		if marked > 0 || strings.HasSuffix(name, ".log") || strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob") {
			return fmt.Errorf("%w: the file marker.manifest.* is gone, which says which manifest counts; restore a backup", store.ErrCorrupt)
		}
	}
	if s.o.ReadOnly {
		return fmt.Errorf("%w: it holds no store", store.ErrFormat)
	}
	return nil
}

// foreign says whether a directory holds a database, but none of a store. It changes nothing.
func (s *Store) foreign() (err error) {
	fs := s.o.FS
	for _, name := range []string{ownerFile, copyFile, markFile} {
		if _, err := fs.Stat(fs.PathJoin(s.dir, name)); err == nil {
			return nil
		}
	}
	desc, err := pdb.Peek(s.dir, fs)
	if err != nil || !desc.Exists {
		return nil // who opens it says what is wrong
	}
	c := s.newCore(0)
	o := s.options(c)
	o.ReadOnly = true
	db, err := pdb.Open(s.dir, o)
	if err == nil {
		defer func() { err = errors.Join(err, db.Close()) }()
		var closer io.Closer
		if _, closer, err = db.Get(metaFormat); err == nil {
			return closer.Close()
		}
	}
	if system(err) {
		return blame(err)
	}
	return fmt.Errorf("%w: it holds a database, but not a store's: %w", store.ErrFormat, err)
}
