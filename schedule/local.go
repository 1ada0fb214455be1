package schedule

// AtLocal is once, when the wall clock of an IANA zone shows civil: 2006-01-02T15:04, with seconds and a fraction of them
// if need be, or a date alone for its midnight. Where the clock shows it twice it is the first time; where it never does,
// because clocks are put forward over it, it is the first instant after the gap. It is resolved here and now: a later
// change of the zone's rules does not move it.
func AtLocal(civil, zone string) Schedule {
	s := Schedule{kind: KindAt}
	t, end, m := parseCivil(civil)
	switch {
	case m.want == formatWant, m.want == "" && end != len(civil):
		return s.fail("at", clip(civil), "a date and a time of day without an offset, such as 2026-12-24T18:00, or a date alone")
	case m.want != "":
		return s.fail("at", clip(civil), m.want)
	}
	loc, m := loadZone(zone)
	if m.want != "" {
		return s.fail("at", clip(zone), m.want)
	}
	return At(resolve(t, loc))
}
