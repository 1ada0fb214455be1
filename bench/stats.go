package main

import (
	"slices"
	"strconv"
	"strings"
)

// spread is the middle and the ends of a figure's samples.
type spread struct {
	median, low, high float64
	samples           int
}

// of gathers a figure over samples; ok is false when none has it.
func spreadOf(samples []values, key string) (s spread, ok bool) {
	var all []float64
	for _, v := range samples {
		if x, has := v[key]; has {
			all = append(all, x)
		}
	}
	if len(all) == 0 {
		return spread{}, false
	}
	slices.Sort(all)
	mid := len(all) / 2
	s = spread{median: all[mid], low: all[0], high: all[len(all)-1], samples: len(all)}
	if len(all)%2 == 0 {
		s.median = (all[mid-1] + all[mid]) / 2
	}
	return s, true
}

// number writes a figure with thousands separated, so that a table can be read.
func number(x float64, digits int) string {
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
