package daemon

import (
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
)

// A stallFS has files whose syncs wait while stall is full.
type stallFS struct {
	vfs.FS

	stall chan struct{} // has room for one
	waits chan struct{} // gets something for each that waits
}

func (s stallFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	return &stallFile{f, s}, nil
}

type stallFile struct {
	vfs.File

	fs stallFS
}

func (f *stallFile) wait() {
	select {
	case f.fs.stall <- struct{}{}:
	default:
		f.fs.waits <- struct{}{}
		f.fs.stall <- struct{}{}
	}
	<-f.fs.stall
}

func (f *stallFile) Sync() error {
	f.wait()
	return f.File.Sync()
}

func (f *stallFile) SyncData() error {
	f.wait()
	return f.File.SyncData()
}

// A write that does not come back from the disk is known, also when nobody waits for it any more.
func TestDisk_Hangs(t *testing.T) {
	var d disk
	fs := stallFS{vfs.NewMem(), make(chan struct{}, 1), make(chan struct{}, 100)}
	st, err := pebble.Open("data", pebble.Options{FS: watchedFS{fs, &d}, Durability: pebble.Sync, Logger: mute})
	if err != nil {
		t.Fatal(err)
	}
	put := func(name string) <-chan error {
		done := make(chan error, 1)
		go func() {
			_, err := st.Put(t.Context(), []store.Put{{Key: store.Key{Name: name}, Spec: store.Spec{Kind: "k"}, When: store.In(time.Hour, 0)}})
			done <- err
		}()
		return done
	}
	if err := <-put("before"); err != nil {
		t.Fatal(err)
	}
	fs.stall <- struct{}{}
	done := put("a")
	<-fs.waits
	if _, err := st.Clock(t.Context()); err != nil {
		t.Errorf("the store's clock needs the disk: %v", err)
	}
	if waits := d.waits(time.Now().Add(time.Minute)); waits < time.Minute {
		t.Errorf("in a minute it has waited for %v", waits)
	}
	<-fs.stall
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
	if waits := d.waits(time.Now().Add(time.Minute)); waits != 0 {
		t.Errorf("nothing writes, and it waits for %v", waits)
	}
}

// While the disk hangs the daemon is not ready, its metrics say so, and the init system is not told that all is well.
func TestDisk_Told(t *testing.T) {
	f := serve(t)
	f.d.notify.watch = time.Minute // nobody is told: there is no address
	want := func(status int, metric string, hangs bool) {
		t.Helper()
		if got, text := f.ask("GET", "/readyz", ""); got != status {
			t.Errorf("/readyz: %d %s, want %d", got, text, status)
		}
		if _, text := f.ask("GET", "/metrics", "", "Authorization: Bearer "+f.token()); !strings.Contains(text, `duly_problem{slug="store"} `+metric+"\n") {
			t.Errorf("the metric is not %s", metric)
		}
		told := false
		for _, p := range f.d.problems(t.Context()) {
			told = told || p.Slug == storeFails && strings.Contains(p.Detail, "the disk hangs")
		}
		if told != (status != 200) {
			t.Errorf("the counters tell of it: %v", told)
		}
		if err := f.d.hangs(t.Context()); (err != nil) != hangs {
			t.Errorf("the init system: %v", err)
		}
	}
	began := func(ago time.Duration) {
		f.d.disk.mu.Lock()
		defer f.d.disk.mu.Unlock()
		f.d.disk.writes[0] = time.Now().Add(-ago)
	}
	want(200, "0", false)
	began(hanging)
	want(503, "1", false)
	began(time.Minute)
	want(503, "1", true)
	f.d.disk.end(0)
	want(200, "0", false)
}

// A disk that does not say how much of it is free keeps nobody waiting who asks how the daemon is, and once it is known to hang it is not asked.
func TestDisk_NotAsked(t *testing.T) {
	f := serve(t)
	back := make(chan struct{})
	defer close(back)
	asked := make(chan struct{}, 100)
	f.d.usage = func(string) (vfs.DiskUsage, error) {
		asked <- struct{}{}
		<-back
		return vfs.DiskUsage{AvailBytes: 1 << 40}, nil
	}
	for range 2 {
		if status, text := f.ask("GET", "/readyz", ""); status != 200 {
			t.Errorf("/readyz: %d %s", status, text)
		}
	}
	if status, text := f.ask("GET", "/metrics", "", f.bearer()); status != 200 || !strings.Contains(text, `duly_problem{slug="store"} 0`) {
		t.Errorf("/metrics: %d %.200s", status, text)
	}
	if n := len(asked); n != 1 {
		t.Errorf("%d wait for the disk", n)
	}
	f.d.disk.end(f.d.disk.begin()) // it knows of writes from then on
	f.d.disk.mu.Lock()
	f.d.disk.writes[0] = time.Now().Add(-hanging)
	f.d.disk.mu.Unlock()
	if status, text := f.ask("GET", "/metrics", "", f.bearer()); status != 200 || !strings.Contains(text, `duly_problem{slug="store"} 1`) {
		t.Errorf("/metrics of a disk that hangs: %d %.200s", status, text)
	}
	f.d.disk.end(0)
}
