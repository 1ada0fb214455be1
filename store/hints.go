package store

import "sync"

// Listeners is the part of a Hinter that tells: a store has one, whose channels end with the store. The zero Listeners has none. All
// methods are safe for concurrent use.
type Listeners struct {
	mu     sync.Mutex
	chans  map[chan Hint]struct{}
	closed bool
}

// Hints implements Hinter.
func (l *Listeners) Hints() (hints <-chan Hint, stop func()) {
	ch := make(chan Hint, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		close(ch)
		return ch, func() {}
	}
	if l.chans == nil {
		l.chans = map[chan Hint]struct{}{}
	}
	l.chans[ch] = struct{}{}
	return ch, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, ok := l.chans[ch]; ok {
			delete(l.chans, ch)
			close(ch)
		}
	}
}

// Tell hands a hint to whoever listens, merged with the one that they have not taken yet. One for Never tells nobody.
func (l *Listeners) Tell(h Hint) {
	if h.At == Never {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for ch := range l.chans {
		n := h
		select {
		case old := <-ch:
			n.At = min(n.At, old.At)
			for i := range n.Shards {
				n.Shards[i] |= old.Shards[i]
			}
		default:
		}
		ch <- n // there is room: nobody else sends
	}
}

// Close closes all channels, and those that are asked for later. It may be called again.
func (l *Listeners) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for ch := range l.chans {
		close(ch)
	}
	clear(l.chans)
}
