package main

import (
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// cell is one engine at one size in one process, and what the samples of a line share.
type cell struct {
	spec  childSpec
	line  line
	eng   engine
	named namer
	slots slotter

	names   names
	pending int // filled so far; less than spec.N where the budget ended
	fired   atomic.Int64
	count   task // counts into fired
	state   any  // of the line
}

const (
	hotNames  = 1024             // names beside the pending ones
	nearest   = 10 * time.Minute // nothing that pends may fire while the cell lives
	spreadFor = time.Hour
)

func newCell(spec childSpec, l line, e engineSpec) *cell {
	c := &cell{spec: spec, line: l}
	c.count = newTask(func() { c.fired.Add(1) })
	c.eng = e.create(settings{Workers: l.workers, Fires: l.fires})
	c.named, _ = c.eng.(namer)
	c.slots, _ = c.eng.(slotter)
	return c
}

// start lets an engine run that was held for filling.
func (c *cell) start() {
	if s, ok := c.eng.(starter); ok {
		s.Start()
	}
}

// fillNames puts the cell's N tasks under their names, spread over an hour, until the budget ends.
func (c *cell) fillNames() {
	c.names = makeNames(c.spec.N + hotNames)
	c.fill(func(i int) { c.named.Put(c.names.at(i), farDelay(uint64(i)), c.count) })
}

// fillSlots arms the cell's N unnamed timers, and leaves room for the hot ones.
func (c *cell) fillSlots() {
	c.slots.Grow(c.spec.N + hotNames)
	c.fill(func(i int) { c.slots.Arm(i, farDelay(uint64(i)), c.count) })
}

func (c *cell) fill(put func(i int)) {
	end := time.Now().Add(c.spec.Budget)
	for i := range c.spec.N {
		if i%256 == 0 && time.Now().After(end) {
			break
		}
		put(i)
		c.pending = i + 1
	}
	c.start()
}

// repeat runs op, which does n operations, until the sample's time is over, and gives the cost of one.
func (c *cell) repeat(op func(n int)) values {
	runtime.GC() // every sample begins with the same debt to the collector
	op(16)       // warm
	const batch = 64
	var ops int
	before := readCost()
	for end := before.at.Add(c.spec.Sample); time.Now().Before(end); ops += batch {
		op(batch)
	}
	return readCost().since(before).perOp(ops)
}

// repeatParallel is repeat on several goroutines; worker tells op which.
func (c *cell) repeatParallel(workers int, op func(worker, n int)) values {
	runtime.GC()
	const batch = 64
	var ops atomic.Int64
	var wg sync.WaitGroup
	before := readCost()
	end := before.at.Add(c.spec.Sample)
	for w := range workers {
		wg.Go(func() {
			for time.Now().Before(end) {
				op(w, batch)
				ops.Add(batch)
			}
		})
	}
	wg.Wait()
	return readCost().since(before).perOp(int(ops.Load()))
}

// cost is what the process had used at an instant.
type cost struct {
	at       time.Time
	cpu      time.Duration
	switches int64
}

func readCost() cost {
	cpu, switches := processCost()
	return cost{at: time.Now(), cpu: cpu, switches: switches}
}

func (c cost) since(b cost) spent {
	return spent{wall: c.at.Sub(b.at), cpu: c.cpu - b.cpu, switches: c.switches - b.switches}
}

// spent is what the process used between two instants.
type spent struct {
	wall, cpu time.Duration
	switches  int64
}

func (s spent) perOp(ops int) values {
	n := float64(max(ops, 1))
	return values{keyCPU: float64(s.cpu) / n, keyWall: float64(s.wall) / n, keyOps: float64(ops)}
}

// farDelay spreads deadlines over an hour that begins when no cell lives any more.
func farDelay(i uint64) time.Duration {
	return nearest + time.Duration(mix(i)%uint64(spreadFor))
}

// mix scrambles a counter (the finaliser of SplitMix64, Steele et al., OOPSLA 2014): a random stream without state.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// walk visits the numbers below n in a scattered order, each once a round, so that every visit finds cold memory.
type walk struct {
	n    uint64
	mask uint64
	half int
	next uint64
}

func newWalk(n int) *walk {
	width := max(bits.Len(uint(max(n-1, 1))), 2)
	return &walk{n: uint64(n), mask: 1<<width - 1, half: (width + 1) / 2}
}

// step gives the next number and the round it belongs to, from 0.
func (w *walk) step() (i int, round uint64) {
	for {
		k := w.next
		w.next++
		// Odd multiplications and right shifts are each one-to-one on width bits, so the order is a permutation.
		x := k & w.mask
		x = (x ^ x>>w.half) * 0x9e3779b97f4a7c15 & w.mask
		x = (x ^ x>>w.half) * 0xd1342543de82ef95 & w.mask
		x ^= x >> w.half
		if x < w.n {
			return int(x), k / (w.mask + 1)
		}
	}
}

// names are task names cut from one block: reading one touches one cold line as any caller's name would, and the collector
// sees a single object, so that what it costs is the engine's.
type names struct {
	block string
}

const nameLen = 16

func makeNames(n int) names {
	block := make([]byte, 0, n*nameLen)
	for i := range n {
		block = append(block, "order/"...)
		for div := 1_000_000_000; div > 0; div /= 10 {
			block = append(block, byte('0'+i/div%10))
		}
	}
	return names{block: string(block)}
}

func (n names) at(i int) string { return n.block[i*nameLen : (i+1)*nameLen] }
