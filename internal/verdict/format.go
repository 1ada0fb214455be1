package verdict

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
)

const (
	maxLine  = 64 << 10 // bytes of a line, with its end
	maxError = 4 << 10  // bytes of an error's text
	sumLen   = 8        // hexadecimal digits
)

// A field is one key=value of a line.
type field uint8

const (
	pid field = iota
	torn
	serial
	name
	gen
	next
	scheduledFor
	due
	fence
	recurring
	completed
	failure
)

var keys = [...]string{
	pid: "pid", torn: "torn", serial: "serial", name: "name", gen: "gen", next: "next", scheduledFor: "for",
	due: "due", fence: "fence", recurring: "recurring", completed: "completed", failure: "error",
}

// layouts are the fields of each op, behind at, node and boot, which all have.
var layouts = [ops][]field{
	Start:     {pid, torn},
	Died:      {},
	Begin:     {serial, name, gen, scheduledFor, due, fence},
	End:       {serial, name, gen, scheduledFor, due, fence, completed, failure},
	Asked:     {name},
	Answered:  {name},
	Put:       {name, gen, scheduledFor, due, recurring},
	Cancelled: {name, gen},
	TooLate:   {name, gen},
	Moved:     {name, gen, next, scheduledFor, due, recurring},
	Settled:   {name, gen, scheduledFor},
	Paused:    {name, gen},
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// place returns where the record keeps a field: exactly one of the three is not nil.
func place(r *Record, f field) (number *int64, flag *bool, text *string) {
	switch f {
	case pid:
		return &r.Pid, nil, nil
	case torn:
		return &r.Torn, nil, nil
	case serial:
		return &r.Serial, nil, nil
	case name:
		return nil, nil, &r.Name
	case gen:
		return &r.Generation, nil, nil
	case next:
		return &r.Next, nil, nil
	case scheduledFor:
		return &r.ScheduledFor, nil, nil
	case due:
		return &r.Due, nil, nil
	case fence:
		return &r.Fence, nil, nil
	case recurring:
		return nil, &r.Recurring, nil
	case completed:
		return nil, &r.Completed, nil
	default:
		return nil, nil, &r.Error
	}
}

// checkRecord says why the record can't be written.
func checkRecord(r *Record) error {
	switch {
	case r.Op == 0 || r.Op >= ops:
		return fmt.Errorf("no such op: %v", r.Op)
	case r.Boot < 1:
		return fmt.Errorf("boot %d, they count from 1", r.Boot)
	case slices.Contains(layouts[r.Op], name) && r.Name == "":
		return fmt.Errorf("%v without a name", r.Op)
	default:
		return nil
	}
}

// appendBody appends what the checksum is of.
func appendBody(b []byte, r *Record) []byte {
	b = append(b, r.Op.String()...)
	b = append(b, " at="...)
	b = strconv.AppendInt(b, r.At, 10)
	b = append(b, " node="...)
	b = strconv.AppendQuote(b, r.Node)
	b = append(b, " boot="...)
	b = strconv.AppendInt(b, r.Boot, 10)
	if r.Op >= ops {
		return b
	}
	for _, f := range layouts[r.Op] {
		b = append(b, ' ')
		b = append(b, keys[f]...)
		b = append(b, '=')
		switch number, flag, text := place(r, f); {
		case number != nil:
			b = strconv.AppendInt(b, *number, 10)
		case flag != nil:
			b = strconv.AppendBool(b, *flag)
		default:
			b = strconv.AppendQuote(b, *text)
		}
	}
	return b
}

// appendLine appends the whole line, its end too.
func appendLine(b []byte, r *Record) []byte {
	from := len(b)
	b = append(b, "00000000 "...)
	b = appendBody(b, r)
	putSum(b[from:from+sumLen], crc32.Checksum(b[from+sumLen+1:], castagnoli))
	return append(b, '\n')
}

func putSum(b []byte, sum uint32) {
	for i := range b {
		b[i] = "0123456789abcdef"[sum>>(28-4*i)&15]
	}
}

// A scanner reads lines into records. The zero scanner is ready; it serves one goroutine.
type scanner struct {
	rest  []byte // of the body, not yet read
	again []byte // a record spelled anew
	texts map[string]string
}

// line reads a line without its end. What is accepted is exactly what appendLine writes.
func (s *scanner) line(line []byte) (Record, error) {
	var sum [sumLen]byte
	if len(line) < sumLen+1 || line[sumLen] != ' ' {
		return Record{}, errors.New("no checksum and blank at its beginning")
	}
	s.rest = line[sumLen+1:]
	putSum(sum[:], crc32.Checksum(s.rest, castagnoli))
	if string(line[:sumLen]) != string(sum[:]) {
		return Record{}, fmt.Errorf("checksum %.8q, but that of what follows is %s", line, sum[:])
	}
	r, err := s.body()
	if err != nil {
		return Record{}, err
	}
	if err := checkRecord(&r); err != nil {
		return Record{}, err
	}
	s.again = appendBody(s.again[:0], &r)
	if string(s.again) != string(line[sumLen+1:]) {
		return Record{}, errors.New("not as a record is spelled")
	}
	return r, nil
}

func (s *scanner) body() (r Record, err error) {
	word, _ := s.until(' ')
	for op := Start; op < ops; op++ {
		if string(word) == opNames[op] {
			r.Op = op
		}
	}
	if r.Op == 0 {
		return Record{}, fmt.Errorf("no such op: %.20q", word)
	}
	if err := s.number("at", &r.At); err != nil {
		return Record{}, err
	}
	if err := s.text("node", &r.Node); err != nil {
		return Record{}, err
	}
	if err := s.number("boot", &r.Boot); err != nil {
		return Record{}, err
	}
	for _, f := range layouts[r.Op] {
		switch number, flag, text := place(&r, f); {
		case number != nil:
			err = s.number(keys[f], number)
		case flag != nil:
			err = s.flag(keys[f], flag)
		default:
			err = s.text(keys[f], text)
		}
		if err != nil {
			return Record{}, err
		}
	}
	if len(s.rest) != 0 {
		return Record{}, fmt.Errorf("more than a %v has: %.20q", r.Op, s.rest)
	}
	return r, nil
}

// until takes off what stands before the next end, and the end.
func (s *scanner) until(end byte) (word []byte, found bool) {
	i := bytes.IndexByte(s.rest, end)
	if i < 0 {
		word, s.rest = s.rest, nil
		return word, false
	}
	word, s.rest = s.rest[:i], s.rest[i+1:]
	return word, true
}

// value takes the key off.
func (s *scanner) value(key string) error {
	if got, ok := s.until('='); !ok || string(got) != key {
		return fmt.Errorf("%.20q where %s= should stand", got, key)
	}
	return nil
}

func (s *scanner) number(key string, n *int64) (err error) {
	if err := s.value(key); err != nil {
		return err
	}
	word, _ := s.until(' ')
	if *n, err = strconv.ParseInt(string(word), 10, 64); err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	return nil
}

func (s *scanner) flag(key string, v *bool) (err error) {
	if err := s.value(key); err != nil {
		return err
	}
	word, _ := s.until(' ')
	if *v, err = strconv.ParseBool(string(word)); err != nil {
		return fmt.Errorf("read %s: %w", key, err)
	}
	return nil
}

// text reads a quoted text. Texts that come again, as names do, are kept once.
func (s *scanner) text(key string, v *string) error {
	if err := s.value(key); err != nil {
		return err
	}
	end := 1
	for end < len(s.rest) && s.rest[end] != '"' {
		if s.rest[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s.rest) {
		return fmt.Errorf("read %s: no text in quotes", key)
	}
	quoted := s.rest[:end+1]
	known, ok := s.texts[string(quoted)]
	if !ok {
		var err error
		if known, err = strconv.Unquote(string(quoted)); err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		if s.texts == nil {
			s.texts = map[string]string{}
		}
		s.texts[string(quoted)] = known
	}
	*v = known
	s.rest = s.rest[end+1:]
	if len(s.rest) > 0 {
		s.rest = s.rest[1:] // whether it was a blank is seen when the record is spelled anew
	}
	return nil
}
