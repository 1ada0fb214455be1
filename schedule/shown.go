package schedule

import (
	"slices"
	"time"
)

// shownAt returns all instants at which the clocks of loc show a reading: one as a rule, none where they are put forward over it, two
// where they are put back. It is for any location, also one that is not of the IANA database; a zone has a table of its own.
func shownAt(c civil, loc *time.Location) (all []time.Time) {
	for _, near := range [...]int64{-daySeconds, 0, daySeconds} {
		// A zone's clocks are not changed twice within two days, so the offsets on either side of any change are among these.
		_, offset := time.Unix(int64(c)+near, 0).In(loc).Zone()
		t := time.Unix(int64(c)-int64(offset), 0).In(loc)
		if _, there := t.Zone(); there == offset && !slices.ContainsFunc(all, t.Equal) {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// gapEnd returns the first instant after the gap that swallows a reading, which no clock of loc shows.
func gapEnd(c civil, loc *time.Location) time.Time {
	change, _ := lateBy(c, loc).ZoneBounds()
	return change
}

// lateBy returns the instant that is as much later than the beginning of the gap as the reading that it swallows is.
func lateBy(c civil, loc *time.Location) time.Time {
	_, before := time.Unix(int64(c)-daySeconds, 0).In(loc).Zone()
	return time.Unix(int64(c)-int64(before), 0).In(loc)
}
