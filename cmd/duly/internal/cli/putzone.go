package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// localZone returns the name in the IANA database of the zone that this process is in: what TZ says, else what the system is set to.
func (s *session) localZone() (string, error) {
	if tz, ok := s.lookupEnv("TZ"); ok {
		tz = strings.TrimPrefix(tz, ":")
		if tz == "" {
			return "UTC", nil
		}
		if name, ok := zoneOfFile(tz); ok {
			tz = name
		}
		if _, err := loadZone(tz); err == nil {
			return tz, nil
		}
		return "", &usageError{what: "TZ is " + tz + ", which is no zone of the IANA database", hint: "--zone Z says one, such as Europe/Berlin"}
	}
	if runtime.GOOS != "windows" {
		if name, ok := systemZone("/etc/localtime", "/etc/timezone"); ok {
			return name, nil
		}
	}
	// Where nothing is set, the system's time is UTC.
	if name, offset := s.Now().In(s.Local).Zone(); s.Local == time.UTC || name == "UTC" && offset == 0 {
		return "UTC", nil
	}
	return "", &usageError{what: "it is not known in which zone this machine is", hint: "--zone Z says it, such as Europe/Berlin"}
}

// systemZone finds the name by where the link localtime leads to, else in the file timezone.
func systemZone(localtime, timezone string) (string, bool) {
	if path, err := filepath.EvalSymlinks(localtime); err == nil {
		if name, ok := zoneOfFile(path); ok {
			return name, true
		}
	}
	b, err := os.ReadFile(timezone) //nolint:gosec // the system's
	name := strings.TrimSpace(string(b))
	if err != nil || name == "" {
		return "", false
	}
	_, err = loadZone(name)
	return name, err == nil
}

// zoneOfFile is the zone that a file of the zone data is for.
func zoneOfFile(path string) (string, bool) {
	_, name, ok := strings.Cut(filepath.ToSlash(path), "/zoneinfo/")
	for _, variant := range []string{"posix/", "right/"} {
		name = strings.TrimPrefix(name, variant)
	}
	if !ok {
		return "", false
	}
	if name == "Etc/UTC" {
		name = "UTC" // as everybody writes it
	}
	_, err := loadZone(name)
	return name, err == nil
}
