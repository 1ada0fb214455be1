package schedule

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/dulyhq/duly/internal/zonedb"
)

// zoneDirs are where package time looks for zones, in its order, after the directory that ZONEINFO names.
var zoneDirs = []string{"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"}

// TZData says which version of the time zone database zones are read from, such as "2026a, /usr/share/zoneinfo", or that it
// is the copy that comes with Go: what was decided about daylight saving after that version is not in it.
func TZData() string {
	if v := zonedb.Current().Version; v != "" {
		return v
	}
	dirs := zoneDirs
	if env := os.Getenv("ZONEINFO"); env != "" {
		dirs = append([]string{env}, dirs...)
	}
	return zoneData(dirs)
}

func zoneData(dirs []string) string {
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "Europe", "Berlin")); err != nil { //nolint:gosec // where package time reads, too
			continue
		}
		if v := firstLine(filepath.Join(dir, "+VERSION")); v != "" {
			return v + ", " + dir
		}
		if v, ok := strings.CutPrefix(firstLine(filepath.Join(dir, "tzdata.zi")), "# version "); ok {
			return v + ", " + dir
		}
		return "of unknown version, " + dir
	}
	return "the copy of " + runtime.Version()
}

// zoneNames are the names in the database of the system, as far as it lies in files.
var zoneNames = sync.OnceValue(func() (names []string) {
	for _, dir := range zoneDirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			name := strings.TrimPrefix(filepath.ToSlash(path), dir+"/")
			switch {
			case err != nil || len(names) > 10_000:
				return fs.SkipAll
			case d.IsDir() && (name == "right" || name == "posix"):
				return fs.SkipDir
			case !d.IsDir() && name[0] >= 'A' && name[0] <= 'Z':
				names = append(names, name)
			}
			return nil
		})
		if len(names) > 0 {
			return names
		}
	}
	return nil
})

// likelyZone returns the name that was probably meant by one that is none: the same but for a letter or two, or the city
// alone. It is empty where there is no such name.
func likelyZone(name string) string {
	best, least := "", min(3, 1+len(name)/4)
	for _, zone := range zoneNames() {
		if _, city, ok := strings.Cut(zone, "/"); ok && strings.EqualFold(city, name) {
			return zone
		}
		if d := distance(strings.ToLower(zone), strings.ToLower(name), least); d < least {
			best, least = zone, d
		}
	}
	return best
}

// distance is how many letters must be put in, taken out or replaced to make a of b, or limit if that is less.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(d, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return min(row[len(b)], limit)
}

// firstLine returns the first line of a file, or "" for none; a line that is no version's is cut.
func firstLine(path string) string {
	f, err := os.Open(path) //nolint:gosec // where package time reads, too
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	s := bufio.NewScanner(f)
	if !s.Scan() || len(s.Text()) > 64 {
		return ""
	}
	return strings.TrimSpace(s.Text())
}
