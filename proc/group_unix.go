//go:build unix

package proc

import (
	"os"
	"syscall"
)

// group is what is signalled together.
type group struct {
	handle  handle
	process *os.Process
	alone   bool // in the group of this program: only the process itself is ours
}

// attr returns what makes the process the leader of its group.
func (g *group) attr(kind Group) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: kind == NewGroup, Setsid: kind == NewSession}
	g.handle.init(a)
	return a
}

func (g *group) started(p *os.Process, kind Group) {
	g.process, g.alone = p, kind == SameGroup
	g.handle.started(p.Pid)
}

// exit returns what waits until the leader has exited, as far as that can be told without a thread; it may come back earlier.
func (g *group) exit() (wait func()) { return g.handle.exit() }

// terminate asks everybody to end; also those who were stopped.
func (g *group) terminate() error {
	if g.alone {
		return g.process.Signal(syscall.SIGTERM)
	}
	err := g.handle.signal(g.process.Pid, syscall.SIGTERM)
	if err == nil {
		_ = g.handle.signal(g.process.Pid, syscall.SIGCONT)
	}
	return err
}

// kill makes everybody end. It is called while the leader has not exited, or the group was just seen alive: without a pidfd
// its number means the group only then.
func (g *group) kill() {
	_ = g.process.Kill()
	if !g.alone {
		_ = g.handle.signal(g.process.Pid, syscall.SIGKILL)
	}
}

// alive says whether the group has members left when the leader has exited.
func (g *group) alive() bool { return !g.alone && g.handle.alive(g.process.Pid) }

// sure says whether signals to the group can hit no other one, however long it has been empty.
func (g *group) sure() bool { return g.alone || g.handle.sure() }

func (g *group) release() { g.handle.release() }

func signalOf(s *os.ProcessState) os.Signal {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return w.Signal()
	}
	return nil
}

// Shell returns the arguments that have the system's shell run a command line: pipes, lists and variables. What is not yours
// in it must be quoted; better, it is passed as an argument, "$1". A line that begins like an option is a line all the same.
func Shell(line string, args ...string) []string {
	if line != "" && (line[0] == '-' || line[0] == '+') {
		line = " " + line
	}
	return append([]string{"/bin/sh", "-c", line, "sh"}, args...)
}
