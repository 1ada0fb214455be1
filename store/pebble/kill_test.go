package pebble_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/storetest"
)

const (
	producers = 64
	namesEach = 4
	killDir   = "DULY_TEST_KILL_DIR"  // of the process that is to be killed: the store's directory
	killSeed  = "DULY_TEST_KILL_SEED" // and what its choices come from
)

func killKeys() (keys []store.Key) {
	for i := range producers * namesEach {
		keys = append(keys, store.Key{Namespace: "n", Name: fmt.Sprintf("task-%03d", i)})
	}
	return keys
}

// A line is what the process that is to be killed says: what it is about to ask of the store, or what the store has answered.
type line struct {
	Begin *op         `json:",omitempty"`
	Key   store.Key   `json:",omitzero"`
	Task  *store.Task `json:",omitempty"` // without its payload
	Row   string      `json:",omitempty"`
}

func killOptions() pebble.Options {
	o := (&home{}).options()
	o.FS, o.Clock = nil, nil
	return o
}

// TestKilled is the process that TestKill kills: producers that work for ever, while the store is closed and opened now and then.
func TestKilled(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("it is a process of TestKill, and runs only there")
	}
	seed, err := strconv.ParseUint(os.Getenv(killSeed), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	defer pebble.SmallTables(1 << 20)()
	out := json.NewEncoder(os.Stdout)
	keys := killKeys()
	c := &crowd{l: newLedger(keys...)}
	c.tell = func(begin *op, k store.Key, task *store.Task, row error) {
		l := line{Begin: begin, Key: k}
		if task != nil {
			n := *task
			n.Payload = nil
			l.Task = &n
		}
		if row != nil {
			l.Row = row.Error()
		}
		if err := out.Encode(l); err != nil { // nobody listens any more
			os.Exit(1)
		}
	}
	var numbers atomic.Int64
	numbers.Store(int64(seed&0xffff) << 24)
	for life := uint64(0); ; life++ {
		s, err := pebble.Open(dir, killOptions())
		if err != nil {
			t.Fatal(err)
		}
		if life == 0 {
			c.learn(t, s)
		}
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range producers {
			mine, rng := keys[i*namesEach:(i+1)*namesEach], rand.New(rand.NewPCG(seed, life<<8+uint64(i)))
			all.Go(func() { c.work(ctx, s, rng, &numbers, mine) })
		}
		for until := c.ops.Load() + 400; c.ops.Load() < until && c.failed() == nil; {
			wait(t.Context())
		}
		stop()
		all.Wait()
		if err := c.failed(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// learn takes what is in a store for what is known.
func (c *crowd) learn(t testing.TB, s store.Store) {
	t.Helper()
	seen, err := look(t.Context(), s, c.l.keys())
	if err != nil {
		t.Fatal(err)
	}
	for k, st := range seen {
		c.l[k] = &record{task: st.task, dead: st.dead, moves: st.moves, high: top(st.task)}
	}
}

// TestKill kills a process at random moments, and holds what it has left to what it was told.
func TestKill(t *testing.T) {
	cycles := crashes(8, 20, 300)
	if raceEnabled {
		cycles = (cycles + 1) / 2
	}
	seed := uint64(time.Now().UnixNano()) &^ 0xffff
	t.Logf("seed %d", seed)
	dir := filepath.Join(t.TempDir(), "store")
	k := &killing{l: newLedger(killKeys()...), rng: rand.New(rand.NewPCG(seed, 1))}
	for cycle := range cycles {
		what := fmt.Sprintf("seed %d, cycle %d", seed, cycle)
		k.run(t, what, dir, seed+uint64(cycle))
		place := dir
		if k.rng.IntN(2) == 0 { // the next process is to find what this one has left
			place = filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(place, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
		}
		k.check(t, what, place)
	}
	t.Logf("%d cycles, %d acknowledged, %d unanswered, %d of those written", cycles, k.acks, k.open, k.written)
}

// A killing is what the parent knows.
type killing struct {
	l       ledger
	rng     *rand.Rand
	floor   int64 // every number that was given out in an earlier cycle is at most this
	acks    int
	open    int
	written int
}

// run starts a process, kills it after some acknowledgements, and takes in all that it said.
func (k *killing) run(t *testing.T, what, dir string, seed uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$", "-test.count=1")
	cmd.Env = append(os.Environ(), killDir+"="+dir, killSeed+"="+strconv.FormatUint(seed, 10))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReaderSize(out, 1<<20)
	for last, n := 1+k.rng.IntN(3000), 0; ; {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatalf("%s: %v", what, err)
			}
			break // what is left of a line does not count
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			rest, _ := io.ReadAll(lines) // it is said below what is wrong
			t.Fatalf("%s: the process says %s%s%s", what, text, rest, stderr.Bytes())
		}
		k.hear(t, what, &l)
		if n++; n == last {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
}

// hear notes a line.
func (k *killing) hear(t *testing.T, what string, l *line) {
	t.Helper()
	if l.Begin != nil {
		k.l[l.Begin.Key].pending = l.Begin
		return
	}
	r := k.l[l.Key]
	var row error
	if l.Row != "" {
		row = errors.New(l.Row)
	}
	if l.Task != nil {
		n, err := r.after(r.pending, l.Task)
		if err == nil && n.task != nil {
			l.Task.Payload = n.task.Payload // the store's own is looked at later
		}
	}
	n, err := r.answer(r.pending, l.Task, row)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if n.high > r.high && n.high <= k.floor {
		t.Fatalf("%s: %s of %s was given the number %d, and %d was given out before the last kill", what, r.pending.Kind, l.Key, n.high, k.floor)
	}
	k.l[l.Key] = n
	k.acks++
}

// check holds what a process has left to what it was told.
func (k *killing) check(t *testing.T, what, dir string) {
	t.Helper()
	s, err := pebble.Open(dir, killOptions())
	if err != nil {
		t.Fatalf("%s: Open: %v", what, err)
	}
	before := k.l.clone()
	k.l.check(t, what, s)
	for key, r := range before {
		if r.pending == nil {
			continue
		}
		k.open++
		if _, same := r.unasked().settle(&state{task: k.l[key].task, dead: k.l[key].dead, moves: k.l[key].moves}); same != "" {
			k.written++
		}
	}
	for _, r := range k.l {
		k.floor = max(k.floor, r.high)
	}
	storetest.Invariants(t, s)
	closeStore(t, what, s)
	auditAt(t, what, vfs.Default, dir)
	if t.Failed() {
		t.Fatal(what)
	}
}
