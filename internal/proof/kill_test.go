package proof_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/internal/verdict"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/wait"
)

// What a process that is to be killed is told by its environment.
const (
	killDir  = "DULY_TEST_KILL_DIR"  // where the store and the log are
	killBoot = "DULY_TEST_KILL_BOOT" // which life it is, from 1
	killSeed = "DULY_TEST_KILL_SEED" // what its choices come from
	killLast = "DULY_TEST_KILL_LAST" // it is the last life: it runs what is there, and ends
)

const killProducers = 64

// A child is a process of this test's own program.
type child struct {
	cmd    *exec.Cmd
	began  time.Time
	stdin  io.Closer // it ends when this is closed, as by our own death
	stdout *bufio.Reader
	stderr bytes.Buffer
}

func startChild(t *testing.T, test string, env ...string) *child {
	t.Helper()
	c := &child{cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.count=1")}
	c.cmd.Env = append(os.Environ(), env...)
	c.cmd.Stderr = &c.stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.stdin, c.stdout = stdin, bufio.NewReader(out)
	c.began = time.Now()
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// hear waits until the process says something, and returns false if it ended instead.
func (c *child) hear(want string) bool {
	for {
		got, err := c.stdout.ReadString('\n')
		if err != nil || got == want+"\n" {
			return err == nil
		}
	}
}

// end waits for the process, and returns whether it was killed. One that ended by itself has to be well.
func (c *child) end(t *testing.T) (killed bool) {
	t.Helper()
	rest, _ := io.ReadAll(c.stdout) // the pipe ends with the process
	err := c.cmd.Wait()
	code := c.cmd.ProcessState.ExitCode()
	killed = code == -1 || runtime.GOOS == "windows" && code == 1 && !bytes.Contains(rest, []byte("FAIL")) && c.stderr.Len() == 0
	if err != nil && !killed {
		t.Fatalf("the process: %v\n%s%s", err, rest, c.stderr.Bytes())
	}
	return killed
}

// say tells the parent. If it does not listen any more, this process ends soon.
func say(what string) { _, _ = os.Stdout.WriteString(what + "\n") }

// orphan ends this process when its parent is gone.
func orphan() {
	_, _ = io.Copy(io.Discard, os.Stdin) // any end is the end
	os.Exit(1)
}

// openLife opens what a life in a directory works on.
func openLife(t *testing.T, node string) (*pebble.Store, *verdict.Writer, int64) {
	t.Helper()
	dir := os.Getenv(killDir)
	boot, err := strconv.ParseInt(os.Getenv(killBoot), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	go orphan()
	book, err := verdict.OpenWriter(filepath.Join(dir, "log"), verdict.WriterOptions{
		Incarnation: verdict.Incarnation{Node: node, Boot: boot}, At: time.Now().UnixMicro(),
	})
	if err != nil {
		t.Fatal(err)
	}
	st, err := pebble.Open(filepath.Join(dir, "store"), pebble.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return st, book, boot
}

// TestKilled is the process that TestKill kills.
func TestKilled(t *testing.T) {
	if os.Getenv(killDir) == "" || os.Getenv(killSeed) == "" {
		t.Skip("it is a process of TestKill, and runs only there")
	}
	seed, err := strconv.ParseUint(os.Getenv(killSeed), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	st, book, boot := openLife(t, "life")
	l, err := newLoad(st, book, seed+uint64(boot), func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	})
	if err != nil {
		t.Fatal(err)
	}
	l.first = sync.OnceFunc(func() { say("begun") })
	ended := make(chan error, 1)
	go func() { ended <- l.s.Run(context.WithoutCancel(t.Context())) }()
	following, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { l.follow(following) })
	say("ready")
	if os.Getenv(killLast) == "" {
		l.produce(t.Context(), killProducers) // for ever
		stop()
		return
	}
	err = l.heal(t.Context(), 2*time.Minute) // whatever else the machine does
	if err == nil {
		err = l.recount(t.Context())
	}
	if err == nil {
		err = l.s.Drain(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	stop()
	all.Wait()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	os.Exit(0) // what is left waits for its parent
}

// TestKill kills a process that works, again and again, and holds all that happened to all that was acknowledged.
//
// contract: A1
// contract: C1
// contract: C4
// contract: D1
// contract: E1
func TestKill(t *testing.T) {
	cycles := crashes(8, 20, 300)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	k := &killing{dir: t.TempDir(), seed: seed, rng: rand.New(rand.NewPCG(seed, 1))}
	for range cycles {
		k.life(t)
	}
	healed := time.Now().UnixMicro()
	k.boot++
	c := startChild(t, "TestKilled", append(k.env(), killLast+"=1")...)
	if c.end(t) {
		t.Fatalf("the last process was killed\n%s", c.stderr.Bytes())
	}
	k.judge(t, healed)
}

// A killing is what the parent of the processes knows.
type killing struct {
	dir   string
	seed  uint64
	rng   *rand.Rand
	boot  int64
	began []time.Time     // of each life, when its process was started
	ages  []time.Duration // of each life, when it was killed
}

func (k *killing) env() []string {
	return []string{killDir + "=" + k.dir, killBoot + "=" + strconv.FormatInt(k.boot, 10), killSeed + "=" + strconv.FormatUint(k.seed, 10)}
}

// life starts a process and kills it, mostly while it works, now and then while it starts.
func (k *killing) life(t *testing.T) {
	t.Helper()
	k.boot++
	c := startChild(t, "TestKilled", k.env()...)
	pause, heard := time.Duration(50+k.rng.IntN(350))*time.Millisecond, true
	switch k.rng.IntN(8) {
	case 0:
		pause = time.Duration(k.rng.IntN(100)) * time.Millisecond
	case 1:
		pause = time.Duration(k.rng.IntN(50)) * time.Millisecond
		heard = c.hear("ready")
	default:
		heard = c.hear("begun")
	}
	if !heard {
		c.end(t)
		t.Fatalf("life %d ended by itself\n%s", k.boot, c.stderr.Bytes())
	}
	if err := wait.Sleep(t.Context(), pause); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if !c.end(t) {
		t.Fatalf("life %d ended by itself\n%s", k.boot, c.stderr.Bytes())
	}
	k.began, k.ages = append(k.began, c.began), append(k.ages, time.Since(c.began))
	died(t, k.dir, verdict.Incarnation{Node: "life", Boot: k.boot})
}

// died notes in the log of a directory that a life has ended.
func died(t *testing.T, dir string, inc verdict.Incarnation) {
	t.Helper()
	at := time.Now().UnixMicro()
	book, err := verdict.OpenWriter(filepath.Join(dir, "log"), verdict.WriterOptions{
		Incarnation: verdict.Incarnation{Node: "parent", Boot: inc.Boot}, At: at,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := book.Append(verdict.Record{Op: verdict.Died, At: at, Incarnation: inc}); err != nil {
		t.Fatal(err)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
}

// judge holds the log and what is left in the store to each other.
func (k *killing) judge(t *testing.T, healed int64) {
	t.Helper()
	records, torn, err := verdict.ReadFile(filepath.Join(k.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := pebble.Open(filepath.Join(k.dir, "store"), pebble.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}()
	s, err := duly.New(duly.Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
	var n tally
	judged(t, s, records, healed, &n)
	t.Logf("%d lives, %d records, %d torn: %+v", k.boot, len(records), torn, n)
	k.firstFires(t, records)
}

// judged holds a log to what was promised, and to what is left in the store, and counts what it holds.
func judged(t *testing.T, s *duly.Scheduler, records []verdict.Record, end int64, n *tally) {
	t.Helper()
	there, dead, err := inventory(t.Context(), s)
	if err != nil {
		t.Error(err)
	}
	n.add(records)
	n.dead += len(dead)
	vs := verdict.Check(records, verdict.Options{End: end, Excuse: func(v verdict.Verdict) bool {
		d := dead[v.Run.Name] // what is run at most once may be lost with its process before its handler has written anything
		return v.Kind == verdict.Missed && single(v.Run.Name) && d != nil && d.Runs[0].Generation >= v.Run.Generation
	}})
	if len(vs) > 0 {
		t.Errorf("%d faults, the first of them:\n%v", len(vs), vs[:min(len(vs), 20)])
	}
	for _, faults := range [3][]string{lost(records, there, dead), afterEnd(records), twice(records)} {
		if len(faults) > 0 {
			t.Errorf("%d faults, the first of them:\n%s", len(faults), strings.Join(faults[:min(len(faults), 20)], "\n"))
		}
	}
}

// firstFires tells how long after the start of a process the first attempt began of those that were due then, or where none is known to
// have been, after it came due.
func (k *killing) firstFires(t *testing.T, records []verdict.Record) {
	t.Helper()
	first := map[int64]*verdict.Record{}
	for i := range records {
		r := &records[i]
		if r.Op != verdict.Begin || r.Boot > int64(len(k.began)) {
			continue
		}
		began := k.began[r.Boot-1].UnixMicro()
		if was := first[r.Boot]; was == nil || was.Due > began && r.Due <= began {
			first[r.Boot] = r
		}
	}
	var took []time.Duration
	var worst *verdict.Record
	idle := 0
	for i, began := range k.began[1:] { // in the first life nothing is due at first
		r := first[int64(i+2)]
		switch {
		case r != nil:
			d := time.UnixMicro(r.At).Sub(time.UnixMicro(max(began.UnixMicro(), r.Due)))
			if took = append(took, d); d == slices.Max(took) {
				worst = r
			}
		case long() && k.ages[i+1] > time.Second: // the ordinary test is also for machines on which a process takes that long to start
			t.Errorf("life %d was killed after %v, and no attempt had begun", i+2, k.ages[i+1])
		default:
			idle++
		}
	}
	if worst == nil {
		t.Fatal("no life has begun an attempt")
	}
	slices.Sort(took)
	last := took[len(took)-1]
	t.Logf("from the start of the process to the first attempt: median %v, worst %v; %d were killed before", took[len(took)/2], last, idle)
	if long() && last >= time.Second {
		t.Errorf("after a restart the first attempt that was due began after %v, want less than 1s:\n\t%v", last, worst)
	}
}
