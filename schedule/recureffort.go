package schedule

// An effort counts the steps that reading a text takes: months looked at, and times of day by the handful. No text holds its reader
// longer than maxEffort allows; what is beyond it is refused. Once a text is read nothing is counted any more, and there is none.
type effort struct{ steps int }

const (
	// maxEffort is what a text may take, in steps of about 0.1 us. What people write takes some hundreds.
	maxEffort = 80_000

	// zoneEffort is what it takes to make the table of a zone, whether it is there already or not.
	zoneEffort = 3000

	effortWant = "rules that are sooner looked through: fewer of them, a smaller COUNT, or parts that match more often"
)

func (e *effort) add(steps int) {
	if e != nil {
		e.steps += steps
	}
}

func (e *effort) over() bool { return e != nil && e.steps > maxEffort }
