package postgres

import (
	"context"
	"encoding/hex"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dulyhq/duly/store"
)

// ears are what listens to the hints of others. The zero ears do not listen.
type ears struct {
	once      sync.Once
	listening atomic.Bool // there is a connection that is told
}

// Between two looks whether a silent connection lives, and how long that may take.
const (
	silence    = 10 * time.Second
	answerTime = 2 * time.Second
)

// Hints implements store.Hinter. From the first call on, until the store is closed, one connection listens to what other processes
// have written; whenever one begins to, because the one before has broken or there was none, a hint says to look at everything. With Options.Pooler
// nobody listens: hints are those of this process's own writes, and of a node that reads what is due now twice a second.
func (s *Store) Hints() (hints <-chan store.Hint, stop func()) {
	hints, stop = s.hints.Hints()
	if !s.o.Pooler {
		s.ears.once.Do(func() {
			_ = s.begin(s.listen) // of a store that is closed the hints are, too
		})
	}
	return hints, stop
}

// begin has f run for as long as the store is open: Close waits for it.
func (s *Store) begin(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.running.Go(f)
	return nil
}

// listen hears others until the store is closed.
func (s *Store) listen() {
	var pause backoff
	lost := false // it was said
	for s.life.Err() == nil {
		err := s.listenOnce(func() {
			s.hints.Tell(store.Hint{At: store.Over, Shards: every()}) // something may have been missed, also the first time
			s.ears.listening.Store(true)
			pause.reset()
			if lost {
				s.o.Logger.Info("listening again to what others write", "channel", s.channel())
				lost = false
			}
		})
		s.ears.listening.Store(false)
		if s.life.Err() != nil {
			return
		}
		if !lost {
			s.o.Logger.Warn("what others write is not heard of: no connection", "channel", s.channel(), "error", err)
			lost = true
		}
		if pause.sleep(s.life) != nil {
			return
		}
	}
}

// listenOnce listens on one connection, until it breaks. It always returns an error.
func (s *Store) listenOnce(heard func()) error {
	conn, err := s.connect(s.life, "duly listen")
	if err != nil {
		return err
	}
	defer hangUp(conn)
	if err := s.ask(conn, "listen "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return err
	}
	heard()
	for {
		if err := s.hear(conn); err != nil {
			return err
		}
	}
}

// hear waits for one hint. A connection that is silent for long is asked whether it lives.
func (s *Store) hear(conn *pgx.Conn) error {
	ctx, stop := context.WithTimeout(s.life, silence)
	defer stop()
	n, err := conn.WaitForNotification(ctx)
	switch {
	case err == nil:
		if sender, h, ok := parseHint(n.Payload); ok && sender != s.sender {
			s.hints.Tell(h)
		}
		return nil
	case s.life.Err() == nil && ctx.Err() != nil && !conn.IsClosed():
		return s.ask(conn, "select 1")
	}
	return err
}

// ask sends a statement that has to be answered soon.
func (s *Store) ask(conn *pgx.Conn, sql string) error {
	ctx, stop := context.WithTimeout(s.life, answerTime)
	defer stop()
	_, err := conn.Exec(ctx, sql)
	return err
}

// formatHint returns a hint as it is sent to others: who sends it, when something is due, and in which shards, by words of 16 digits.
func formatHint(sender int64, h store.Hint) string {
	b := strconv.AppendInt(make([]byte, 0, 2*21+len(h.Shards)*16), sender, 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(h.At), 10)
	b = append(b, ' ')
	for _, w := range h.Shards {
		var word [8]byte
		for i := range word {
			word[i] = byte(w >> (56 - 8*i))
		}
		b = hex.AppendEncode(b, word[:])
	}
	return string(b)
}

// parseHint takes a hint apart. Who may send to the channel may send anything: ok is false for what formatHint does not make.
func parseHint(text string) (sender int64, h store.Hint, ok bool) {
	from, rest, _ := strings.Cut(text, " ")
	at, words, _ := strings.Cut(rest, " ")
	sender, err := strconv.ParseInt(from, 10, 64)
	due, err2 := strconv.ParseInt(at, 10, 64)
	if err != nil || err2 != nil || len(words) != len(h.Shards)*16 {
		return 0, store.Hint{}, false
	}
	for i := range h.Shards {
		w, err := strconv.ParseUint(words[i*16:(i+1)*16], 16, 64)
		if err != nil {
			return 0, store.Hint{}, false
		}
		h.Shards[i] = w
	}
	h.At = store.Instant(due)
	return sender, h, formatHint(sender, h) == text
}
