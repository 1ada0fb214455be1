package pebble

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/wait"
)

// Close implements store.Store. What was handed in is written and answered. The directory is sealed, so that damage done to it until
// it is opened again is noticed.
func (s *Store) Close() error {
	s.closing.Do(func() { s.last = s.close() })
	return s.last
}

func (s *Store) close() error {
	s.mu.Lock()
	s.closed = true
	c := s.core
	s.core = nil
	s.mu.Unlock()
	s.hints.Close()
	s.kill()
	var err error
	if c != nil {
		c.end()
		writes := !s.o.ReadOnly
		if writes && c.failed() == nil {
			err = c.flush()
		}
		if writes && c.failed() == nil && err == nil {
			err = blameIf(s.writeMark(c.st.batches))
		}
		if cerr := c.closeDB(); cerr != nil {
			err = errors.Join(err, cerr)
		} else if writes && c.failed() == nil && err == nil {
			err = s.seal()
		}
		if err == nil { // what closing was told may not be true
			err = c.failed()
		}
	}
	s.healers.Wait()
	if lerr := s.lock.Close(); lerr != nil {
		err = errors.Join(err, blame(lerr))
	}
	if err != nil {
		return &store.Error{Op: "close", Err: fmt.Errorf("%s: %w", s.dir, err)}
	}
	return nil
}

// end lets the committer write what it has, and ends it and the helpers.
func (c *core) end() {
	c.qmu.Lock()
	c.ending = true
	c.wake.Signal()
	c.qmu.Unlock()
	<-c.done
	close(c.stop)
	c.helpers.Wait()
}

// flush writes tables of what is only in the log, so that none is needed to open the store.
func (c *core) flush() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
	}()
	flushed, err := c.db.AsyncFlush()
	if err != nil {
		return blame(err)
	}
	select {
	case <-flushed:
	case <-c.broken:
	}
	return c.failed()
}

// closeTime is how long the database may take to close after it has failed.
const closeTime = 10 * time.Second

// closeDB closes the database. One that failed may panic, or not come back: then it is left alone.
func (c *core) closeDB() error {
	c.use.Lock()
	c.closed = true
	c.use.Unlock()
	var err error
	var done wait.Event
	go func() {
		defer done.Set()
		defer func() {
			if v := recover(); v != nil {
				err = caught(v)
			}
		}()
		err = blameIf(c.db.Close())
	}()
	if c.failed() == nil {
		done.Wait()
		return err
	}
	if done.WaitFor(closeTime) != nil {
		return errStuck
	}
	return err
}

var errStuck = fmt.Errorf("%w: the database does not let itself be closed; restart the process, nothing acknowledged is lost", store.ErrBroken)

// heal puts a new core in the place of one that has failed, as soon as there can be one.
func (s *Store) heal(c *core) {
	err := c.failed()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.core != c || s.closed {
		return
	}
	s.core, s.broken = nil, err
	s.healers.Go(func() {
		s.o.Logger.Error("storage failed", "dir", s.dir, "error", err)
		s.reopen(c)
	})
}

// reopen tries until the directory is open again, or the store is closed.
func (s *Store) reopen(c *core) {
	c.end()
	if err := c.closeDB(); errors.Is(err, errStuck) {
		s.stuck(err)
		return
	}
	if s.clock().Mono.Sub(c.since) < healEvery && wait.Sleep(s.life, healEvery) != nil { // it did not work for long
		return
	}
	for {
		n, err := s.open(c.hot)
		switch {
		case err == nil && s.install(n):
			s.o.Logger.Info("storage works again", "dir", s.dir)
			s.hints.Tell(store.Hint{Shards: store.Shards{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}, At: s.clock().Now}) // what was ErrUnknown may be due
			return
		case err == nil:
			n.end()
			_ = n.closeDB() // Close has said what there was to say
			return
		}
		s.mu.Lock()
		s.broken = err
		s.mu.Unlock()
		if wait.Sleep(s.life, healEvery) != nil {
			return
		}
	}
}

func (s *Store) stuck(err error) {
	s.mu.Lock()
	s.broken = err
	s.mu.Unlock()
	s.o.Logger.Error("storage can't be opened again", "dir", s.dir, "error", err)
	if s.o.Stuck != nil {
		s.o.Stuck(err)
	}
}

// seal writes down what the directory holds: each file with its size, and the digest of those that have no checksums of their own.
func (s *Store) seal() error {
	lines, err := s.inventory()
	if err != nil {
		return blame(err)
	}
	text := strings.Join(lines, "\n") + "\n"
	return blameIf(s.put(sealFile, text+sealEnd(text)))
}

// sealEnd is the last line of a seal: one without it was not written to its end, and says nothing.
func sealEnd(text string) string {
	return fmt.Sprintf("end %x\n", sha256.Sum256([]byte(text)))
}

func (s *Store) inventory() (lines []string, err error) {
	fs := s.o.FS
	names, err := fs.List(s.dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if name == sealFile || name == ownerFile || name == lockFile || strings.HasSuffix(name, tmpSuffix) {
			continue
		}
		info, err := fs.Stat(fs.PathJoin(s.dir, name))
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			continue
		}
		sum := "-"
		if !strings.HasSuffix(name, ".sst") && !strings.HasSuffix(name, ".blob") {
			if sum, err = digest(fs, fs.PathJoin(s.dir, name)); err != nil {
				return nil, err
			}
		}
		lines = append(lines, name+" "+strconv.FormatInt(info.Size(), 10)+" "+sum)
	}
	return lines, nil
}

func digest(fs vfs.FS, path string) (sum string, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// checkSeal compares a directory that was closed in good order with what it held then, and breaks the seal.
func (s *Store) checkSeal() error {
	sealed, err := s.get(sealFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it is new, or was not closed
	}
	if err != nil {
		return blame(err) // to go on would leave a seal that is not true any more
	}
	if err := s.compare(string(sealed)); err != nil && !errors.Is(err, errSeal) {
		return err
	}
	if s.o.ReadOnly {
		return nil
	}
	return blameIf(s.drop(sealFile))
}

// errSeal is of a seal that was not written to its end, or is damaged itself. The directory may be as good as one that was not closed.
var errSeal = fmt.Errorf("%w: file %s", store.ErrCorrupt, sealFile)

// compare compares a directory with its seal.
func (s *Store) compare(sealed string) error {
	i := strings.LastIndex(strings.TrimSuffix(sealed, "\n"), "\n") + 1
	if sealed[i:] != sealEnd(sealed[:i]) {
		return errSeal
	}
	sealed = sealed[:i]
	found, err := s.inventory()
	if err != nil {
		return blame(err)
	}
	for line := range strings.Lines(sealed) {
		line = strings.TrimSuffix(line, "\n")
		name, _, _ := strings.Cut(line, " ")
		switch i := slices.IndexFunc(found, func(f string) bool { return strings.HasPrefix(f, name+" ") }); {
		case i < 0:
			return fmt.Errorf("%w: file %s is gone; restore a backup", store.ErrCorrupt, name)
		case found[i] != line:
			return fmt.Errorf("%w: file %s has changed since the store was closed; restore a backup", store.ErrCorrupt, name)
		}
	}
	return nil
}
