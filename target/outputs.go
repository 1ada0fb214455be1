package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/wait"
)

// The defaults of OutputOptions.
const (
	DefaultMaxAge    = 7 * 24 * time.Hour
	DefaultMaxBytes  = 1 << 30
	DefaultMaxMemory = 64 << 20

	leastBytes = 1 << 20
	maxSegment = 16 << 20
)

// OutputOptions are those of [OpenOutputs]. The zero value is right for most.
type OutputOptions struct {
	// MaxAge is how long after its end an attempt is kept. 0 is DefaultMaxAge, which is as long as the history.
	MaxAge time.Duration
	// MaxBytes is how much room the directory takes; the oldest go first. 0 is DefaultMaxBytes; at least 1 MiB.
	MaxBytes int64
	// MaxMemory limits the memory for the ends of outputs that are too long, of all attempts that run. 0 is DefaultMaxMemory. When it
	// is used up, less is kept of what attempts print last.
	MaxMemory int64
	// Logger is told when output can't be written, and when it can again. Nil is slog.Default().
	Logger *slog.Logger
	// Clock says what time it is. Nil is the system's.
	Clock clock.Clock
}

// Outputs keep what attempts have printed and how they ended, in a directory that only its owner may read, for one process at a time.
// All methods are safe for concurrent use; those of a nil Outputs keep and find nothing.
//
// What a command prints is handed to the operating system at once, so that it is there after the process was killed; it is not synced, and
// a power cut may take the last of it. A callback is handed over as a whole when it has ended, or after a second, or when more than 4 KiB
// of its answer have come: of one that began within a second before the process was killed there may be nothing here, only in the history.
//
// An output that is too long is kept as its beginning and its end; the end is in memory while the attempt runs. An output that cannot be
// written is left out: the attempt goes on, and the logger is told.
type Outputs struct {
	opts    OutputOptions
	log     *slog.Logger
	dir     string
	segSize int64
	life    context.Context //nolint:containedctx // until it is closed
	end     context.CancelFunc
	memory  atomic.Int64          // of the tails
	failing atomic.Pointer[error] // why nothing can be written; nil: it can
	since   atomic.Int64          // when the write under way began, on Reading.Boot; 0 is none

	mu      sync.Mutex
	segs    []*segment // by id; the last may be open
	file    *os.File   // of the last, if it is open
	buf     []byte     // for the record that is written
	nextID  uint64
	total   int64 // bytes of all segments
	live    map[*recording]struct{}
	held    int   // of them, whose records are all in memory
	looking bool  // it will be looked for those that are held for long
	pruneAt int64 // on Reading.Boot: a clock that is set for a while must not make everything old
	isDone  bool
}

var errOutputsClosed = errors.New("the outputs are closed")

// OpenOutputs opens the directory, and makes it if there is none. What a crash left half-written is kept as far as it goes.
func OpenOutputs(dir string, o OutputOptions) (*Outputs, error) {
	switch {
	case o.MaxAge < 0:
		return nil, invalid("MaxAge", o.MaxAge.String(), "a positive duration, or 0 for "+DefaultMaxAge.String())
	case o.MaxBytes < 0 || o.MaxBytes > 0 && o.MaxBytes < leastBytes:
		return nil, invalid("MaxBytes", strconv.FormatInt(o.MaxBytes, 10), "at least "+strconv.Itoa(leastBytes)+", or 0 for "+strconv.Itoa(DefaultMaxBytes))
	case o.MaxMemory < 0:
		return nil, invalid("MaxMemory", strconv.FormatInt(o.MaxMemory, 10), "a positive number, or 0 for "+strconv.Itoa(DefaultMaxMemory))
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxMemory == 0 {
		o.MaxMemory = DefaultMaxMemory
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	x := &Outputs{opts: o, log: o.Logger, dir: dir, segSize: min(o.MaxBytes/8, maxSegment), nextID: 1, live: map[*recording]struct{}{}}
	x.life, x.end = context.WithCancel(context.Background())
	if err := x.open(); err != nil {
		return nil, fmt.Errorf("open the outputs: %w", err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pruneLocked(x.opts.Clock.Read())
	return x, nil
}

// open reads what is there.
func (o *Outputs) open() error {
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(o.dir, 0o700); err != nil { //nolint:gosec // a directory
		return err
	}
	names, err := os.ReadDir(o.dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		id, ok := segmentID(n.Name())
		if !ok {
			o.leftover(n.Name())
			continue
		}
		o.nextID = max(o.nextID, id+1)
		s := &segment{dir: o.dir, id: id}
		if err := s.load(); err != nil {
			o.log.Warn("a file of outputs cannot be read", "file", s.path(logSuffix), "error", err)
			continue
		}
		if s.size == 0 {
			o.log.Warn("a file of outputs is not one that this version knows", "file", s.path(logSuffix))
			continue
		}
		o.segs = append(o.segs, s)
	}
	slices.SortFunc(o.segs, func(a, b *segment) int { return int(min(max(int64(a.id-b.id), -1), 1)) })
	for i, s := range o.segs {
		if !s.sealed {
			o.mend(s, i == len(o.segs)-1)
		}
		o.total += s.bytes()
	}
	return nil
}

// leftover removes what an interrupted removal or seal has left.
func (o *Outputs) leftover(name string) {
	base, ok := strings.CutSuffix(name, idxSuffix)
	if ok {
		if _, err := os.Stat(filepath.Join(o.dir, base+logSuffix)); !errors.Is(err, fs.ErrNotExist) {
			return
		}
	} else if !strings.HasSuffix(name, idxSuffix+".new") {
		return
	}
	_ = os.Remove(filepath.Join(o.dir, name)) // what stays does no harm
}

// mend cuts off what is half-written, and seals what is not the last. Only the last is written to again, without an old half behind
// what is new.
func (o *Outputs) mend(s *segment, last bool) {
	err := os.Truncate(s.path(logSuffix), s.size)
	if err == nil && last && s.size < o.segSize {
		o.file, err = os.OpenFile(s.path(logSuffix), os.O_WRONLY, 0o600)
	}
	if err == nil && o.file == nil {
		err = s.seal()
	}
	if err != nil {
		o.log.Warn("a file of outputs cannot be mended, it is only read", "file", s.path(logSuffix), "error", err)
	}
}

// Close ends all that follow, and writes no more. Attempts that still run go on without their output.
func (o *Outputs) Close() error {
	if o == nil {
		return nil
	}
	for _, w := range o.running() {
		w.spill(false)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.isDone {
		return nil
	}
	o.isDone = true
	o.end()
	return o.closeFileLocked()
}

func (o *Outputs) closeFileLocked() error {
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file = nil
	return err
}

func (o *Outputs) now() time.Time { return time.Unix(0, o.opts.Clock.Read().Wall).UTC() }

// hanging is for how long the disk may keep what is written. One that is merely slow is faster.
const hanging = 10 * time.Second

// Failing says why what attempts print can't be kept, as was found out when something was printed last, or that the disk has not come back
// from it; nil if it is kept. It waits for nothing.
func (o *Outputs) Failing() error {
	if o == nil {
		return nil
	}
	if began := o.since.Load(); began != 0 {
		if d := time.Duration(o.opts.Clock.Read().Boot - began); d >= hanging {
			return fmt.Errorf("the disk hangs: it has not come back from a write for %v", d.Round(time.Second))
		}
	}
	if err := o.failing.Load(); err != nil {
		return *err
	}
	return nil
}

// holdLocked counts a recording that is held, and sees to it that it is not for long.
func (o *Outputs) holdLocked() {
	o.held++
	if !o.looking {
		o.looking = true
		go o.look()
	}
}

func (o *Outputs) released() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held--
}

// running returns what runs.
func (o *Outputs) running() []*recording {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.live))
}

// look has what is held for long written, as long as something is held.
func (o *Outputs) look() {
	for o.stillHolds() && wait.Sleep(o.life, holding) == nil {
		for _, w := range o.running() {
			w.spill(true)
		}
	}
}

func (o *Outputs) stillHolds() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.looking = o.held > 0 && !o.isDone
	return o.looking
}

// write appends records, all of them or none, and returns where the first is. What follows a start belongs to it, and is given its place.
// It tells the logger when it begins to fail and when it works again.
func (o *Outputs) write(all ...record) (place, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.since.Store(max(o.opts.Clock.Read().Boot, 1))
	at, err := o.writeLocked(all)
	o.since.Store(0)
	failing := o.failing.Load() != nil
	switch {
	case err != nil && !failing && !errors.Is(err, errOutputsClosed):
		o.failing.Store(&err)
		o.log.Warn("what attempts print cannot be kept", "directory", o.dir, "error", err)
	case err == nil && failing:
		o.failing.Store(nil)
		o.log.Info("what attempts print is kept again", "directory", o.dir)
	}
	return at, err
}

func (o *Outputs) writeLocked(all []record) (place, error) {
	if o.isDone {
		return place{}, errOutputsClosed
	}
	if now := o.opts.Clock.Read(); now.Boot >= o.pruneAt {
		o.pruneLocked(now)
	}
	if err := o.roomLocked(all); err != nil {
		return place{}, err
	}
	s := o.segs[len(o.segs)-1]
	off := s.size
	before := s.bytes()
	at := place{s.id, uint32(off)}
	o.buf = o.buf[:0]
	for i := range all {
		r := &all[i]
		if i > 0 && all[0].kind == typeStart {
			at.append(r.content[:0])
		}
		o.buf = r.append(o.buf)
	}
	if _, err := o.file.WriteAt(o.buf, off); err != nil {
		// The next record must not be followed by the rest of this one. Where that can't be cut off, nothing follows.
		if cutErr := o.file.Truncate(off); cutErr != nil {
			_ = o.sealLocked()
		}
		return place{}, err
	}
	for i := range all {
		s.note(&all[i], s.size)
	}
	o.total += s.bytes() - before
	return at, nil
}

// roomLocked sees to a segment in which there is room for records, and to room for them in the directory.
func (o *Outputs) roomLocked(all []record) error {
	size := int64(0)
	for i := range all {
		size += all[i].size()
	}
	if n := len(o.segs); o.file != nil {
		s := o.segs[n-1]
		if s.size+size > o.segSize || s.first != 0 && all[0].at-s.first > int64(o.opts.MaxAge/8) {
			if err := o.sealLocked(); err != nil {
				o.log.Warn("the index of a file of outputs cannot be written", "error", err)
			}
		}
	}
	need := size + int64(len(all))*entrySize
	if o.file == nil {
		need += idxHead + int64(len(logMagic))
	}
	for o.total+need > o.opts.MaxBytes && len(o.segs) > 0 && (o.file == nil || len(o.segs) > 1) {
		if err := o.dropLocked(); err != nil {
			return err
		}
	}
	if o.file != nil {
		return nil
	}
	s := &segment{dir: o.dir, id: o.nextID, size: int64(len(logMagic))}
	f, err := os.OpenFile(s.path(logSuffix), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	o.nextID++
	if _, err := f.WriteString(logMagic); err != nil {
		_ = f.Close()
		_ = os.Remove(s.path(logSuffix))
		return err
	}
	o.file, o.segs, o.total = f, append(o.segs, s), o.total+s.bytes()
	return nil
}

// sealLocked ends the last segment. One whose index can't be written keeps it in memory.
func (o *Outputs) sealLocked() error {
	err := o.closeFileLocked()
	if sealErr := o.segs[len(o.segs)-1].seal(); sealErr != nil {
		return sealErr
	}
	return err
}

// dropLocked deletes the oldest segment.
func (o *Outputs) dropLocked() error {
	s := o.segs[0]
	if len(o.segs) == 1 {
		_ = o.closeFileLocked()
	}
	if err := s.remove(); err != nil {
		return err
	}
	o.total -= s.bytes()
	o.segs = slices.Delete(o.segs, 0, 1)
	return nil
}

// pruneLocked deletes segments in which everything is too old.
func (o *Outputs) pruneLocked(now clock.Reading) {
	oldest := now.Wall - int64(o.opts.MaxAge)
	for len(o.segs) > 0 && o.segs[0].last < oldest {
		if err := o.dropLocked(); err != nil {
			o.log.Warn("old outputs cannot be deleted", "error", err)
			break
		}
	}
	o.pruneAt = now.Boot + int64(min(o.opts.MaxAge/16, time.Hour))
}

// view returns the segments as they are now, for reading without the lock, and the attempts that run.
func (o *Outputs) view() ([]segment, []*recording, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.isDone {
		return nil, nil, errOutputsClosed
	}
	if now := o.opts.Clock.Read(); now.Boot >= o.pruneAt {
		o.since.Store(max(now.Boot, 1)) // those who write wait for this
		o.pruneLocked(now)
		o.since.Store(0)
	}
	segs := make([]segment, len(o.segs))
	for i, s := range o.segs {
		segs[i] = *s
	}
	return segs, slices.Collect(maps.Keys(o.live)), nil
}

// piece reads the piece at a place.
func (o *Outputs) piece(at place) (p piece, when int64, err error) {
	s := segment{dir: o.dir, id: at.seg}
	f, err := os.Open(s.path(logSuffix))
	if err != nil {
		return p, 0, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	r, err := readRecord(f, int64(at.off), nil)
	if err != nil {
		return p, 0, err
	}
	p, ok := pieceOf(r.content)
	if !ok || r.kind != typePiece {
		return p, 0, errNoRecord
	}
	return p, r.at, nil
}

// Attempts returns the attempts at a task, the newest first, at most limit; 0 is 100. A task of which nothing is kept has none.
func (o *Outputs) Attempts(ctx context.Context, namespace, name string, limit int) ([]Attempt, error) {
	if o == nil {
		return nil, nil
	}
	if limit <= 0 {
		limit = 100
	}
	found, err := o.search(ctx, namespace, name, limit, nil)
	if err != nil {
		return nil, fmt.Errorf("list attempts of %q: %w", name, err)
	}
	all := make([]Attempt, len(found))
	for i := range found {
		all[i] = found[i].Attempt
	}
	return all, nil
}

// notFound is what a reader gets of an attempt that is not kept.
func notFound(name, runID string, attempt int) error {
	return fmt.Errorf("read the output of attempt %d at %q of task %q: %w", attempt, runID, name, errNoAttempt)
}

// errNoAttempt is one for which errors.Is finds duly.ErrNotFound, without its text.
var errNoAttempt error = noAttemptError{}

type noAttemptError struct{}

func (noAttemptError) Error() string        { return "no such attempt is kept" }
func (noAttemptError) Is(target error) bool { return target == duly.ErrNotFound }
