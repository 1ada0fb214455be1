package figures

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// MountOf gives the file system that a directory lies on, with its options; what the system does not tell is unknown.
func MountOf(dir string) string {
	text, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return OrUnknown("")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return OrUnknown("")
	}
	best, said := "", OrUnknown("")
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 4 || len(f[1]) < len(best) {
			continue
		}
		if dir == f[1] || strings.HasPrefix(dir, strings.TrimSuffix(f[1], "/")+"/") {
			best, said = f[1], fmt.Sprintf("%s (%s)", f[2], f[3])
		}
	}
	return said
}

// Disk is how long a sync takes: appends of 4 KiB to a file, each with a sync of its data.
type Disk struct {
	Syncs         int
	P50, P99, Max time.Duration
}

// MeasureDisk measures the disk that a directory lies on, with a file that is gone afterwards.
func MeasureDisk(dir string, syncs int) (d Disk, err error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return d, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4<<10)
	took := make([]time.Duration, 0, syncs)
	for i := range syncs {
		binary.LittleEndian.PutUint64(block, uint64(i))
		if _, err := f.Write(block); err != nil {
			return d, fmt.Errorf("measure the disk: %w", err)
		}
		began := time.Now()
		if err := syncData(f); err != nil {
			return d, fmt.Errorf("measure the disk: %w", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return Disk{Syncs: syncs, P50: Quantile(took, 0.5), P99: Quantile(took, 0.99), Max: Quantile(took, 1)}, nil
}

// String says it as the tables of machine and settings do.
func (d Disk) String() string {
	us := func(d time.Duration) string { return Number(float64(d)/float64(time.Microsecond), 0) }
	return fmt.Sprintf("p50 %s us, p99 %s us, most %s us: fdatasync of %d appends of 4 KiB, before the run", us(d.P50), us(d.P99), us(d.Max), d.Syncs)
}

// TreeBytes gives what the files of a tree take on the disk.
func TreeBytes(tree fs.FS) (sum int64, err error) {
	err = fs.WalkDir(tree, ".", func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sum += BlocksOf(info)
		}
		return err
	})
	return sum, err
}
