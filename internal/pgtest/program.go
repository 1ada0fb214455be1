package pgtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	patience = 2 * time.Minute       // how long anything may take, on a machine with better to do
	pause    = 10 * time.Millisecond // between two questions whether something has come about
)

// A program is one of PostgreSQL's that runs, with its guard.
//
//	this process ──guard──> sh ──starts──> postgres ──forks──> its children
//	             <──life──────────────────────┴──────────────────┘
//
// The guard's pipe ends when this process does, by whatever cause: then the shell ends the program and removes its directory. The
// other pipe ends when the program and all its children are gone: that is how we wait for them, and no goroutine is needed for it.
type program struct {
	name  string
	cmd   *exec.Cmd // the shell
	guard *os.File
	life  *os.File
	pid   int // the program's
}

// guardian is the shell's script. Standard input is the guard's pipe, standard output the life's, standard error the log; $1 is the
// directory, the command follows. It signals again and again, because a program that has only begun may ignore what it is told, and
// removes again and again, because children of one that was killed may still be writing.
const guardian = `
dir=$1; shift
"$@" 3>&1 1>&2 </dev/null &
child=$!
echo "$child"
exec >&2
read -r word
if [ "$word" = ended ]; then
	wait "$child"
	exit
fi
signal=QUIT; rounds=0
while kill -"$signal" "$child" 2>/dev/null; do
	kill -CONT "$child" 2>/dev/null
	sleep 0.1
	rounds=$((rounds + 1))
	if [ "$rounds" -ge 100 ]; then signal=KILL; fi
done
rounds=0
until rm -rf "$dir" 2>/dev/null || [ "$rounds" -ge 50 ]; do
	sleep 0.1
	rounds=$((rounds + 1))
done
`

// launch starts a program in a directory, as a user that PostgreSQL accepts. What it prints goes to output.
func launch(dir string, output *os.File, path string, args ...string) (*program, error) {
	p := &program{name: filepath.Base(path)}
	hear, guard, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	defer hear.Close() //nolint:errcheck // it is the shell's
	life, alive, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.name, err), guard.Close())
	}
	p.guard, p.life = guard, life
	p.cmd = exec.Command("/bin/sh", append([]string{"-c", guardian, "guard", dir, path}, args...)...)
	p.cmd.Dir, p.cmd.Env = dir, environment()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = hear, alive, output
	if err = apart(p.cmd); err == nil {
		err = p.cmd.Start()
	}
	if err = errors.Join(err, alive.Close()); err == nil {
		err = p.hearPID()
	}
	if err != nil {
		err = fmt.Errorf("start %s: %w", p.name, err)
		return nil, errors.Join(err, guard.Close(), life.Close()) // the guard ends it, if it is there
	}
	return p, nil
}

// hearPID reads the line that the shell writes first.
func (p *program) hearPID() error {
	if err := p.life.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var line strings.Builder
	for b := make([]byte, 1); ; line.Write(b) {
		if _, err := io.ReadFull(p.life, b); err != nil {
			return fmt.Errorf("the shell does not say which process it has started: %w", err)
		}
		if b[0] == '\n' {
			break
		}
	}
	pid, err := strconv.Atoi(line.String())
	p.pid = pid
	return err
}

// ended waits until the program and all its children are gone, and returns false if some are left after the time.
func (p *program) ended(within time.Duration) bool {
	if err := p.life.SetReadDeadline(time.Now().Add(within)); err != nil {
		return true // reap has closed it
	}
	_, err := io.Copy(io.Discard, p.life)
	return !errors.Is(err, os.ErrDeadlineExceeded) || atEnd(p.life) // a busy machine has the time over before it has looked once
}

// reap takes leave of a program that has ended, and returns how.
func (p *program) reap() error {
	_, _ = p.guard.WriteString("ended\n") // a guard that is not there needs no word
	if err := errors.Join(p.cmd.Wait(), p.guard.Close(), p.life.Close()); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// finish waits for a program that ends by itself. One that does not is killed.
func (p *program) finish(within time.Duration) error {
	if p.ended(within) {
		return p.reap()
	}
	return errors.Join(fmt.Errorf("%s: still runs after %s", p.name, within), p.kill())
}

func (p *program) signal(sig os.Signal) error { return signal(p.pid, sig) }

func signal(pid int, sig os.Signal) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	defer process.Release() //nolint:errcheck // it holds nothing but a number, or a file of the kernel's
	if err := process.Signal(sig); err != nil {
		return fmt.Errorf("signal process %d: %w", pid, err)
	}
	return nil
}

// kill ends the program and all its children by SIGKILL, so that none of them can do one more thing, and reaps it. All are frozen
// first: then none starts another, which would be nobody's child once it is killed, and none reaps one, so that their numbers stay theirs.
func (p *program) kill() error {
	if err := p.signal(freeze); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	frozen := map[int]bool{}
	until := time.Now().Add(patience)
	for seen := 0; seen < 2; seen++ { // a child may come to be between the look at who is there and that at what its parent does
		all, err := processes()
		if err != nil {
			return fmt.Errorf("find the children of process %d: %w", p.pid, err)
		}
		more := !all[p.pid].still && all[p.pid].parent != 0
		for _, pid := range descendants(p.pid, all) {
			if !frozen[pid] {
				_ = signal(pid, freeze) // it may have ended
				frozen[pid], more = true, true
			}
			more = more || !all[pid].still
		}
		if more && time.Now().Before(until) && !p.ended(pause) {
			seen = -1
		}
	}
	for pid := range frozen {
		_ = signal(pid, syscall.SIGKILL) // it may have ended
	}
	if err := p.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	if !p.ended(patience) {
		return fmt.Errorf("%s: killed, and still there after %s", p.name, patience)
	}
	_ = p.reap() // that it was killed is no news
	return nil
}

// A process is what is known of one.
type process struct {
	parent int
	still  bool // it is stopped, or has ended and was not reaped
}

// processes returns all that there are.
func processes() (map[int]process, error) {
	all, err := processesInProc()
	if err != nil {
		all, err = processesByPS()
	}
	return all, err
}

// descendants returns the children of a process and theirs, those included that have ended and were not reaped.
func descendants(pid int, all map[int]process) (below []int) {
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		for child, is := range all {
			if is.parent == next[0] {
				below, next = append(below, child), append(next, child)
			}
		}
	}
	return below
}

// processesInProc returns them as Linux tells of them in files.
func processesInProc() (map[int]process, error) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	if len(stats) == 0 {
		return nil, errors.New("/proc has no processes")
	}
	all := map[int]process{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		behind := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // the name before may contain anything
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		if err != nil || len(behind) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(string(behind[1])); err == nil {
			all[pid] = process{parent, isStill(behind[0][0])}
		}
	}
	return all, nil
}

// isStill says of a process's state, as ps and Linux write it, whether nothing of it goes on.
func isStill(state byte) bool { return state == 'T' || state == 't' || state == 'Z' || state == 'X' }

// processesByPS returns them as ps tells of them.
func processesByPS() (map[int]process, error) {
	path, err := exec.LookPath("ps")
	if err != nil {
		return nil, err
	}
	text, err := printed(path, "-A", "-o", "pid=", "-o", "ppid=", "-o", "stat=")
	if err != nil {
		return nil, err
	}
	all := map[int]process{}
	for line := range strings.Lines(text) {
		var pid, parent int
		var state string
		if _, err := fmt.Sscan(line, &pid, &parent, &state); err == nil {
			all[pid] = process{parent, isStill(state[0])}
		}
	}
	return all, nil
}
