package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxLine bounds a request line, in bytes, without its end.
const maxLine = 1 << 20

// runStdin is `duly next --stdin`.
func runStdin(cmd *cobra.Command, args []string, now func() time.Time) error {
	if len(args) > 0 {
		return &usageError{what: "--stdin reads the expressions from standard input, but got " + fmt.Sprintf("%q", args[0]) + " as an argument"}
	}
	var extra error
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "stdin" && (f.Name != "output" || f.Value.String() != "jsonl") {
			extra = &usageError{what: "--" + f.Name + " beside --stdin: each request says that itself"}
		}
	})
	if extra != nil {
		return extra
	}
	return answerLines(cmd.InOrStdin(), cmd.OutOrStdout(), now)
}

// answerLines answers each line of in with a line, until its end. What is answered is written out before it waits for more.
func answerLines(in io.Reader, out io.Writer, now func() time.Time) error {
	r, w := bufio.NewReaderSize(in, 64<<10), bufio.NewWriterSize(out, 64<<10)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	var line []byte
	for {
		if waiting, _ := r.Peek(r.Buffered()); bytes.IndexByte(waiting, '\n') < 0 {
			if err := w.Flush(); err != nil {
				return fmt.Errorf("write answers: %w", err)
			}
		}
		var tooLong bool
		var err error
		line, tooLong, err = readLine(r, line[:0])
		if err != nil && !errors.Is(err, io.EOF) {
			return errors.Join(fmt.Errorf("read requests: %w", err), w.Flush())
		}
		if err == nil || len(line) > 0 || tooLong {
			if err := enc.Encode(reply(line, tooLong, now)); err != nil {
				return fmt.Errorf("write answers: %w", err)
			}
		}
		if err != nil {
			break
		}
		if cap(line) > 2*r.Size() {
			line = nil // one long line is no reason to keep its room
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write answers: %w", err)
	}
	return nil
}

// readLine reads up to the next newline, which it takes away, and appends to line. Of a line that is too long it keeps
// nothing. The error is io.EOF at the end, perhaps after a last line without a newline.
func readLine(r *bufio.Reader, line []byte) (_ []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		done := err == nil
		if done {
			part = part[:len(part)-1]
		}
		if !tooLong {
			if len(line)+len(part) > maxLine {
				line, tooLong = line[:0], true
			} else {
				line = append(line, part...)
			}
		}
		if done || !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

// An accepted reply is the answer beside the request's identifier.
type accepted struct {
	ID json.RawMessage `json:"id"`
	*answer
}

// A refused reply says why there is no answer.
type refused struct {
	ID         json.RawMessage `json:"id"`
	Expression string          `json:"expression"`
	Error      string          `json:"error"`
}

// reply answers one line.
func reply(line []byte, tooLong bool, now func() time.Time) any {
	if tooLong {
		return refused{Error: fmt.Sprintf("the line is longer than %d bytes", maxLine)}
	}
	id, req, err := decode(line)
	if err != nil {
		return refused{ID: id, Expression: req.expr, Error: err.Error()}
	}
	a, err := req.answer(now)
	if err != nil {
		return refused{ID: id, Expression: req.expr, Error: err.Error()}
	}
	return accepted{ID: id, answer: a}
}

// decode reads a request line. Beside an error it returns the identifier and the expression if they could be read.
func decode(line []byte) (id json.RawMessage, req request, err error) {
	req.n = defaultCount
	if !utf8.Valid(line) {
		return nil, req, errors.New("the line is not UTF-8")
	}
	var fields map[string]json.RawMessage
	if text := bytes.TrimLeft(line, " \t\r"); len(text) == 0 || text[0] != '{' {
		return nil, req, errors.New("the line is no JSON object")
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return nil, req, fmt.Errorf("the line is no JSON object: %w", err)
	}
	id = fields["id"]
	delete(fields, "id")
	said := map[string]any{
		"expr": &req.expr, "kind": &req.kind, "zone": &req.zone, "from": &req.from, "until": &req.until,
		"inclusive": &req.inclusive, "n": &req.n, "dst_gap": &req.gap, "dst_fold": &req.fold, "days": &req.days, "name": &req.name,
	}
	known := slices.Sorted(maps.Keys(said))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		to, ok := said[key]
		if !ok {
			return id, req, fmt.Errorf("unknown key %q: want %s", clip(key), wantWord(key, append([]string{"id"}, known...)))
		}
		if e := json.Unmarshal(fields[key], to); e != nil && err == nil { // null leaves it out
			err = fmt.Errorf("%s %s: want %s", key, clip(string(fields[key])), wantType(to))
		}
	}
	if err != nil {
		return id, req, err
	}
	return id, req, req.check()
}

// clip shortens a value for an error.
func clip(text string) string {
	const limit = 48
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "..."
}

func wantType(to any) string {
	switch to.(type) {
	case *bool:
		return "true or false"
	case *int:
		return countWant[len("want "):]
	}
	return "a string"
}

// check refuses words that the flags would refuse.
func (r *request) check() error {
	if r.expr == "" {
		return errors.New(`expr: want an expression, such as "0 9 * * mon-fri"`)
	}
	if r.n < 1 || r.n > maxCount {
		return fmt.Errorf("n %d: %s", r.n, countWant)
	}
	for _, word := range []struct {
		key, value string
		words      []string
	}{{"kind", r.kind, kinds}, {"dst_gap", r.gap, gapWords}, {"dst_fold", r.fold, foldWords}, {"days", r.days, daysWords}} {
		if want := wantWord(word.value, word.words); word.value != "" && want != "" {
			return fmt.Errorf("%s %q: want %s", word.key, clip(word.value), want)
		}
	}
	return nil
}
