package figures

import (
	"cmp"
	"context"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
)

// Machine is what a reader must know to judge the figures. What the system does not tell is empty.
type Machine struct {
	CPU, Kernel, HugePages, Load string
	Cores                        int
	GoVersion, System            string // System is GOOS/GOARCH
	GOGC, GOMAXPROCS             string
	Commit                       string            // of the working directory, and whether it has changes
	Modules                      map[string]string // module path to version
}

// DescribeMachine asks the system, the program's build and git.
func DescribeMachine(ctx context.Context) Machine {
	m := Machine{
		CPU: cpuModel(), Kernel: firstLine("/proc/sys/kernel/osrelease"),
		HugePages: chosen(firstLine("/sys/kernel/mm/transparent_hugepage/enabled")),
		Load:      firstLine("/proc/loadavg"),
		Cores:     runtime.NumCPU(),
		GoVersion: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		GOGC: cmp.Or(os.Getenv("GOGC"), "default"), GOMAXPROCS: strconv.Itoa(runtime.GOMAXPROCS(0)),
		Modules: make(map[string]string),
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			m.Modules[d.Path] = d.Version
		}
	}
	if out, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(out))
		if diff, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(diff) > 0 {
			m.Commit += " with changes"
		}
	}
	return m
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

// OrUnknown gives what the system said, or that it said nothing.
func OrUnknown(said string) string { return cmp.Or(said, "unknown") }
