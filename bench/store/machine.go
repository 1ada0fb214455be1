package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dulyhq/duly/bench/figures"
)

// mountOf gives the file system that a directory lies on, with its options.
func mountOf(dir string) string {
	text, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return "unknown"
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "unknown"
	}
	best, said := "", "unknown"
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

// disk is how long a sync takes: 1,000 appends of 4 KiB to a file, each with a sync of its data.
type disk struct {
	syncs         int
	p50, p99, max time.Duration
}

func measureDisk(dir string, quick bool) (d disk, err error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return d, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	d.syncs = 1000
	if quick {
		d.syncs = 20
	}
	block := make([]byte, 4<<10)
	took := make([]time.Duration, 0, d.syncs)
	for i := range d.syncs {
		hexTo(block, mix(uint64(i)))
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
	d.p50, d.p99, d.max = figures.Quantile(took, 0.5), figures.Quantile(took, 0.99), figures.Quantile(took, 1)
	return d, nil
}

// diskBytes gives what the files of a tree take on the disk.
func diskBytes(tree fs.FS) (sum int64, err error) {
	err = fs.WalkDir(tree, ".", func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sum += blocksOf(info)
		}
		return err
	})
	return sum, err
}
