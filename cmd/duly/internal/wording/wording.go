// Package wording is for words as people type them and as shells read them, for the daemon and the command line alike: the one that was
// probably meant, and one that is to be pasted.
package wording

import (
	"strings"

	"github.com/dulyhq/duly/internal/spelling"
)

// Closest returns the word that is at most two letters away from text, and nearest. A short text has to be nearer.
func Closest(text string, words []string) (string, bool) { return spelling.Closest(text, words) }

// Quote returns a word as a shell reads it.
func Quote(word string) string {
	const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"
	if word != "" && strings.Trim(word, safe) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
