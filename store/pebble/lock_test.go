package pebble_test

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	pdb "github.com/cockroachdb/pebble/v2"

	"github.com/dulyhq/duly/store"
	"github.com/dulyhq/duly/store/pebble"
)

// holdDir names the directory that the test binary, run again as a process of its own, holds open until its standard input ends.
const holdDir = "DULY_TEST_HOLD"

// TestLock_Holder is no test: it is the other process of those below.
func TestLock_Holder(t *testing.T) {
	dir := os.Getenv(holdDir)
	if dir == "" {
		return
	}
	s := must[*pebble.Store](t)(pebble.Open(dir, pebble.Options{Logger: slog.New(slog.DiscardHandler)}))
	declare(t, s, "held", "by another process")
	if _, err := io.WriteString(os.Stdout, "open\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// hold starts a process that has the directory open. Let go ends it in good order.
func hold(t *testing.T, dir string) (cmd *exec.Cmd, letGo func()) {
	t.Helper()
	cmd = exec.Command(must[string](t)(os.Executable()), "-test.run=^TestLock_Holder$", "-test.count=1")
	cmd.Env = append(os.Environ(), holdDir+"="+dir)
	in := must[io.WriteCloser](t)(cmd.StdinPipe())
	out := must[io.ReadCloser](t)(cmd.StdoutPipe())
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // mostly it has ended
		_ = cmd.Wait()
	})
	for lines := bufio.NewScanner(out); ; {
		if !lines.Scan() {
			t.Fatalf("the holder ended early: %v", lines.Err())
		}
		if lines.Text() == "open" {
			break
		}
	}
	return cmd, func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Fatal(err)
		}
	}
}

func silent() pebble.Options { return pebble.Options{Logger: slog.New(slog.DiscardHandler)} }

// refusal opens a directory that can't be opened, and returns why.
func refusal(t *testing.T, dir string, o pebble.Options, want error) string {
	t.Helper()
	s, err := pebble.Open(dir, o)
	if err == nil {
		_ = s.Close()
		t.Fatalf("Open(%s) works, want %v", dir, want)
	}
	if !errors.Is(err, want) {
		t.Fatalf("Open(%s): %v, want %v", dir, err, want)
	}
	var typed *store.Error
	if !errors.As(err, &typed) || typed.Op != "open" {
		t.Errorf("Open(%s): %v, want a store.Error of open", dir, err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("Open(%s): %q, want one line", dir, err)
	}
	return err.Error()
}

// One process has a directory open at a time, and who is too late is told which one it is.
func TestLock_SameProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := must[*pebble.Store](t)(pebble.Open(dir, silent()))
	msg := refusal(t, dir, silent(), store.ErrLocked)
	for _, want := range []string{dir, "this process", "close it"} {
		if !strings.Contains(msg, want) {
			t.Errorf("%q does not say %q", msg, want)
		}
	}
	declare(t, s, "a", "b") // who was refused has done no harm
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = must[*pebble.Store](t)(pebble.Open(dir, silent()))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLock_OtherProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	cmd, letGo := hold(t, dir)
	msg := refusal(t, dir, silent(), store.ErrLocked)
	if pid := "process " + strconv.Itoa(cmd.Process.Pid); !strings.Contains(msg, pid) {
		t.Errorf("%q does not name %s", msg, pid)
	}
	letGo()
	s := must[*pebble.Store](t)(pebble.Open(dir, silent()))
	if got := must[[]*store.Task](t)(s.Get(t.Context(), []store.Key{{Name: "held"}})); got[0] == nil {
		t.Error("what the other process had put is gone")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A holder that is killed leaves nothing that keeps others out.
func TestLock_Killed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no kill -9 on windows")
	}
	dir := filepath.Join(t.TempDir(), "store")
	cmd, _ := hold(t, dir)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	s := must[*pebble.Store](t)(pebble.Open(dir, silent()))
	if got := must[[]*store.Task](t)(s.Get(t.Context(), []store.Key{{Name: "held"}})); got[0] == nil {
		t.Error("what the killed process had put is gone")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// What is no store is left as it was.
func TestOpen_Refuses(t *testing.T) {
	t.Run("no directory", func(t *testing.T) {
		if msg := refusal(t, "", silent(), store.ErrInvalid); !strings.Contains(msg, "want a directory") {
			t.Error(msg)
		}
	})
	t.Run("file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		if msg := refusal(t, path, silent(), store.ErrInvalid); !strings.Contains(msg, "not a file") {
			t.Error(msg)
		}
	})
	t.Run("below a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		refusal(t, filepath.Join(path, "store"), silent(), store.ErrInvalid)
	})
	t.Run("foreign database", func(t *testing.T) {
		dir := t.TempDir()
		db := must[*pdb.DB](t)(pdb.Open(dir, &pdb.Options{FormatMajorVersion: pdb.FormatMinSupported, Logger: mute{}}))
		if err := errors.Join(db.Set([]byte("k"), []byte("v"), pdb.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
		before := listing(t, dir)
		if msg := refusal(t, dir, silent(), store.ErrFormat); !strings.Contains(msg, "not a store's") {
			t.Error(msg)
		}
		if after := listing(t, dir); after != before {
			t.Errorf("a foreign database was changed:\n%s\nbecame\n%s", before, after)
		}
	})
	t.Run("foreign database of another order", func(t *testing.T) {
		dir := t.TempDir()
		reverse := *pdb.DefaultComparer
		reverse.Name = "another"
		db := must[*pdb.DB](t)(pdb.Open(dir, &pdb.Options{Comparer: &reverse, Logger: mute{}}))
		if err := errors.Join(db.Set([]byte("k"), []byte("v"), pdb.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
		refusal(t, dir, silent(), store.ErrFormat)
	})
	t.Run("newer database", func(t *testing.T) {
		dir := t.TempDir()
		s := must[*pebble.Store](t)(pebble.Open(dir, silent()))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		marker := must[[]string](t)(filepath.Glob(filepath.Join(dir, "marker.format-version.*")))[0]
		newer := strings.TrimSuffix(marker, filepath.Ext(marker)) + ".999"
		if err := errors.Join(os.Rename(marker, newer), os.Remove(filepath.Join(dir, "SEAL"))); err != nil {
			t.Fatal(err)
		}
		if msg := refusal(t, dir, silent(), store.ErrFormat); !strings.Contains(msg, "newer") {
			t.Error(msg)
		}
	})
	t.Run("newer format", func(t *testing.T) {
		dir := t.TempDir()
		s := must[*pebble.Store](t)(pebble.Open(dir, silent()))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "SEAL")); err != nil {
			t.Fatal(err)
		}
		db := must[*pdb.DB](t)(pdb.Open(dir, &pdb.Options{FormatMajorVersion: pdb.FormatTableFormatV6, Logger: mute{}}))
		if err := errors.Join(db.Set([]byte("mf"), []byte{0, 0, 0, 2}, pdb.Sync), db.Close()); err != nil {
			t.Fatal(err)
		}
		if msg := refusal(t, dir, silent(), store.ErrFormat); !strings.Contains(msg, "format 2, want 1") {
			t.Error(msg)
		}
	})
}

// listing shows a directory: names and sizes.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	for _, e := range must[[]os.DirEntry](t)(os.ReadDir(dir)) {
		info := must[os.FileInfo](t)(e.Info())
		b.WriteString(e.Name() + " " + strconv.FormatInt(info.Size(), 10) + "\n")
	}
	return b.String()
}

type mute struct{}

func (mute) Infof(string, ...any)  {}
func (mute) Errorf(string, ...any) {}
func (mute) Fatalf(string, ...any) {}
