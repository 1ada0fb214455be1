package cli

import (
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/schedule"
)

// zones keeps those that were loaded, since a hundred thousand requests ask for few. It holds at most maxZones: a name can be
// spelt in many ways, such as with two slashes.
var (
	zones     = map[string]*time.Location{}
	zonesLock sync.Mutex
)

const maxZones = 1000

// loadZone finds a zone by its name in the IANA database. The error is that of package schedule.
func loadZone(name string) (*time.Location, error) {
	zonesLock.Lock()
	defer zonesLock.Unlock()
	if loc, ok := zones[name]; ok {
		return loc, nil
	}
	if err := schedule.Cron("* * * * *").In(name).Err(); err != nil {
		return nil, err
	}
	loc, err := time.LoadLocation(name)
	if err == nil && len(zones) < maxZones {
		zones[name] = loc
	}
	return loc, err
}

// zoneDirs are where systems keep the zone data, as files named like the zones.
var zoneDirs = []string{"/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"}

// zoneNames lists the zones that the system knows; none where it has no such files.
func zoneNames() []string {
	var names []string
	for _, dir := range zoneDirs {
		err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && (name == "posix" || name == "right"):
				return fs.SkipDir
			case !d.IsDir() && 'A' <= name[0] && name[0] <= 'Z' && !strings.Contains(name, "."):
				names = append(names, name)
			}
			return nil
		})
		if err == nil && len(names) > 0 {
			break
		}
	}
	return names
}

// zoneHint guesses which zone was meant: in another case, by its city alone, with a space in it, or with a typing error.
func zoneHint(name string) string {
	if name == "" || len(name) > 64 {
		return ""
	}
	meant := strings.ReplaceAll(name, " ", "_")
	names := zoneNames()
	for _, n := range names {
		if strings.EqualFold(n, meant) {
			return didYouMean + n + "?"
		}
	}
	cities := map[string]string{}
	var short []string
	for _, n := range names {
		city := n[strings.LastIndex(n, "/")+1:]
		if strings.EqualFold(city, meant) {
			return didYouMean + n + "?"
		}
		cities[city] = n
		short = append(short, city)
	}
	if n, ok := wording.Closest(meant, names); ok {
		return didYouMean + n + "?"
	}
	if city, ok := wording.Closest(meant, short); ok && len(meant) > 4 {
		return didYouMean + cities[city] + "?"
	}
	return ""
}
