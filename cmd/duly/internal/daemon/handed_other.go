//go:build !unix

package daemon

import "net"

// handedOver returns nothing: no init system here hands sockets over.
func handedOver(func(string) string, int) ([]net.Listener, error) { return nil, nil }
