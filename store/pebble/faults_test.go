package pebble_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
	"github.com/dulyhq/duly/store/storetest"
)

// An injector fails the n-th storage call, or that and all that come after.
type injector struct {
	at      int64
	forever bool
	only    errorfs.OpKind // with some, calls of this kind alone are counted
	some    bool
	err     error
	calls   atomic.Int64
	kinds   [32]atomic.Int64
	off     atomic.Bool
	hit     atomic.Bool
	what    atomic.Pointer[string]
}

func (i *injector) String() string { return "the n-th call" }

// MaybeError implements errorfs.Injector.
func (i *injector) MaybeError(o errorfs.Op) error {
	if i.off.Load() {
		return nil
	}
	i.kinds[o.Kind].Add(1)
	if i.some && o.Kind != i.only {
		return nil
	}
	n := i.calls.Add(1)
	if n < i.at || n > i.at && !i.forever {
		return nil
	}
	if i.hit.CompareAndSwap(false, true) {
		i.what.Store(new(kindNames[o.Kind] + " " + o.Path))
	}
	return &os.PathError{Op: kindNames[o.Kind], Path: o.Path, Err: i.err}
}

var kindNames = map[errorfs.OpKind]string{
	errorfs.OpCreate: "create", errorfs.OpLink: "link", errorfs.OpOpen: "open", errorfs.OpOpenDir: "open directory",
	errorfs.OpRemove: "remove", errorfs.OpRemoveAll: "remove all", errorfs.OpRename: "rename", errorfs.OpReuseForWrite: "reuse",
	errorfs.OpMkdirAll: "make directory", errorfs.OpLock: "lock", errorfs.OpList: "list", errorfs.OpFilePreallocate: "preallocate",
	errorfs.OpStat: "stat", errorfs.OpGetDiskUsage: "disk usage", errorfs.OpFileRead: "read", errorfs.OpFileReadAt: "read at",
	errorfs.OpFileWrite: "write", errorfs.OpFileWriteAt: "write at", errorfs.OpFileStat: "stat file", errorfs.OpFileSync: "sync",
	errorfs.OpFileSyncData: "sync data", errorfs.OpFileSyncTo: "sync to",
}

// reached are the kinds of calls that the scenarios must reach. A close of a file is not among them, because
// errorfs fails none, and neither is space allocated ahead, for which files in memory are not asked.
var reached = []errorfs.OpKind{
	errorfs.OpCreate, errorfs.OpLink, errorfs.OpOpen, errorfs.OpOpenDir, errorfs.OpRemove, errorfs.OpRemoveAll, errorfs.OpRename,
	errorfs.OpReuseForWrite, errorfs.OpMkdirAll, errorfs.OpLock, errorfs.OpList, errorfs.OpStat,
	errorfs.OpGetDiskUsage, errorfs.OpFileRead, errorfs.OpFileReadAt, errorfs.OpFileWrite, errorfs.OpFileWriteAt,
	errorfs.OpFileStat, errorfs.OpFileSync, errorfs.OpFileSyncData,
}

// scenarios are scripts of calls, by the words of faulty.step, "put*3" for three of one. A store that is not open is opened by the next call that needs one.
var scenarios = []string{
	"open",
	"open close",
	"open close open close",
	"put",
	"put*3 close",
	"put claim done close open",
	"put claim kill open done",
	"put claim retry claim dead redrive claim done",
	"putrec claim done claim dead claim done cancel",
	"big claim done",
	"big move pause resume claim done close",
	"big kill open close open claim done",
	"put close put close put close put",
	"put*2 claim cancel put claim done kill put",
	"put claim dead trim put claim done trim",
	"put backup put close",
	"big put claim backup done restore",
	"fill put claim done fill",
	"fill*3 claim done kill open list",
	"fill*6 done list close open list",
	"put stats list history due kill stats list history due",
	"fill kill fill kill fill kill list",
}

// A faulty is one scenario under one fault.
type faulty struct {
	t    *testing.T
	what string
	inj  *injector
	mem  *vfs.MemFS
	s    *pebble.Store
	l    ledger
	rng  *rand.Rand
	n    int64
	made bool // there is a backup
}

var faultKeys = []store.Key{{Name: "a"}, {Namespace: "n", Name: "b"}, {Name: "c"}}

// TestFaults fails each storage call of each scenario: once, and from then on until the scenario is over; as an error of the device, and
// as a full one.
func TestFaults(t *testing.T) {
	defer pebble.Hurry(time.Millisecond)()
	defer pebble.SmallTables(256 << 10)()
	var kinds [32]int64
	runs := 0
	opening := runFaults(t, "open", 1<<40, 0).calls.Load()
	for i, script := range scenarios {
		for n, more := int64(1), true; more; n++ {
			for mode := range int64(4) {
				if !long() && !chosen(int64(i), n, mode, opening) {
					continue
				}
				inj := runFaults(t, script, n, mode)
				runs++
				more = inj.hit.Load()
				for k := range kinds {
					kinds[k] += inj.kinds[k].Load()
				}
			}
		}
	}
	var seen []string
	for k, n := range kinds {
		if n > 0 {
			seen = append(seen, fmt.Sprintf("%s %d", kindNames[errorfs.OpKind(k)], n))
		}
	}
	t.Logf("%d runs; calls: %s", runs, strings.Join(seen, ", "))
	for _, k := range reached {
		if kinds[k] == 0 && !raceEnabled {
			t.Errorf("no scenario reaches the storage call %q", kindNames[k])
		}
	}
}

// chosen says whether call n of a scenario is failed in the ordinary test, in one of the modes: all of the first scenarios, and every
// twelfth of the rest, of which all begin alike.
//
// With the race detector it is every third of these: which calls are reached, the tests without it show.
func chosen(scenario, n, mode, opening int64) bool {
	if raceEnabled && n%3 != scenario%3 {
		return false
	}
	if scenario > 3 && ((n/4+scenario)%12 != 0 || n <= opening && n%7 != scenario%7) {
		return false
	}
	return mode == (n+scenario)%4
}

func runFaults(t *testing.T, script string, n, mode int64) *injector {
	t.Helper()
	return runFault(t, script, &injector{at: n, forever: mode&1 == 1, err: [...]error{syscall.EIO, syscall.ENOSPC}[mode>>1]})
}

func runFault(t *testing.T, script string, inj *injector) *injector {
	t.Helper()
	f := &faulty{
		t: t, inj: inj, mem: vfs.NewCrashableMem(), l: newLedger(faultKeys...), rng: rand.New(rand.NewPCG(1, 1)),
		what: fmt.Sprintf("scenario %q, call %d, %v, for ever %v", script, inj.at, inj.err, inj.forever),
	}
	defer watch(func() string { return f.what + f.where() })()
	for word := range strings.FieldsSeq(script) {
		word, times, _ := strings.Cut(word, "*")
		f.step(word)
		for n, _ := strconv.Atoi(times); n > 1; n-- { // 0 if there is none
			f.step(word)
		}
	}
	inj.off.Store(true)
	f.after()
	if t.Failed() {
		t.Fatal(f.what, f.where())
	}
	return inj
}

// TestFaultsByKind fails calls of one kind after the other in a scenario that begins logs anew: a kind that is rare among thousands of
// calls is reached here.
func TestFaultsByKind(t *testing.T) {
	defer pebble.Hurry(time.Millisecond)()
	defer pebble.SmallTables(256 << 10)()
	most := int64(4)
	switch {
	case long():
		most = 200
	case raceEnabled:
		most = 2
	}
	for _, kind := range reached {
		for n := int64(1); n <= most; n++ {
			inj := runFault(t, "fill*12 claim backup done list", &injector{at: n, forever: n%2 == 0, only: kind, some: true, err: syscall.EIO})
			if !inj.hit.Load() {
				break
			}
		}
	}
}

func (f *faulty) where() string {
	if p := f.inj.what.Load(); p != nil {
		return " at " + *p
	}
	return " at nothing"
}

// watch ends the process with all stacks if something takes longer than it ever should.
func watch(what func() string) (stop func()) {
	alarm := time.AfterFunc(5*time.Minute, func() { // real time: a hang is nothing else
		buf := make([]byte, 1<<20)
		panic(fmt.Sprintf("%s hangs\n%s", what(), buf[:runtime.Stack(buf, true)]))
	})
	return func() { alarm.Stop() }
}

func (f *faulty) fs() vfs.FS { return failing(f.mem, f.inj) }

// failing is a file system whose calls an injector fails, also those on a file that is used again, which errorfs leaves out.
func failing(fs vfs.FS, inj errorfs.Injector) vfs.FS { return &failingFS{errorfs.Wrap(fs, inj), inj} }

type failingFS struct {
	*errorfs.FS
	inj errorfs.Injector
}

func (f *failingFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(oldname, newname, category)
	if err != nil {
		return nil, err
	}
	return errorfs.WrapFile(file, f.inj), nil
}

func (f *faulty) options() pebble.Options {
	o := (&home{}).optionsOn(f.fs())
	o.MinFree = 0
	return o
}

// may takes an error that the fault may have caused, and fails the test for any other.
func (f *faulty) may(op string, err error) {
	f.t.Helper()
	if err == nil {
		return
	}
	if !f.inj.hit.Load() {
		f.t.Fatalf("%s: %s: %v, though nothing failed", f.what, op, err)
	}
	if !typed(err) {
		f.t.Fatalf("%s%s: %s: the error has no type: %v", f.what, f.where(), op, err)
	}
	if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrFormat) || errors.Is(err, store.ErrLocked) {
		f.t.Fatalf("%s%s: %s: %v; want the fault of the device, nothing is damaged", f.what, f.where(), op, err)
	}
}

// open opens the store unless it is open, and says whether it is.
func (f *faulty) open() bool {
	f.t.Helper()
	if f.s != nil {
		return true
	}
	s, err := pebble.Open("store", f.options())
	if err != nil {
		f.may("open", err)
		return false
	}
	f.s = s
	return true
}

func (f *faulty) close() {
	f.t.Helper()
	if f.s != nil {
		f.may("close", f.s.Close())
		f.s = nil
	}
}

// step does what a word of a scenario says.
func (f *faulty) step(word string) {
	f.t.Helper()
	switch word {
	case "open":
		f.open()
		return
	case "close":
		f.close()
		return
	case "kill":
		f.kill()
		return
	case "restore":
		f.close()
		if f.made {
			f.restore()
		}
		return
	}
	if !f.open() {
		return
	}
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute) // real time, for what should not take any
	defer cancel()
	switch word {
	case "backup":
		err := f.s.Backup(ctx, "copy")
		f.may("backup", err)
		f.made = f.made || err == nil
	case "trim":
		// It keeps all, so that the ledger stays true, but looks at all there is.
		_, err := f.s.Trim(ctx, store.Retention{HistoryFrom: 1, MaxHistory: 1 << 40, DeadFrom: 1})
		f.may("trim", err)
	case "stats":
		_, err := f.s.Stats(ctx)
		f.may("stats", err)
	case "due":
		_, err := f.s.Due(ctx, store.DueQuery{Until: store.Never})
		f.may("due", err)
	case "list", "history":
		_, err := look(ctx, f.s, faultKeys)
		f.may(word, err)
	case "fill":
		f.fill(ctx)
	default:
		f.op(ctx, word)
	}
}

// kill ends the process: of what was not synced all is left, as the operating system has it.
func (f *faulty) kill() {
	if f.s == nil {
		return
	}
	mem := f.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: f.rng})
	_ = f.s.Close() // nobody hears what it says any more, and its files are others
	f.s, f.mem = nil, mem
}

// restore makes a store of the backup: it opens, and holds a part of what the ledger does.
func (f *faulty) restore() {
	f.t.Helper()
	o := f.options()
	if err := pebble.Restore("copy", "restored", o); err != nil {
		f.may("restore", err)
		return
	}
	s, err := pebble.Open("restored", o)
	if err != nil {
		f.may("open what was restored", err)
		return
	}
	f.may("close what was restored", s.Close())
}

// fill writes so much that the database begins another log and writes tables.
func (f *faulty) fill(ctx context.Context) {
	f.t.Helper()
	for range 5 {
		f.put(ctx, faultKeys[2], 30_000, false)
	}
}

func (f *faulty) put(ctx context.Context, k store.Key, size int, rec bool) {
	f.t.Helper()
	f.n++
	f.do(ctx, &op{Kind: "put", Key: k, N: f.n, Size: size, Rec: rec})
}

// op does one op to the first name.
func (f *faulty) op(ctx context.Context, word string) {
	f.t.Helper()
	f.n++
	k := faultKeys[0]
	if word == "put" || word == "big" || word == "putrec" {
		f.put(ctx, k, map[string]int{"big": 5000}[word]+10, word == "putrec")
		return
	}
	if !f.known(ctx, k) {
		return
	}
	r := f.l[k]
	o := &op{Kind: word, Key: k, N: f.n}
	switch t := r.task; {
	case word == "redrive":
		if ids := sorted(r.dead); len(ids) > 0 {
			o.ID = ids[0]
		}
	case t == nil:
	case word == "claim" && len(t.Runs) == 0:
		o.ID, o.Rec = store.RunID{Key: k, Generation: t.Generation, For: t.Next.For}, t.Recurring
	case len(t.Runs) > 0:
		o.ID, o.Fence = t.Runs[0].ID(k), t.Runs[0].Fence
	}
	f.do(ctx, o)
}

// known finds out what has become of an op that was not answered. It says false if that can't be known now.
func (f *faulty) known(ctx context.Context, k store.Key) bool {
	f.t.Helper()
	if f.l[k].pending == nil {
		return true
	}
	seen, err := look(ctx, f.s, []store.Key{k})
	if err != nil {
		f.may("look", err)
		return false
	}
	r, why := f.l[k].settle(seen[k])
	if why != "" {
		f.t.Fatalf("%s%s: %s %s", f.what, f.where(), k, why)
	}
	f.l[k] = r
	return true
}

func (f *faulty) do(ctx context.Context, o *op) {
	f.t.Helper()
	if !f.known(ctx, o.Key) {
		return
	}
	t, row, err := o.do(ctx, f.s)
	if row != nil && typed(row) { // a read failed: of this row nothing was written
		f.may(o.Kind, row)
		return
	}
	if err != nil {
		f.may(o.Kind, err)
		if errors.Is(err, store.ErrUnknown) {
			f.l[o.Key].pending = o
		}
		return
	}
	r, err := f.l[o.Key].answer(o, t, row)
	if err != nil {
		f.t.Fatalf("%s%s: %v", f.what, f.where(), err)
	}
	f.l[o.Key] = r
}

// after holds the store to what it has acknowledged, now that the fault has gone: as it is, if it is open, and opened anew.
func (f *faulty) after() {
	f.t.Helper()
	if f.s != nil {
		for !f.heals() {
			wait(f.t.Context())
		}
		f.l.check(f.t, f.what+f.where()+", as it is", f.s)
	}
	if f.s != nil {
		if err := f.s.Close(); err != nil {
			f.t.Fatalf("%s%s: Close after the fault: %v", f.what, f.where(), err)
		}
		f.s = nil
	}
	s, err := pebble.Open("store", f.options())
	if err != nil {
		f.t.Fatalf("%s%s: Open after the fault: %v", f.what, f.where(), err)
	}
	f.l.check(f.t, f.what+f.where()+", opened anew", s)
	storetest.Invariants(f.t, s)
	if err := s.Close(); err != nil {
		f.t.Fatalf("%s%s: Close at the end: %v", f.what, f.where(), err)
	}
	audit(f.t, f.what, f.mem)
}

// heals says whether the store can be read and written, by itself.
func (f *faulty) heals() bool {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	if _, err := look(ctx, f.s, faultKeys); err != nil {
		f.may("look", err)
		return false
	}
	if slices.ContainsFunc(faultKeys, func(k store.Key) bool { return !f.known(ctx, k) }) {
		return false
	}
	f.put(ctx, faultKeys[1], 10, false)
	return f.l[faultKeys[1]].pending == nil && f.l[faultKeys[1]].task != nil
}
