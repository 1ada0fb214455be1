//go:build !unix

package daemon

import (
	"context"
	"io/fs"
	"net"
	"os"
	"strings"
)

// bindSocket binds a unix socket. Who may connect is what the directory's access list says, which by default is its owner.
func bindSocket(ctx context.Context, path string) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "unix", path)
}

// tooOpen says nothing here: the mode of a file is not its access list.
func tooOpen(fs.FileInfo, fs.FileMode) string { return "" }

// foreign says nothing here: whose a file is says its access list.
func foreign(fs.FileInfo, int) string { return "" }

var (
	reloadSignal os.Signal // there is none
	endSignals   = []os.Signal{os.Interrupt}
)

// Signals are those that a daemon wants to be told of.
func Signals() []os.Signal { return endSignals }

// taken and refused go by the words of the system, whose numbers package syscall does not have.
func taken(err error) bool {
	return strings.Contains(err.Error(), "Only one usage of each socket address")
}

func refused(err error) bool { return strings.Contains(err.Error(), "actively refused") }
