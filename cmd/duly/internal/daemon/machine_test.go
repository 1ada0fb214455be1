package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

// What is opened takes its share of the memory that there is, so that the group's limit is known before.
func TestRun_FitsMemoryFirst(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	c := config(t, "listen=none")
	files := map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "268435456\n"}
	opened := false
	read := func(name string) string {
		if _, err := os.Stat(c.Data); !errors.Is(err, fs.ErrNotExist) {
			opened = true
		}
		return files[name]
	}
	ctx, stop := context.WithCancel(t.Context())
	stop() // it opens all, and ends
	f := newFixture(t, shortDir(t))
	if err := runFitted(ctx, c, f.process(nil), read); err != nil {
		t.Fatal(err)
	}
	if opened {
		t.Error("the group is asked when the directory is open already")
	}
	if got := debug.SetMemoryLimit(-1); got != heapOf(256<<20) {
		t.Errorf("the runtime keeps to %d bytes of 256 MiB", got)
	}
	if log := f.log.String(); !strings.Contains(log, "memory is limited by the control group") {
		t.Errorf("the log says nothing of it:\n%s", log)
	}
}

func TestGroupMemory(t *testing.T) {
	for name, tt := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no groups": {nil, 0},
		"v2": {map[string]string{
			"/proc/self/cgroup": "0::/system.slice/duly.service\n", "/sys/fs/cgroup/system.slice/duly.service/memory.max": "268435456\n",
			"/sys/fs/cgroup/system.slice/memory.max": "max\n",
		}, 268435456},
		"v2, around it": {map[string]string{
			"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/memory.max": "1000\n",
		}, 1000},
		"v2, both": {map[string]string{
			"/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/a/b/memory.max": "3000\n", "/sys/fs/cgroup/a/memory.max": "2000\n",
		}, 2000},
		"v2, in a container": {map[string]string{"/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": "5000\n"}, 5000},
		"v1": {map[string]string{
			"/proc/self/cgroup": "9:name=systemd:/x\n4:memory:/duly\n0::/\n", "/sys/fs/cgroup/memory/duly/memory.limit_in_bytes": "7000\n",
			"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 7000},
		"v1, a path outside of the container": {map[string]string{
			"/proc/self/cgroup": "4:memory:/docker/0123\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "8000\n",
		}, 8000},
		"nonsense": {map[string]string{"/proc/self/cgroup": "\n::\n0::../../..\n0:x\n", "/sys/fs/cgroup/memory.max": "-1\n"}, 0},
	} {
		if got := groupMemory(func(name string) string { return tt.files[name] }); got != tt.want {
			t.Errorf("%s: got %d, want %d", name, got, tt.want)
		}
	}
}

func TestHeapOf(t *testing.T) {
	const mib = 1 << 20
	for most, want := range map[int64]int64{64 * mib: 48 * mib, 256 * mib: 192 * mib, 600 * mib: 536 * mib, 10_000 * mib: 9000 * mib} {
		if got := heapOf(most); got != want {
			t.Errorf("of %d MiB: got %d, want %d", most/mib, got/mib, want/mib)
		}
	}
}
