//go:build !linux

package figures

import (
	"os"
	"time"
)

// Elsewhere the figures that only Linux tells are left out.

// ProcessCPU gives 0.
func ProcessCPU() time.Duration { return 0 }

// TreeCPU does not know.
func TreeCPU(int) (time.Duration, bool) { return 0, false }

// WrittenBytes does not know.
func WrittenBytes() (int64, bool) { return 0, false }

// Resident does not know.
func Resident(int) (now, most int64, ok bool) { return 0, 0, false }

// BlocksOf gives the bytes that a file has.
func BlocksOf(info os.FileInfo) int64 { return info.Size() }

func syncData(f *os.File) error { return f.Sync() }
