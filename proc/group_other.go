//go:build !unix

package proc

import (
	"errors"
	"os"
	"syscall"
)

// group is the process alone: there is nothing that signals those that it has started.
type group struct{ process *os.Process }

func (*group) attr(Group) *syscall.SysProcAttr { return nil }

func (g *group) started(p *os.Process, _ Group) { g.process = p }

func (*group) exit() (wait func()) { return func() {} }

func (*group) terminate() error { return errors.ErrUnsupported }

func (g *group) kill() { _ = g.process.Kill() }

func (*group) alive() bool { return false }

func (*group) sure() bool { return true }

func (*group) release() {}

func signalOf(*os.ProcessState) os.Signal { return nil }

// Shell returns the arguments that have cmd.exe run a command line. It quotes by rules of its own, and not args.
func Shell(line string, args ...string) []string {
	return append([]string{"cmd", "/C", line}, args...)
}
