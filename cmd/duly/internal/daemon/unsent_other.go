//go:build !linux

package daemon

import "net"

// limitUnsent is for the kernel of Linux.
func limitUnsent(net.Conn) {}
