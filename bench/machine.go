package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// machine is what a reader must know to judge the figures.
type machine struct {
	cpu, kernel, hugePages, load string
	cores                        int
	goVersion, system            string
	gogc, gomaxprocs             string
	commit                       string
	modules                      map[string]string // module path to version
}

func describeMachine(ctx context.Context) machine {
	m := machine{
		cpu: cpuModel(), kernel: firstLine("/proc/sys/kernel/osrelease"),
		hugePages: chosen(firstLine("/sys/kernel/mm/transparent_hugepage/enabled")),
		load:      firstLine("/proc/loadavg"),
		cores:     runtime.NumCPU(),
		goVersion: runtime.Version(), system: runtime.GOOS + "/" + runtime.GOARCH,
		gogc: orDefault(os.Getenv("GOGC")), gomaxprocs: strconv.Itoa(runtime.GOMAXPROCS(0)),
		modules: make(map[string]string),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			m.modules[d.Path] = d.Version
		}
	}
	if out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		m.commit = strings.TrimSpace(string(out))
		if diff, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(diff) > 0 {
			m.commit += " with changes"
		}
	}
	return m
}

// residentBytes gives the process's resident set, or 0 where the platform does not tell.
func residentBytes() int64 {
	fields := strings.Fields(firstLine("/proc/self/statm"))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// firstLine gives the first line of a file, or nothing where there is no such file.
func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSpace(line)
}

// chosen gives the bracketed word of a kernel setting such as "always [madvise] never".
func chosen(setting string) string {
	_, rest, ok := strings.Cut(setting, "[")
	word, _, closed := strings.Cut(rest, "]")
	if !ok || !closed {
		return setting
	}
	return word
}

func orDefault(s string) string {
	if s == "" {
		return "default"
	}
	return s
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
