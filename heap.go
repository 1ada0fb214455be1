package duly

// A pile is a binary heap of entries that know their place in it.
type pile struct {
	es    []*entry
	less  func(a, b *entry) bool
	place func(e *entry) *int // 1 and up; 0 is not in it
}

func (p *pile) len() int { return len(p.es) }

func (p *pile) top() *entry {
	if len(p.es) == 0 {
		return nil
	}
	return p.es[0]
}

func (p *pile) set(i int, e *entry) {
	p.es[i] = e
	*p.place(e) = i + 1
}

// put adds an entry, or moves it if it is there already.
func (p *pile) put(e *entry) {
	at := *p.place(e)
	if at == 0 {
		p.es = append(p.es, e)
		at = len(p.es)
	}
	p.fix(at - 1)
}

// drop takes an entry out, if it is in.
func (p *pile) drop(e *entry) {
	at := *p.place(e)
	if at == 0 {
		return
	}
	*p.place(e) = 0
	i, last := at-1, len(p.es)-1
	moved := p.es[last]
	p.es[last] = nil
	p.es = p.es[:last]
	if i == last {
		return
	}
	p.set(i, moved)
	p.fix(i)
}

func (p *pile) pop() *entry {
	e := p.top()
	if e != nil {
		p.drop(e)
	}
	return e
}

// fix moves what stands at a place to where it belongs. If that is up, what has come down from there belongs where it is now.
func (p *pile) fix(i int) {
	p.up(i)
	p.down(i)
}

func (p *pile) up(i int) {
	e := p.es[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !p.less(e, p.es[parent]) {
			break
		}
		p.set(i, p.es[parent])
		i = parent
	}
	p.set(i, e)
}

func (p *pile) down(i int) {
	e := p.es[i]
	for {
		child := 2*i + 1
		if child >= len(p.es) {
			break
		}
		if r := child + 1; r < len(p.es) && p.less(p.es[r], p.es[child]) {
			child = r
		}
		if !p.less(p.es[child], e) {
			break
		}
		p.set(i, p.es[child])
		i = child
	}
	p.set(i, e)
}
