package schedule

import "math/bits"

// civil is a reading of a wall clock: the seconds since 1970-01-01T00:00:00 that it would be in UTC. It says nothing of a
// zone, so some readings never occur and some occur twice.
type civil int64

const (
	daySeconds = 24 * 60 * 60
	firstYear  = 1
	lastYear   = 9999
)

// split returns the day, counted from 1970-01-01, and the second of it.
func (c civil) split() (day int64, second int) {
	day = int64(c) / daySeconds
	second = int(int64(c) - day*daySeconds)
	if second < 0 {
		day, second = day-1, second+daySeconds
	}
	return day, second
}

func makeCivil(day int64, second int) civil { return civil(day*daySeconds + int64(second)) }

// A date is a day of the proleptic Gregorian calendar.
type date struct{ year, month, day int }

// dayOf counts the days from 1970-01-01 to d, with years taken to begin in March, so that a leap day is their last
// (the algorithm is Howard Hinnant's days_from_civil).
func dayOf(d date) int64 {
	y, m := int64(d.year), int64(d.month)
	if m <= 2 {
		y, m = y-1, m+12
	}
	era := y / 400
	if y < 0 {
		era = (y - 399) / 400
	}
	ofEra := y - era*400
	ofYear := (153*(m-3)+2)/5 + int64(d.day) - 1
	return era*146097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719468
}

// dateOf is the inverse of dayOf (Howard Hinnant's civil_from_days).
func dateOf(day int64) date {
	day += 719468
	era := day / 146097
	if day < 0 {
		era = (day - 146096) / 146097
	}
	ofEra := day - era*146097
	yearOfEra := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	m := (5*ofYear + 2) / 153
	d := date{year: int(yearOfEra + era*400), month: int(m + 3), day: int(ofYear - (153*m+2)/5 + 1)}
	if d.month > 12 {
		d.year, d.month = d.year+1, d.month-12
	}
	return d
}

// weekday of a day counted from 1970-01-01, which was a Thursday: 0 is Sunday.
func weekday(day int64) int {
	w := int((day + 4) % 7)
	if w < 0 {
		w += 7
	}
	return w
}

func leap(year int) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

func monthLength(year, month int) int {
	if month == 2 {
		if leap(year) {
			return 29
		}
		return 28
	}
	return 30 + (month+month>>3)&1
}

// from returns the lowest bit of set that is not below n, and -1 if there is none.
func from(set uint64, n int) int {
	if n >= 64 {
		return -1
	}
	if set = set >> n << n; set == 0 {
		return -1
	}
	return bits.TrailingZeros64(set)
}

// upTo returns the highest bit of set that is not above n, and -1 if there is none.
func upTo(set uint64, n int) int {
	if n < 0 {
		return -1
	}
	return bits.Len64(set<<(63-n)>>(63-n)) - 1
}

// below counts the bits of set below n.
func below(set uint64, n int) int { return bits.OnesCount64(set & (1<<n - 1)) }
