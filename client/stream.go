package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"strconv"
)

// A message is one of a stream of server-sent events.
type message struct {
	id   int64  // -1 if it has none
	data []byte // nil if it has none; it is not kept
}

// messages yields the messages of a stream, as the HTML standard describes it, until its end or the first error. What has neither an id
// nor data is a heartbeat.
func messages(r io.Reader) iter.Seq2[message, error] {
	return func(yield func(message, error) bool) {
		sc := bufio.NewScanner(r)
		sc.Buffer(nil, maxLine)
		m := message{id: -1}
		for sc.Scan() {
			field, text, _ := bytes.Cut(sc.Bytes(), []byte(":"))
			text = bytes.TrimPrefix(text, []byte(" "))
			switch {
			case string(field) == "data" && len(m.data)+len(text) <= maxLine:
				m.data = append(append(m.data, text...), '\n')
			case string(field) == "id":
				if id, err := strconv.ParseInt(string(text), 10, 64); err == nil {
					m.id = id
				}
			case len(sc.Bytes()) == 0:
				if (m.id >= 0 || len(m.data) > 0) && !yield(m, nil) {
					return
				}
				m = message{id: -1}
			}
		}
		if err := sc.Err(); errors.Is(err, bufio.ErrTooLong) {
			yield(message{}, &answerError{why: "a line of it is longer than " + strconv.Itoa(maxLine) + " bytes"})
		} else if err != nil {
			yield(message{}, err)
		}
	}
}
