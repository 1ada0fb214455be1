package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// spread is the middle and the ends of a figure's samples.
type spread struct {
	median, low, high float64
}

// spreadOf gathers a figure over samples; ok is false when none has it.
func spreadOf(samples []values, key string) (s spread, ok bool) {
	var found []float64
	for _, v := range samples {
		if x, has := v[key]; has {
			found = append(found, x)
		}
	}
	if len(found) == 0 {
		return spread{}, false
	}
	slices.Sort(found)
	mid := len(found) / 2
	s = spread{median: found[mid], low: found[0], high: found[len(found)-1]}
	if len(found)%2 == 0 {
		s.median = (found[mid-1] + found[mid]) / 2
	}
	return s, true
}

// quantile gives the smallest value that at least the share q of the sorted values does not exceed.
func quantile[T any](sorted []T, q float64) (none T) {
	if len(sorted) == 0 {
		return none
	}
	return sorted[min(max(int(math.Ceil(q*float64(len(sorted))))-1, 0), len(sorted)-1)]
}

// number writes a figure with thousands separated, so that a table can be read.
func number(x float64, digits int) string {
	text := strconv.FormatFloat(x, 'f', digits, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	return whole
}

// sizeText writes a size as people say it.
func sizeText(n int) string {
	switch {
	case n >= million && n%million == 0:
		return strconv.Itoa(n/million) + " M"
	case n >= thousand && n%thousand == 0:
		return strconv.Itoa(n/thousand) + " k"
	default:
		return strconv.Itoa(n)
	}
}
