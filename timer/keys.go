package timer

import "sync"

// keyTable counts the runs under way for each key and lets those wait that find theirs taken. A key that nobody uses is
// forgotten. Its lock is a leaf.
type keyTable struct {
	mu   sync.Mutex
	keys map[string]*keyState
}

type keyState struct {
	running    int
	head, tail *keyWaiter // the line: first come, first served
}

// A keyWaiter stands for a record that waits for its key, and later for the grant on its way to a worker. Many may wait
// for one key and any of them may leave, so they are linked.
type keyWaiter struct {
	rec        *record
	key        string
	limit      int
	waiting    bool // in line
	prev, next *keyWaiter
}

func (st *keyState) push(w *keyWaiter) {
	w.waiting, w.prev = true, st.tail
	if st.tail == nil {
		st.head = w
	} else {
		st.tail.next = w
	}
	st.tail = w
}

func (st *keyState) remove(w *keyWaiter) {
	if w.prev == nil {
		st.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		st.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.waiting, w.prev, w.next = false, nil, nil
}

// enter takes a place under the key, or puts the waiter in line.
func (t *keyTable) enter(w *keyWaiter) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.keys[w.key]
	if st == nil {
		if t.keys == nil {
			t.keys = make(map[string]*keyState)
		}
		st = &keyState{}
		t.keys[w.key] = st
	}
	if st.head == nil && st.running < w.limit {
		st.running++
		return true
	}
	st.push(w)
	return false
}

// release gives a place back and returns those who may go now.
func (t *keyTable) release(key string) []*keyWaiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	st := t.keys[key]
	st.running--
	return t.grantLocked(key, st)
}

// leave takes a waiter out of the line and returns those who may go now because it was in their way. A waiter that has
// been granted its place is not in line any more; whoever carries the grant finds that out.
func (t *keyTable) leave(w *keyWaiter) []*keyWaiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !w.waiting {
		return nil
	}
	st := t.keys[w.key]
	st.remove(w)
	return t.grantLocked(w.key, st)
}

func (t *keyTable) grantLocked(key string, st *keyState) (granted []*keyWaiter) {
	for w := st.head; w != nil && st.running < w.limit; w = st.head {
		st.running++
		st.remove(w)
		granted = append(granted, w)
	}
	if st.running == 0 && st.head == nil {
		delete(t.keys, key)
	}
	return granted
}

// grant sends on their way those whose key was granted. The caller holds no shard's lock.
func (e *Engine) grant(ws []*keyWaiter) {
	for len(ws) > 0 {
		w := ws[0]
		ws = ws[1:]
		sh := w.rec.sh
		now := e.clk.Read()
		sh.mu.Lock()
		here := w.rec.waiter == w
		if here {
			w.rec.waiter = nil
			w.rec.readyLocked(now, w)
		}
		sh.mu.Unlock()
		if !here {
			ws = append(ws, e.keys.release(w.key)...)
		}
	}
}

// leaveKey is for a record that stops waiting while its shard is locked: those that it stood in the way of are sent on
// their way by a worker.
func (e *Engine) leaveKey(w *keyWaiter) {
	if ws := e.keys.leave(w); len(ws) > 0 {
		e.timers.submit([]item{{f: func() { e.grant(ws) }}})
	}
}
