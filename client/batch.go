package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"

	"github.com/dulyhq/duly/api"
)

const (
	batchLines = 1000
	batchBytes = 512 << 10 // from which on a batch is sent; one line may be longer
	maxLine    = 8 << 20   // of an answer of lines
)

// PutMany puts what seq yields, in batches, and yields an Entry for each spec in its order, with the error of what was refused. When a
// batch fails as a whole it yields that error for each spec of it that has no answer, and takes no more of seq.
func (c *Client) PutMany(ctx context.Context, seq iter.Seq[api.Spec]) iter.Seq2[api.Entry, error] {
	return func(yield func(api.Entry, error) bool) {
		var b batch
		for s := range seq {
			line, err := json.Marshal(&s)
			if err != nil {
				b.flush(ctx, c, yield)
				if !b.over && !yield(api.Entry{Namespace: c.o.Namespace, Name: s.Name}, fmt.Errorf("put %q: encode the request: %w", s.Name, err)) {
					return
				}
			} else {
				b.add(s.Name, line)
			}
			if len(b.names) == batchLines || b.body.Len() >= batchBytes {
				b.flush(ctx, c, yield)
			}
			if b.over {
				return
			}
		}
		b.flush(ctx, c, yield)
	}
}

// A batch is what PutMany gathers.
type batch struct {
	names []string
	body  bytes.Buffer
	over  bool // nothing more is to be put
}

func (b *batch) add(name string, line []byte) {
	b.names = append(b.names, name)
	b.body.Write(line)
	b.body.WriteByte('\n')
}

// flush sends the batch and yields the answers.
func (b *batch) flush(ctx context.Context, c *Client, yield func(api.Entry, error) bool) {
	if b.over || len(b.names) == 0 {
		return
	}
	r := &request{
		op: "put", method: http.MethodPost, path: "/v1/tasks:batch", writes: true,
		body: slices.Clone(b.body.Bytes()), form: "application/x-ndjson", // a clone: the transport may still read it after an early answer
	}
	names := b.names
	b.names = nil
	b.body.Reset()
	res, _, err := c.send(ctx, r)
	if err == nil {
		defer func() { _ = res.Body.Close() }()
		for e, lerr := range lines[api.Entry](res.Body) {
			if lerr != nil {
				err = r.lost(ctx, lerr)
				break
			}
			if len(names) == 0 {
				err = r.lost(ctx, &answerError{why: "it has more lines than the batch"})
				break
			}
			if e.Error != nil {
				e.Name, lerr = names[0], r.problem(e.Error) // a line that is too long has not been read for its name
			}
			names = names[1:]
			if !yield(e, lerr) {
				b.over = true
				return
			}
		}
		if err == nil && len(names) > 0 {
			err = r.lost(ctx, &answerError{why: "it has fewer lines than the batch"})
		}
	}
	if err == nil {
		return
	}
	b.over = true
	for _, name := range names {
		if !yield(api.Entry{Namespace: c.o.Namespace, Name: name}, err) {
			return
		}
	}
}

// lines yields the lines of an answer, until its end or the first error.
func lines[T any](r io.Reader) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		sc := bufio.NewScanner(r)
		sc.Buffer(nil, maxLine)
		for sc.Scan() {
			if len(bytes.TrimSpace(sc.Bytes())) == 0 {
				continue // a sign of life
			}
			var v T
			if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
				yield(none, &answerError{why: err.Error()})
				return
			}
			if !yield(v, nil) {
				return
			}
		}
		if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(none, &answerError{why: "a line of it is longer than " + strconv.Itoa(maxLine) + " bytes"})
		} else if err != nil {
			yield(none, err)
		}
	}
}
