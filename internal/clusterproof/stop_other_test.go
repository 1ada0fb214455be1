//go:build !unix

package clusterproof_test

import "os"

// Nothing has a process stand still here. It does not matter: there are no servers for these tests either.
var still, goOn os.Signal = os.Kill, os.Kill
