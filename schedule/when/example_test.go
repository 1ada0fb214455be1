package when_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/dulyhq/duly/schedule/when"
)

// wednesday is an afternoon in Berlin.
func wednesday() (time.Time, *time.Location) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return time.Date(2026, 12, 2, 15, 4, 5, 0, berlin), berlin
}

func ExampleRead() {
	now, berlin := wednesday()
	for _, text := range []string{"17:00", "noon tomorrow", "24 dec 18:00", "now + 3 days", "17:00 America/New_York"} {
		at, err := when.Read(text, now, berlin)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(at.In(berlin).Format(time.RFC3339))
	}
	// Output:
	// 2026-12-02T17:00:00+01:00
	// 2026-12-03T12:00:00+01:00
	// 2026-12-24T18:00:00+01:00
	// 2026-12-05T15:04:05+01:00
	// 2026-12-02T23:00:00+01:00
}

// A text that can mean two instants is refused, and both are offered.
func ExampleError() {
	now, berlin := wednesday()
	_, err := when.Read("03/04 9:00", now, berlin)
	if e, ok := errors.AsType[*when.Error](err); ok {
		fmt.Println(e.Why)
		for _, r := range e.Readings {
			fmt.Printf("%q is %s\n", r.Text, r.At.UTC().Format(time.RFC3339))
		}
	}
	// Output:
	// either number may be the month
	// "2027-03-04 09:00" is 2027-03-04T08:00:00Z
	// "2027-04-03 09:00" is 2027-04-03T07:00:00Z
}

func ExampleReadAny() {
	now, berlin := wednesday()
	at, err := when.ReadAny("yesterday 17:00", now, berlin)
	fmt.Println(at.In(berlin).Format(time.RFC3339), err)
	// Output: 2026-12-01T17:00:00+01:00 <nil>
}

// What is stored is an instant: read another day, it is still the same.
func ExampleSchedule() {
	now, berlin := wednesday()
	s, err := when.Schedule("at tomorrow 9:30 jitter 5m", now, berlin)
	fmt.Println(s, err)
	// Output: at 2026-12-03T08:30:00Z jitter 5m <nil>
}
