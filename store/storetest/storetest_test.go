package storetest

import (
	"bytes"
	"io"
	"testing"

	"github.com/dulyhq/duly/clock"
	"github.com/dulyhq/duly/store"
)

// memFile is a file of a machine that can lose its power.
type memFile struct {
	data   []byte
	synced int
	read   int
	shut   bool
	bold   bool
}

func (f *memFile) Read(p []byte) (int, error) {
	n := copy(p, f.data[f.read:])
	f.read += n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	if f.shut {
		return 0, io.ErrClosedPipe
	}
	f.data = append(f.data, p...)
	return len(p), nil
}

func (f *memFile) Sync() error {
	if !f.bold {
		f.synced = len(f.data)
	}
	return nil
}

func (f *memFile) Close() error { f.shut = true; return nil }

// journalHome keeps a journal's file.
type journalHome struct {
	clk  clock.Clock
	file *memFile
	wrap func(s *journal) store.Store // what the test sees; nil is the journal itself
	lazy bool                         // the last line is given to the operating system with the next one
	bold bool                         // Sync does nothing
}

func (h *journalHome) Open() (store.Store, error) {
	data := h.file.data
	if i := bytes.LastIndexByte(data, '\n'); i+1 < len(data) { // a torn line: as the document says
		data = data[:i+1]
	}
	h.file = &memFile{data: data, synced: len(data), bold: h.bold}
	j, err := openJournal(h.file, h.clk)
	if err != nil {
		return nil, err
	}
	if h.wrap != nil {
		return h.wrap(j), nil
	}
	return j, nil
}

func (h *journalHome) Kill() {
	data := h.file.data
	if h.lazy && len(data) > 0 {
		data = data[:bytes.LastIndexByte(data[:len(data)-1], '\n')+1]
	}
	h.file = &memFile{data: data}
}

func (h *journalHome) PowerCut(keep int) {
	f := h.file
	h.file = &memFile{data: f.data[:f.synced+(len(f.data)-f.synced)*keep/100]}
}

func newJournalHome(_ testing.TB, clk clock.Clock) Home {
	return &journalHome{clk: clk, file: &memFile{}}
}

// TestRun_Journal holds the example of docs/writing-a-store.md to the contract.
func TestRun_Journal(t *testing.T) {
	Run(t, Options{New: newJournalHome})
}

func BenchmarkJournal(b *testing.B) { Bench(b, Options{New: newJournalHome}) }
