// Package spelling is for words as people type them: the one that was probably meant. It is not for what words mean. Its central function is
// [Closest].
package spelling

import "strings"

// Closest returns the word that is at most two letters away from text, and nearest. A short text has to be nearer.
func Closest(text string, words []string) (string, bool) {
	best, limit := "", min(2, len(text)/2)+1
	for _, w := range words {
		if d := distance(strings.ToLower(text), strings.ToLower(w)); d < limit {
			best, limit = w, d
		}
	}
	return best, best != ""
}

// distance is how many letters have to be put in, taken out, changed, or swapped with the next to make b of a (optimal string
// alignment: Damerau 1964, by the recurrence of Wagner and Fischer 1974).
func distance(a, b string) int {
	const far = 1 << 10
	if len(a) > 64 || len(b) > 64 {
		return far
	}
	older, old, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range old {
		old[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			change := 1
			if a[i] == b[j] {
				change = 0
			}
			row[j+1] = min(old[j+1]+1, row[j]+1, old[j]+change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, old, row = old, row, older
	}
	return old[len(b)]
}
