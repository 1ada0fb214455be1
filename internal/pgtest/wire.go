package pgtest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// A session is a connection to a server that trusts us, by version 3 of the frontend/backend protocol, of which it knows the startup,
// the simple query and the end. The core module may not import a driver, and psql is not everywhere where the server is.
type session struct {
	conn net.Conn
	in   *bufio.Reader
	how  string // what it was begun with

	greeting []byte // what the server said until it was ready, if others are to hear it
	key      string // to cancel by
}

// ownSession is how this package begins one.
const ownSession = "pgtest="

// connect opens a session on a socket, all of which may take until the time given.
func connect(socket, database string, until time.Time) (*session, error) {
	conn, err := net.DialTimeout("unix", socket, time.Until(until))
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, in: bufio.NewReader(conn), how: ownSession + database}
	if err := s.startup(database, until); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return s, nil
}

func (s *session) startup(database string, until time.Time) error {
	if err := s.conn.SetDeadline(until); err != nil {
		return err
	}
	const version = 3 << 16
	parameters := "user\x00" + superuser + "\x00database\x00" + database + "\x00application_name\x00pgtest\x00\x00"
	packet := binary.BigEndian.AppendUint32(nil, uint32(8+len(parameters)))
	packet = binary.BigEndian.AppendUint32(packet, version)
	if _, err := s.conn.Write(append(packet, parameters...)); err != nil {
		return err
	}
	_, err := s.answer()
	return err
}

// query runs statements and returns the first column of each row, a null as "".
func (s *session) query(sql string) ([]string, error) {
	if strings.ContainsRune(sql, 0) {
		return nil, fmt.Errorf("statement %q: it contains a zero byte", sql)
	}
	if _, err := s.conn.Write(appendMessage(nil, 'Q', []byte(sql+"\x00"))); err != nil {
		return nil, err
	}
	return s.answer()
}

func appendMessage(to []byte, kind byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(append(to, kind), uint32(4+len(body))), body...)
}

// answer reads until the server is ready for a query.
func (s *session) answer() ([]string, error) {
	var rows []string
	var failed error
	for {
		kind, body, err := s.message()
		if err != nil {
			return nil, errors.Join(failed, err)
		}
		switch kind {
		case 'Z': // ready
			return rows, failed
		case 'E':
			failed = refusal(body)
		case 'R': // authentication
			if len(body) < 4 || binary.BigEndian.Uint32(body) != 0 {
				return nil, errors.New("the server wants a password from who it should trust")
			}
		case 'D':
			value, err := firstColumn(body)
			if err != nil {
				return nil, err
			}
			rows = append(rows, value)
		case 'K':
			s.key = string(body)
		case 'G': // it waits for a COPY
			return nil, errors.New("COPY FROM STDIN is not for this connection")
		default: // notices, parameters, names of columns, ends of statements
		}
	}
}

// message reads one message.
func (s *session) message() (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return 0, nil, err
	}
	const most = 64 << 20
	size := binary.BigEndian.Uint32(head[1:])
	if size < 4 || size > most {
		return 0, nil, fmt.Errorf("a message of kind %q and %d bytes is none", head[0], size)
	}
	body = make([]byte, size-4)
	_, err = io.ReadFull(s.in, body)
	return head[0], body, err
}

func firstColumn(body []byte) (string, error) {
	if len(body) < 2 || binary.BigEndian.Uint16(body) == 0 {
		return "", nil // a row without columns
	}
	if len(body) < 6 {
		return "", errors.New("a row that ends in its first column")
	}
	size := int32(binary.BigEndian.Uint32(body[2:]))
	if size < 0 {
		return "", nil
	}
	if int(size) > len(body)-6 {
		return "", errors.New("a row that ends in its first column")
	}
	return string(body[6 : 6+size]), nil
}

// refusal makes an error of an ErrorResponse: fields of a letter and a text each.
func refusal(body []byte) error {
	said := map[byte]string{}
	for field := range strings.SplitSeq(string(body), "\x00") {
		if field != "" {
			said[field[0]] = field[1:]
		}
	}
	text := fmt.Sprintf("%s: %s (SQLSTATE %s)", said['S'], said['M'], said['C'])
	if said['D'] != "" {
		text += ": " + said['D']
	}
	if said['H'] != "" {
		text += "; " + said['H']
	}
	return errors.New(text)
}

// close takes leave of the server.
func (s *session) close() {
	_, _ = s.conn.Write([]byte{'X', 0, 0, 0, 4}) // the end says as much
	_ = s.conn.Close()
}

// sessions are those that nobody uses now, the one that was used last at the end.
type sessions struct {
	mu   sync.Mutex
	free []*session
}

// sessionsMost is how many are kept: the shared server takes 200 connections.
const sessionsMost = 30

// take returns a session that was begun so, or nil if there is none.
func (s *sessions) take(how string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range slices.Backward(s.free) {
		if c.how == how {
			s.free = slices.Delete(s.free, i, i+1)
			return c
		}
	}
	return nil
}

func (s *sessions) put(c *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free = append(s.free, c); len(s.free) > sessionsMost {
		s.free[0].close()
		s.free = slices.Delete(s.free, 0, 1)
	}
}
