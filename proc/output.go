package proc

import (
	"fmt"
	"slices"
	"sync"
)

// Output is what a process has printed: the beginning, the end, and how much was left out between them. What fits into the
// limit is in Head alone or in both, with nothing left out.
type Output struct {
	Head, Tail []byte
	Omitted    int64 // bytes between Head and Tail
}

// Truncated says whether something was left out.
func (o Output) Truncated() bool { return o.Omitted > 0 }

// Bytes returns the head and the tail, without a mark between them.
func (o Output) Bytes() []byte {
	return append(append(make([]byte, 0, len(o.Head)+len(o.Tail)), o.Head...), o.Tail...)
}

// String returns the output; where something was left out, a line says how much.
func (o Output) String() string {
	if o.Omitted == 0 {
		return string(o.Head) + string(o.Tail)
	}
	return fmt.Sprintf("%s\n[%d bytes left out]\n%s", o.Head, o.Omitted, o.Tail)
}

// A capture keeps the head and the tail of what is written to it.
type capture struct {
	limit int // of both together

	mu    sync.Mutex
	head  []byte
	ring  []byte // the tail; once it is full, its oldest byte is at next
	next  int
	total int64
}

func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p)
	c.total += int64(n)
	if free := c.limit - c.limit/2 - len(c.head); free > 0 {
		k := min(free, len(p))
		c.head = append(c.head, p[:k]...)
		p = p[k:]
	}
	size := c.limit / 2
	if len(p) > size {
		p = p[len(p)-size:]
	}
	if free := size - len(c.ring); free > 0 {
		k := min(free, len(p))
		c.ring = append(c.ring, p[:k]...)
		p = p[k:]
	}
	for len(p) > 0 {
		k := copy(c.ring[c.next:], p)
		p = p[k:]
		c.next = (c.next + k) % size
	}
	return n, nil
}

func (c *capture) output() Output {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := Output{Head: slices.Clip(c.head)}
	o.Tail = append(append(make([]byte, 0, len(c.ring)), c.ring[c.next:]...), c.ring[:c.next]...)
	o.Omitted = c.total - int64(len(o.Head)+len(o.Tail))
	return o
}

// lastLine returns the last line that is not empty, 200 bytes of it at most.
func (o Output) lastLine() string {
	b := o.Tail
	if len(b) == 0 {
		b = o.Head
	}
	end := len(b)
	for end > 0 && (b[end-1] == '\n' || b[end-1] == '\r' || b[end-1] == ' ') {
		end--
	}
	start := end
	for start > 0 && b[start-1] != '\n' && end-start < 200 {
		start--
	}
	return string(b[start:end])
}
