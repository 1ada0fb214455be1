package queue

import (
	"time"

	"github.com/dulyhq/duly/internal/park"
)

// letters are the messages of a mailbox, in the order of their arrival, with bookmarks between them. The zero letters are
// empty.
type letters[T any] struct {
	root letter[T] // before the first and behind the last
	n    int       // without bookmarks
	seq  uint64
}

// A letter is a message, or the bookmark of a receiver: everything before that was shown to it.
type letter[T any] struct {
	prev, next *letter[T] // nil if it is not in the mailbox
	v          T
	seq        uint64 // rises with the arrival; 0 in a bookmark
}

func (ls *letters[T]) push(v T) {
	ls.seq++
	ls.n++
	ls.insert(&letter[T]{v: v, seq: ls.seq}, ls.end())
}

// end is the place behind the last letter.
func (ls *letters[T]) end() *letter[T] {
	if ls.root.next == nil {
		ls.root.prev, ls.root.next = &ls.root, &ls.root
	}
	return &ls.root
}

// insert puts l before the letter at.
func (ls *letters[T]) insert(l, at *letter[T]) {
	l.prev, l.next = at.prev, at
	l.prev.next, at.prev = l, l
}

func (ls *letters[T]) remove(l *letter[T]) {
	l.prev.next, l.next.prev = l.next, l.prev
	l.prev, l.next = nil, nil
}

// take takes a message out.
func (ls *letters[T]) take(l *letter[T]) T {
	var none T
	v := l.v
	l.v = none
	ls.remove(l)
	ls.n--
	return v
}

// first is the oldest message, or nil.
func (ls *letters[T]) first() *letter[T] { return ls.after(ls.end()) }

// after is the next message behind a letter, or nil.
func (ls *letters[T]) after(l *letter[T]) *letter[T] {
	for l = l.next; l != &ls.root; l = l.next {
		if l.seq != 0 {
			return l
		}
	}
	return nil
}

// since is the oldest message that is newer than seq, or nil. It costs as much as there are such messages.
func (ls *letters[T]) since(seq uint64) *letter[T] {
	var found *letter[T]
	for l := ls.end().prev; l != &ls.root && (l.seq == 0 || l.seq > seq); l = l.prev {
		if l.seq != 0 {
			found = l
		}
	}
	return found
}

// A chooser is one call of ReceiveIf.
type chooser[T any] struct {
	pred  func(T) bool
	limit park.Limit
	timed bool
	end   time.Duration // of the call, if it is timed and may block
	begun bool
	there uint64 // what was there when the call began, or was woken in time: up to this message
	seen  uint64 // everything up to this message was shown
}

// left is how long the call may block now.
func (m *Mailbox[T]) left(c *chooser[T]) park.Limit {
	if !c.timed || c.limit.Spent() {
		return c.limit
	}
	return park.For(c.end - m.now())
}

// rouse wakes those who choose, to look again.
func (m *Mailbox[T]) rouse() {
	release(&m.choosers, func(w *park.Waiter) {
		c := w.Value.(*chooser[T]) //nolint:forcetypeassert // the list holds nothing else
		c.there = m.msgs.seq       // in time: else the grant does not come to it
	})
}

func (m *Mailbox[T]) receiveIf(c *chooser[T]) (none T, err error) {
	if err = c.limit.Err(); err != nil {
		return none, err
	}
	for {
		v, found, err := m.look(c)
		if found || err != nil {
			return v, err
		}
		l := m.left(c)
		m.mu.Lock()
		if m.msgs.since(c.seen) != nil {
			m.mu.Unlock()
			continue
		}
		if m.closed {
			m.mu.Unlock()
			return none, ErrClosed
		}
		if l.Spent() {
			m.mu.Unlock()
			return none, ErrTimeout
		}
		w := park.New()
		w.Value = c
		m.choosers.Push(w)
		m.mu.Unlock()
		if err = m.wait(w, &m.choosers, &l); err != nil {
			return none, err
		}
	}
}

// look shows the chooser what it has not seen. While pred runs, without the lock, a bookmark keeps the place.
func (m *Mailbox[T]) look(c *chooser[T]) (none T, found bool, err error) {
	m.mu.Lock()
	if !c.begun {
		c.begun, c.there = true, m.msgs.seq
	}
	l := m.msgs.since(c.seen)
	if l == nil {
		m.mu.Unlock()
		return none, false, nil
	}
	mark := &letter[T]{}
	m.msgs.insert(mark, l.next)
	locked := true
	defer func() { // also when pred panics
		if !locked {
			m.mu.Lock()
		}
		m.msgs.remove(mark)
		m.mu.Unlock()
	}()
	for l != nil {
		v, seq := l.v, l.seq
		m.mu.Unlock()
		locked = false
		if err = m.over(c, seq); err != nil {
			return none, false, err
		}
		ok := c.pred(v)
		m.mu.Lock()
		locked = true
		c.seen = seq
		if ok && l.next != nil { // nobody took it meanwhile
			return m.msgs.take(l), true, nil
		}
		if l = m.msgs.after(mark); l != nil {
			m.msgs.remove(mark)
			m.msgs.insert(mark, l.next)
		}
	}
	return none, false, nil
}

// over says that the call has reached its limit before it looks at a message. What was there when it began, or was woken in
// time, is looked at even if there is no time left.
func (m *Mailbox[T]) over(c *chooser[T], seq uint64) error {
	if err := c.limit.Err(); err != nil {
		return err
	}
	if c.timed && seq > c.there && (c.limit.Spent() || m.now() >= c.end) {
		return ErrTimeout
	}
	return nil
}
