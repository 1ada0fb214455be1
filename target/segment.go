package target

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// What attempts print is appended to a log, which is cut into segments: files of at most a few MiB that are deleted as a whole, the
// oldest first. A segment that is full gets an index beside it; of the last one the index is in memory, and is made again from the
// segment after a crash. Nothing in a segment points to another one but a place, so that any of them may be missing.
//
//	NNNNNNNNNNNNNNNN.log   magic, records
//	NNNNNNNNNNNNNNNN.idx   magic, crc32c of what follows, count, first, last, size of the log, entries ordered by hash and offset
//	record                 length of the body, crc32c of the body; body: type, hash of the name, instant, content
//	start                  JSON of an Attempt
//	end                    segment and offset of the start, JSON of an Attempt
//	piece                  segment and offset of the start, offset in the output, stream, bytes
//	entry                  hash of the name, offset<<2 | type
//
// Numbers are little-endian.
const (
	logMagic = "dulyout1"
	idxMagic = "dulyidx1"

	recordHead = 8         // length and checksum
	bodyHead   = 1 + 8 + 8 // type, hash, instant
	placeSize  = 8 + 4     // segment, offset
	pieceHead  = placeSize + 8 + 1
	maxBody    = 128 << 10
	maxPiece   = 32 << 10 // bytes of output in a piece
	entrySize  = 12
	idxHead    = 8 + 4 + 4 + 8 + 8 + 8

	logPrefix, logSuffix, idxSuffix = 16, ".log", ".idx" // the digits of a name, and its ends
)

// The types of records.
const (
	typeStart = iota
	typePiece
	typeEnd
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A place is where a record is. The zero place is none.
type place struct {
	seg uint64
	off uint32
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.seg, q.seg), cmp.Compare(p.off, q.off))
}

func (p place) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, p.seg)
	return binary.LittleEndian.AppendUint32(b, p.off)
}

func placeOf(b []byte) place {
	return place{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])}
}

// A record is what is between two ends in a segment.
type record struct {
	kind    byte
	hash    uint64
	at      int64 // Unix nanoseconds
	content []byte
}

// append appends the record as it is in the file.
func (r *record) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(bodyHead+len(r.content)))
	sum := len(b)
	b = append(b, 0, 0, 0, 0, r.kind)
	b = binary.LittleEndian.AppendUint64(b, r.hash)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.at))
	b = append(b, r.content...)
	binary.LittleEndian.PutUint32(b[sum:], crc32.Checksum(b[sum+4:], castagnoli))
	return b
}

func (r *record) size() int64 { return int64(recordHead + bodyHead + len(r.content)) }

var errNoRecord = errors.New("no whole record here")

// readRecord reads the record at off; it is errNoRecord if there is none that is whole. buf is used if it is large enough.
func readRecord(f io.ReaderAt, off int64, buf []byte) (r record, err error) {
	var head [recordHead]byte
	if _, err := f.ReadAt(head[:], off); err != nil {
		return r, noRecord(err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n < bodyHead || n > maxBody {
		return r, errNoRecord
	}
	if cap(buf) < int(n) {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := f.ReadAt(buf, off+recordHead); err != nil {
		return r, noRecord(err)
	}
	if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) || buf[0] > typeEnd {
		return r, errNoRecord
	}
	return record{
		kind: buf[0], hash: binary.LittleEndian.Uint64(buf[1:]), at: int64(binary.LittleEndian.Uint64(buf[9:])), content: buf[bodyHead:],
	}, nil
}

func noRecord(err error) error {
	if errors.Is(err, io.EOF) {
		return errNoRecord
	}
	return err
}

// hashOf returns the hash by which the records of a name are found. Whoever reads them looks at the name itself.
func hashOf(namespace, name string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, namespace)
	_, _ = h.Write([]byte{0})
	_, _ = io.WriteString(h, name)
	return h.Sum64()
}

// An entry of an index.
type entry struct {
	hash uint64
	ref  uint32
}

func newEntry(hash uint64, off int64, kind byte) entry {
	return entry{hash, uint32(off)<<2 | uint32(kind)}
}

func (e entry) off() uint32 { return e.ref >> 2 }
func (e entry) kind() byte  { return byte(e.ref & 3) }

func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.ref, b.ref))
}

// A segment is a file of the log. Of a sealed one nothing changes any more.
type segment struct {
	dir         string
	id          uint64
	size        int64 // bytes of whole records, with the magic
	first, last int64 // instants of records, the earliest and the latest; Unix nanoseconds
	sealed      bool
	count       int     // of entries
	entries     []entry // in the order of the file; nil when it is sealed
}

func (s *segment) path(suffix string) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016x", s.id)+suffix)
}

// bytes returns how much room the segment takes.
func (s *segment) bytes() int64 { return s.size + idxHead + int64(s.count)*entrySize }

// segmentID returns the number in a file's name.
func segmentID(name string) (id uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, logSuffix)
	if !ok || len(digits) != logPrefix {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 16, 64)
	return id, err == nil && id > 0 && fmt.Sprintf("%016x", id) == digits
}

// note enters a record that is at off.
func (s *segment) note(r *record, off int64) {
	s.entries = append(s.entries, newEntry(r.hash, off, r.kind))
	s.count++
	if s.first == 0 || r.at < s.first {
		s.first = r.at
	}
	s.last = max(s.last, r.at)
	s.size = off + r.size()
}

// load reads what is known of a segment: its index, or, if it has none that is right, the segment as far as its records are whole.
func (s *segment) load() error {
	f, err := os.Open(s.path(logSuffix))
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if s.loadIndex(info.Size()) {
		return nil
	}
	return s.scan(f)
}

// scan reads the segment, and stops at the first record that is not whole.
func (s *segment) scan(f io.ReaderAt) error {
	magic := make([]byte, len(logMagic))
	if _, err := f.ReadAt(magic, 0); err != nil || string(magic) != logMagic {
		s.size = 0
		return noRecord(ignoreEOF(err))
	}
	s.size = int64(len(logMagic))
	buf := make([]byte, maxBody)
	for s.size < maxSegment {
		r, err := readRecord(f, s.size, buf)
		if errors.Is(err, errNoRecord) {
			return nil
		}
		if err != nil {
			return err
		}
		s.note(&r, s.size)
	}
	return nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// loadIndex reads the index and says whether it is whole, and of a log of this size.
func (s *segment) loadIndex(size int64) bool {
	b, err := os.ReadFile(s.path(idxSuffix))
	if err != nil || len(b) < idxHead || string(b[:8]) != idxMagic {
		return false
	}
	le := binary.LittleEndian
	count := int64(le.Uint32(b[12:]))
	if le.Uint32(b[8:]) != crc32.Checksum(b[12:], castagnoli) || int64(len(b)) != idxHead+count*entrySize || int64(le.Uint64(b[32:])) != size {
		return false
	}
	s.count, s.first, s.last, s.size = int(count), int64(le.Uint64(b[16:])), int64(le.Uint64(b[24:])), size
	s.sealed = true
	return true
}

// seal writes the index. Without it the segment is read again when the next process opens it, so there is no need to sync.
func (s *segment) seal() error {
	sorted := slices.Clone(s.entries)
	slices.SortFunc(sorted, compareEntries)
	le := binary.LittleEndian
	b := make([]byte, idxHead, idxHead+len(sorted)*entrySize)
	copy(b, idxMagic)
	le.PutUint32(b[12:], uint32(len(sorted)))
	le.PutUint64(b[16:], uint64(s.first))
	le.PutUint64(b[24:], uint64(s.last))
	le.PutUint64(b[32:], uint64(s.size))
	for _, e := range sorted {
		b = le.AppendUint64(b, e.hash)
		b = le.AppendUint32(b, e.ref)
	}
	le.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	temp := s.path(idxSuffix + ".new")
	if err := os.WriteFile(temp, b, 0o600); err != nil {
		_ = os.Remove(temp)
		return err
	}
	if err := os.Rename(temp, s.path(idxSuffix)); err != nil {
		return err
	}
	s.entries, s.sealed = nil, true
	return nil
}

// remove deletes the files.
func (s *segment) remove() error {
	err := os.Remove(s.path(logSuffix))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if idxErr := os.Remove(s.path(idxSuffix)); idxErr != nil && !errors.Is(idxErr, os.ErrNotExist) {
		err = cmp.Or(err, idxErr)
	}
	return err
}

// find returns the entries of a hash, in the order of the file.
func (s *segment) find(hash uint64) (found []entry, err error) {
	if !s.sealed {
		for _, e := range s.entries {
			if e.hash == hash {
				found = append(found, e)
			}
		}
		return found, nil
	}
	f, err := os.Open(s.path(idxSuffix))
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	at := func(i int) (e entry) {
		var b [entrySize]byte
		if _, readErr := f.ReadAt(b[:], idxHead+int64(i)*entrySize); readErr != nil {
			err = readErr
		}
		return entry{binary.LittleEndian.Uint64(b[:]), binary.LittleEndian.Uint32(b[8:])}
	}
	i := sort.Search(s.count, func(i int) bool { return err != nil || at(i).hash >= hash })
	if err != nil {
		return nil, err
	}
	in := io.NewSectionReader(f, idxHead+int64(i)*entrySize, int64(s.count-i)*entrySize)
	buf := make([]byte, entrySize*128)
	for {
		n, err := io.ReadFull(in, buf)
		for b := range slices.Chunk(buf[:n/entrySize*entrySize], entrySize) {
			e := entry{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])}
			if e.hash != hash {
				return found, nil
			}
			found = append(found, e)
		}
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = nil
			}
			return found, ignoreEOF(err)
		}
	}
}

// A piece is a part of an attempt's output.
type piece struct {
	start  place
	off    int64 // in the output
	stream byte
	data   []byte
}

func (p *piece) content() []byte {
	b := make([]byte, 0, pieceHead+len(p.data))
	b = p.start.append(b)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.off))
	return append(append(b, p.stream), p.data...)
}

func pieceOf(b []byte) (p piece, ok bool) {
	if len(b) < pieceHead {
		return p, false
	}
	p = piece{start: placeOf(b), off: int64(binary.LittleEndian.Uint64(b[placeSize:])), stream: b[placeSize+8], data: bytes.Clone(b[pieceHead:])}
	return p, p.off >= 0 && int(p.stream) < len(streams)
}
