package pgtest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childVar tells a process of this program that it is a test's child, and what it has to do.
const childVar = "DULY_PGTEST_CHILD"

// TestMain lets no test leave a goroutine behind, also while the shared server runs.
func TestMain(m *testing.M) {
	if what := os.Getenv(childVar); what != "" {
		if err := child(what); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child is what a test's child does.
func child(what string) error {
	switch what {
	case "hold": // a server, until it is killed
		s, err := shared()
		if err != nil {
			return err
		}
		if _, err := fmt.Println(s.dir); err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, os.Stdin)
		return err
	case "serve": // once, as whoever it is
		s, err := newServer(Options{})
		if err != nil {
			return err
		}
		_, err = s.Query("", "CREATE TABLE t (n int)")
		if err == nil {
			err = s.Kill()
		}
		if err == nil {
			err = s.Start()
		}
		if err == nil {
			_, err = fmt.Println(os.Getuid())
		}
		if err := s.remove(); err != nil {
			return err
		}
		return err
	}
	return fmt.Errorf("%s=%s: it is hold or serve", childVar, what)
}

// A process that is killed leaves neither server nor directory: each process that comes from it holds a pipe open, whose end we see.
func TestGuard_Killed(t *testing.T) {
	needServer(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // it was only read
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close() //nolint:errcheck // it was only read
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"=hold", envServer+"=")
	cmd.ExtraFiles = []*os.File{null, w} // 3 and 4; the server's programs have a 3 of their own
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close() //nolint:errcheck // Wait closes it too
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 200)
	n, err := stdout.Read(line)
	dir := strings.TrimSpace(string(line[:n]))
	if err != nil || dir == "" {
		_ = cmd.Wait()
		t.Fatalf("the process says %q, %v: %s", line[:n], err, stderr.Bytes())
	}
	c, err := connect(filepath.Join(dir, ".s.PGSQL."+port), "postgres", time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it was not killed")
	}
	if err := r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Fatalf("processes are left: %v", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
	if _, err := c.query("SELECT 1"); err == nil {
		t.Error("somebody answers")
	}
}

// Who is not root can use it too.
func TestStart_NotRoot(t *testing.T) {
	needServer(t)
	dir, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is in the temporary directory
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "copy") // where everybody may run it
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), childVar+"=serve")
	if err := giveAway(copied); err != nil {
		t.Fatal(err)
	}
	if err := apart(cmd); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := strings.TrimSpace(string(out)); got == "0" || got == "" {
		t.Errorf("served as user %q", got)
	}
}

// needServer skips a test, or fails it, where no server can be started.
func needServer(t *testing.T) {
	t.Helper()
	if _, err := installed().choose(0); err != nil {
		give(t, err)
	}
}
