package verdict_test

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/dulyhq/duly/internal/verdict"
)

// text returns records as a log; by another way than the Writer's, so that the bytes of the format are held to what is written.
func text(records ...verdict.Record) string {
	var b strings.Builder
	for _, r := range records {
		b.WriteString(summed(r.String()))
	}
	return b.String()
}

func summed(body string) string {
	return fmt.Sprintf("%08x %s\n", crc32.Checksum([]byte(body), crc32.MakeTable(crc32.Castagnoli)), body)
}

var (
	startLine = summed(`start at=1 node="a" boot=1 pid=7 torn=0`)
	askLine   = summed(`asked at=2 node="a" boot=1 name="tea"`)
	beginLine = summed(`begin at=3 node="a" boot=1 serial=1 name="caf\u00ad\xff\"" gen=7 for=-4 due=5 fence=6`)
	endLine   = summed(`end at=4 node="a" boot=1 serial=1 name="tea" gen=7 for=4 due=5 fence=6 completed=false error="no\nluck"`)
)

func mended(n int) string { return summed(fmt.Sprintf(`start at=9 node="a" boot=2 pid=8 torn=%d`, n)) }

func TestReader(t *testing.T) {
	for _, tt := range []struct {
		name    string
		in      string
		records int
		torn    int
		line    int // of the error
		want    string
	}{
		{name: "nothing"},
		{name: "each kind of field", in: startLine + askLine + beginLine + endLine, records: 4},
		{name: "no end of the last line", in: startLine + askLine[:len(askLine)-1], records: 2},
		{name: "torn", in: startLine + askLine[:20], records: 1, torn: 1},
		{name: "torn and zeros", in: startLine + askLine[:20] + "\x00\x00\x00", records: 1, torn: 1},
		{name: "torn and gone on", in: startLine + askLine[:20] + "\n" + mended(20) + askLine, records: 3, torn: 1},
		{name: "torn twice", in: startLine + "1\n" + mended(1) + "22\n" + mended(2), records: 3, torn: 2},
		{name: "another process had ended the line", in: startLine + "\n" + mended(20) + "\n" + mended(20), records: 3},
		{name: "torn in the middle", in: startLine + askLine[:20] + "\n" + askLine, records: 1, line: 2, want: "checksum"},
		{name: "torn, of another length", in: startLine + askLine[:20] + "\n" + mended(19), records: 1, line: 2, want: "checksum"},
		{name: "torn, but a start says nothing of it", in: "x\n" + startLine, line: 1, want: "no checksum"},
		{name: "two bad lines", in: startLine + "x\n" + "x\n" + mended(1), records: 1, line: 2, want: "no checksum"},
		{name: "bad, but it has an end", in: startLine + "x\n", records: 1, line: 2, want: "no checksum"},
		{name: "bad, then torn", in: startLine + "x\n" + askLine[:20], records: 1, line: 2, want: "no checksum"},
		{name: "an empty line", in: startLine + "\n" + askLine, records: 1, line: 2, want: "no checksum"},
		{name: "two lines in one", in: startLine + askLine[:len(askLine)-1] + beginLine, records: 1, line: 2, want: "checksum"},
		{name: "a byte changed", in: startLine + strings.Replace(askLine, "tea", "tee", 1) + endLine, records: 1, line: 2, want: "checksum"},
		{name: "a digit of the sum changed", in: strings.ToUpper(beginLine[:8]) + beginLine[8:] + startLine, line: 1, want: "checksum"},
		{name: "too long", in: startLine + strings.Repeat("x", 1<<17) + "\n", records: 1, line: 2, want: "longer than"},
		{name: "bad, then too long", in: "x\n" + strings.Repeat("x", 1<<17), line: 1, want: "no checksum"},
		{name: "unknown op", in: summed(`stop at=1 node="a" boot=1`), line: 1, want: `no such op: "stop"`},
		{name: "no fields", in: summed(`start`), line: 1, want: "at= should stand"},
		{name: "fields in another order", in: summed(`start node="a" at=1 boot=1 pid=7 torn=0`), line: 1, want: `"node" where at=`},
		{name: "a field too few", in: summed(`start at=1 node="a" boot=1 pid=7`), line: 1, want: "torn= should stand"},
		{name: "a field too many", in: summed(`asked at=1 node="a" boot=1 name="x" gen=1`), line: 1, want: "more than a asked has"},
		{name: "no number", in: summed(`died at=1 node="a" boot=x`), line: 1, want: "read boot"},
		{name: "no flag", in: summed(`put at=1 node="a" boot=1 name="x" gen=1 for=1 due=1 recurring=maybe`), line: 1, want: "read recurring"},
		{name: "no quotes", in: summed(`died at=1 node=a boot=1`), line: 1, want: "read node"},
		{name: "no end of a text", in: summed(`asked at=1 node="a" boot=1 name="a\`), line: 1, want: "read name"},
		{name: "a bad escape", in: summed(`asked at=1 node="a" boot=1 name="\y"`), line: 1, want: "read name"},
		{name: "a number spelled otherwise", in: summed(`died at=+1 node="a" boot=1`), line: 1, want: "spelled"},
		{name: "a text spelled otherwise", in: summed(`died at=1 node="\x61" boot=1`), line: 1, want: "spelled"},
		{name: "a flag spelled otherwise", in: summed(`put at=1 node="a" boot=1 name="x" gen=1 for=1 due=1 recurring=1`), line: 1, want: "spelled"},
		{name: "no blank behind a text", in: summed(`died at=1 node="a"_boot=1`), line: 1, want: "spelled"},
		{name: "a blank at the end", in: summed(`died at=1 node="a" boot=1 `), line: 1, want: "spelled"},
		{name: "boot 0", in: summed(`died at=1 node="a" boot=0`), line: 1, want: "count from 1"},
		{name: "no name", in: summed(`asked at=1 node="a" boot=1 name=""`), line: 1, want: "without a name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.line > 0 && tt.records == 0 && !strings.HasSuffix(tt.in, startLine) {
				tt.in += startLine // so that it isn't the last line
			}
			records, torn, err := verdict.ReadAll(iotest.OneByteReader(strings.NewReader(tt.in)))
			if len(records) != tt.records || torn != tt.torn {
				t.Errorf("%d records, %d torn, want %d and %d", len(records), torn, tt.records, tt.torn)
			}
			if tt.line == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var bad *verdict.LineError
			if !errors.As(err, &bad) || bad.Line != tt.line || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want line %d and %q", err, tt.line, tt.want)
			}
		})
	}
}

// TestReader_EachByte changes each byte of a log but those of its last line: each time an error names the line.
func TestReader_EachByte(t *testing.T) {
	whole := []byte(startLine + beginLine + endLine + askLine)
	for i := range len(whole) - len(askLine) {
		line := 1 + bytes.Count(whole[:i], []byte{'\n'})
		for _, flip := range []byte{1, 0x80, whole[i] ^ '\n', whole[i] ^ ' '} {
			if flip == 0 {
				continue
			}
			in := bytes.Clone(whole)
			in[i] ^= flip
			records, _, err := verdict.ReadAll(bytes.NewReader(in))
			var bad *verdict.LineError
			if !errors.As(err, &bad) || bad.Line != line || len(records) != line-1 {
				t.Errorf("byte %d is %q: %d records, error %v, want line %d", i, in[i], len(records), err, line)
			}
		}
	}
}

func TestReader_ErrorsStay(t *testing.T) {
	broken := errors.New("broken")
	r := verdict.NewReader(io.MultiReader(strings.NewReader(startLine+askLine[:5]), iotest.ErrReader(broken)))
	if rec, err := r.Next(); err != nil || rec.Pid != 7 || rec.Line != 1 {
		t.Fatalf("first: %v, %v", rec, err)
	}
	for range 2 {
		if _, err := r.Next(); !errors.Is(err, broken) {
			t.Errorf("error %v, want %v", err, broken)
		}
	}
	r = verdict.NewReader(strings.NewReader("x\n" + startLine))
	for range 2 {
		var bad *verdict.LineError
		if _, err := r.Next(); !errors.As(err, &bad) || bad.Line != 1 || bad.Unwrap() == nil {
			t.Errorf("error %v, want one of line 1", err)
		}
	}
}

// FuzzReader: whatever is read without an error is written again as it was, and Check has something to say of it.
func FuzzReader(f *testing.F) {
	f.Add([]byte(startLine + askLine + beginLine + endLine))
	f.Add([]byte(startLine + askLine[:20] + "\n" + mended(20)))
	f.Add([]byte(text(newWorld(3, 20).records[:12]...)))
	f.Fuzz(func(t *testing.T, in []byte) {
		if bytes.Count(in, []byte{'\n'})%2 == 0 { // else hardly any input would get past the checksum
			var b strings.Builder
			for line := range strings.SplitSeq(string(in), "\n") {
				if len(line) > 9 {
					line = line[9:]
				}
				b.WriteString(summed(line))
			}
			in = []byte(b.String())
		}
		records, torn, err := verdict.ReadAll(bytes.NewReader(in))
		out := text(records...)
		if torn == 0 && err == nil && out != string(in) && out != string(in)+"\n" && !bytes.Contains(in, []byte("\n\n")) && !bytes.HasPrefix(in, []byte("\n")) {
			t.Errorf("read %q\nwrote %q", in, out)
		}
		again, torn, err := verdict.ReadAll(strings.NewReader(out))
		if err != nil || torn != 0 || len(again) != len(records) {
			t.Errorf("%d records of %d again, %d torn, error %v", len(again), len(records), torn, err)
		}
		_ = verdict.Check(records, verdict.Options{Late: 1, Downtime: true, Once: true}).String()
	})
}
