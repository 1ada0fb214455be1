package crontab

import (
	"slices"
	"strings"
)

// left are the ends of names by which cronie knows what packages and editors leave behind.
var left = []string{"~", ".rpmsave", ".rpmorig", ".rpmnew"}

// PassedOver says why a cron passes over a file in /etc/cron.d, going by its name; empty if all take it.
func PassedOver(name string) string {
	if strings.HasPrefix(name, ".") || slices.ContainsFunc(left, func(end string) bool { return strings.HasSuffix(name, end) }) {
		return "cron passes over a file in cron.d of such a name, which an editor or a package has left; here it is taken"
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return "Debian's cron passes over a file in cron.d whose name has more than letters, digits, _ and -; here it is taken"
	}
	return ""
}
