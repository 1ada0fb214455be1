package target

import (
	"bytes"
	"encoding/json"
	"math"
	"math/bits"
	"strings"
	"time"
)

const (
	durationWant = `a duration as "1m30s" or "PT1M30S"`
	durationMost = 100 // bytes; what is longer is no duration that anybody means
)

// ParseDuration reads "1m30s", as [time.Duration] is written, or "PT1M30S", as ISO 8601 writes it. There a day is 24 hours and a week
// is 7 days; years and months are refused, because they have no length of their own. What is finer than a nanosecond is cut off. The
// error is an [*Error].
func ParseDuration(s string) (Duration, error) {
	d, want := parseDuration(s)
	if want != "" {
		return 0, invalid("duration", quote(s), want)
	}
	return d, nil
}

// String returns the duration as [time.Duration] writes it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText returns the duration as [time.Duration] writes it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is ParseDuration.
func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}

// MarshalJSON returns the duration as text.
func (d Duration) MarshalJSON() ([]byte, error) { return []byte(`"` + d.String() + `"`), nil }

// UnmarshalJSON reads text, by ParseDuration, and refuses everything else.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	switch {
	case bytes.Equal(b, []byte("null")):
		return nil
	case len(b) == 0 || b[0] != '"':
		return invalid("duration", quote(string(b)), durationWant+", in quotation marks")
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	return d.UnmarshalText([]byte(s))
}

// parseDuration returns what would be right, if s is not.
func parseDuration(s string) (_ Duration, want string) {
	if len(s) > durationMost {
		return 0, durationWant
	}
	unsigned := strings.TrimLeft(s, "+-")
	if strings.HasPrefix(unsigned, "P") && len(s)-len(unsigned) <= 1 {
		return parseISO(unsigned[1:], s[0] == '-')
	}
	if unsigned == "0" { // which time.ParseDuration takes
		return 0, durationWant + ", with a unit"
	}
	d, err := time.ParseDuration(s)
	switch {
	case err == nil:
		return Duration(d), ""
	case unsigned != "" && strings.Trim(unsigned, "0123456789.") == "":
		return 0, durationWant + ", with a unit"
	case strings.HasSuffix(unsigned, "d") && strings.Trim(unsigned[:len(unsigned)-1], "0123456789") == "":
		return 0, durationWant + `; days are written as "24h" or "P1D"`
	}
	return 0, durationWant
}

// part is a unit of ISO 8601, in the order in which they come. In the time of a day M is minutes.
type part struct {
	letter byte
	clock  bool // after the T
	ns     uint64
}

const day = 24 * time.Hour

var parts = [...]part{
	{'W', false, uint64(7 * day)},
	{'D', false, uint64(day)},
	{'H', true, uint64(time.Hour)},
	{'M', true, uint64(time.Minute)},
	{'S', true, uint64(time.Second)},
}

// parseISO reads what follows the P.
func parseISO(s string, negative bool) (_ Duration, want string) {
	limit := uint64(math.MaxInt64)
	if negative {
		limit++
	}
	var sum uint64
	clock, fraction, some := false, false, false
	for next := 0; s != ""; some = true {
		if s[0] == 'T' && !clock {
			clock, s = true, s[1:] // something must follow
		}
		whole, frac, letter, rest := number(s)
		if fraction || whole == "" {
			return 0, durationWant
		}
		if !clock && (letter == 'Y' || letter == 'M') {
			return 0, durationWant + ", without years and months, which differ in length"
		}
		i := next
		for i < len(parts) && (parts[i].letter != letter || parts[i].clock != clock) {
			i++
		}
		if i == len(parts) {
			return 0, durationWant
		}
		ns, ok := scale(whole, frac, parts[i].ns)
		if !ok || ns > limit-sum {
			return 0, "at most 2562047h47m16.854775807s, in nine digits after the point"
		}
		sum += ns
		fraction, next, s = frac != "", i+1, rest
	}
	if !some {
		return 0, durationWant
	}
	if negative {
		return Duration(-sum), ""
	}
	return Duration(sum), ""
}

// number splits a number off s: its digits, those after the point, and the letter behind. whole is "" if there is none.
func number(s string) (whole, frac string, letter byte, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	whole = s[:len(s)-len(rest)]
	if rest != "" && (rest[0] == '.' || rest[0] == ',') {
		s = rest[1:]
		rest = strings.TrimLeft(s, "0123456789")
		if frac = s[:len(s)-len(rest)]; frac == "" {
			return "", "", 0, ""
		}
	}
	if rest == "" {
		return "", "", 0, ""
	}
	return whole, frac, rest[0], rest[1:]
}

// scale returns how many nanoseconds a number of units is. It is not ok if they are too many, or the digits.
func scale(whole, frac string, unit uint64) (ns uint64, ok bool) {
	if len(frac) > 9 {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(whole) {
		if n = n*10 + uint64(c-'0'); n > math.MaxInt64/10 {
			return 0, false
		}
	}
	high, ns := bits.Mul64(n, unit)
	if high != 0 || ns > math.MaxInt64 {
		return 0, false
	}
	var f, one uint64 = 0, 1
	for _, c := range []byte(frac) {
		f, one = f*10+uint64(c-'0'), one*10
	}
	high, low := bits.Mul64(f, unit)
	part, _ := bits.Div64(high, low, one)
	return ns + part, true
}
