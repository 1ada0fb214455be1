// Package figures is how the programs of this module show what they measured: figures with their spread, tables, the machine
// they were taken on, and the report file with its Observations. What is measured, and how, is the programs' own. Its central
// type is Spread.
package figures

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Spread is the middle and the ends of a figure's samples.
type Spread struct {
	Median, Low, High float64
	Samples           int // how many have the figure
}

// SpreadOf gathers the figure under key over samples; ok is false when none has it.
func SpreadOf[V ~map[string]float64](samples []V, key string) (s Spread, ok bool) {
	var all []float64
	for _, v := range samples {
		if x, has := v[key]; has {
			all = append(all, x)
		}
	}
	if len(all) == 0 {
		return Spread{}, false
	}
	slices.Sort(all)
	mid := len(all) / 2
	s = Spread{Median: all[mid], Low: all[0], High: all[len(all)-1], Samples: len(all)}
	if len(all)%2 == 0 {
		s.Median = (all[mid-1] + all[mid]) / 2
	}
	return s, true
}

// Text writes the median with its unit, if it has one, and the ends where they differ.
func (s Spread) Text(digits int, unit string) string {
	text := Number(s.Median, digits)
	if unit != "" {
		text += " " + unit
	}
	if s.Low != s.High {
		text += fmt.Sprintf(" [%s-%s]", Number(s.Low, digits), Number(s.High, digits))
	}
	return text
}

// Quantile gives the smallest value that at least the share q of the sorted values does not exceed, and the zero value of none.
func Quantile[T any](sorted []T, q float64) (none T) {
	if len(sorted) == 0 {
		return none
	}
	return sorted[min(max(int(math.Ceil(q*float64(len(sorted))))-1, 0), len(sorted)-1)]
}

// Number writes a figure with thousands separated, so that a table can be read.
func Number(x float64, digits int) string {
	text := strconv.FormatFloat(x, 'f', digits, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return sign + whole
}

// Size writes a size as people say it: 10 M, 500 k, 1234.
func Size(n int) string {
	const thousand, million = 1_000, 1_000_000
	switch {
	case n >= million && n%million == 0:
		return strconv.Itoa(n/million) + " M"
	case n >= thousand && n%thousand == 0:
		return strconv.Itoa(n/thousand) + " k"
	default:
		return strconv.Itoa(n)
	}
}
