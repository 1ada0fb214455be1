package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dulyhq/duly/store"
)

// A scriptRow is what a line says of one row of a call.
type scriptRow struct {
	x    *script
	keys []store.Key
	vals map[string]string // of words that take one, and "" of those that stand alone
	bad  *error            // the first thing that is wrong with the line
	raw  []scriptWord
}

// A scriptWord is a word of a line. A quoted one is a name, or the value of the word before it.
type scriptWord struct {
	text   string
	quoted bool
}

// parseLine splits a line into its verb and its rows.
func parseLine(line string) (verb string, rows []scriptRow, err error) {
	words, err := splitWords(line)
	if err != nil || len(words) == 0 {
		return "", nil, err
	}
	rows = []scriptRow{{}}
	for _, w := range words[1:] {
		if w.text == ";" && !w.quoted {
			rows = append(rows, scriptRow{})
			continue
		}
		last := &rows[len(rows)-1]
		last.raw = append(last.raw, w)
	}
	return words[0].text, rows, nil
}

// splitWords splits at spaces, but not within quotes; ; is a word of its own, and word="value" one word.
func splitWords(line string) (words []scriptWord, err error) {
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		if rest[0] == ';' {
			words, rest = append(words, scriptWord{text: ";"}), rest[1:]
			continue
		}
		end := strings.IndexAny(rest, " \t;\"")
		if end < 0 {
			end = len(rest)
		}
		if end == len(rest) || rest[end] != '"' {
			words, rest = append(words, scriptWord{text: rest[:end]}), rest[end:]
			continue
		}
		quoted, err := strconv.QuotedPrefix(rest[end:])
		if err != nil {
			return nil, fmt.Errorf("the quotes of %s do not end", rest[end:])
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, fmt.Errorf("quotes: %w", err)
		}
		words = append(words, scriptWord{text: rest[:end] + value, quoted: end == 0})
		rest = rest[end+len(quoted):]
	}
	return words, nil
}

// check sorts the row's words by what the verb takes.
func (r *scriptRow) check(verb string) error {
	v := scriptVerbs[verb]
	takes := strings.Fields(v.words)
	r.vals = map[string]string{}
	for i := 0; i < len(r.raw); i++ {
		w := r.raw[i]
		word, value, has := strings.Cut(w.text, "=")
		switch {
		case w.quoted, !has && !slices.Contains(takes, word) && !slices.Contains(takes, word+":"):
			r.keys = append(r.keys, parseKey(w.text))
			continue
		case slices.Contains(takes, word) && !has:
		case !slices.Contains(takes, word+":"):
			return fmt.Errorf("%s does not take %s", verb, w.text)
		case !has && i+1 == len(r.raw):
			return fmt.Errorf("%s needs a value", word)
		case !has:
			i++
			value = r.raw[i].text
		}
		if r.has(word) {
			return fmt.Errorf("%s is there twice", word)
		}
		r.vals[word] = value
	}
	if n := len(r.keys); n < v.least || n > v.most {
		return fmt.Errorf("%s takes %s, not %d: %v (its words are: %s)", verb, namesText(v.least, v.most), n, r.keys, v.words)
	}
	return nil
}

func namesText(least, most int) string {
	switch {
	case most == 0:
		return "no name"
	case least == 1 && most == 1:
		return "one name"
	case most == 1:
		return "at most one name"
	}
	return "names"
}

// parseKey reads "name" or "namespace/name".
func parseKey(s string) store.Key {
	if ns, name, ok := strings.Cut(s, "/"); ok {
		return store.Key{Namespace: ns, Name: name}
	}
	return store.Key{Name: s}
}

func (r *scriptRow) key() store.Key { return r.keys[0] }

func (r *scriptRow) has(word string) bool { _, ok := r.vals[word]; return ok }

func (r *scriptRow) fail(word string, err error) {
	if *r.bad == nil {
		*r.bad = fmt.Errorf("%s: %w", word, err)
	}
}

// The readers below return the zero value of a word that is not there.

func (r *scriptRow) number(word string) int64 {
	if !r.has(word) {
		return 0
	}
	n, err := strconv.ParseInt(r.vals[word], 10, 64)
	if err != nil {
		r.fail(word, fmt.Errorf("%q is no number", r.vals[word]))
	}
	return n
}

func (r *scriptRow) duration(word string) time.Duration {
	if !r.has(word) {
		return 0
	}
	d, err := parseDuration(r.vals[word])
	if err != nil {
		r.fail(word, err)
	}
	return d
}

func (r *scriptRow) instant(word string) store.Instant {
	if !r.has(word) {
		return 0
	}
	at, err := parseInstant(r.vals[word])
	if err != nil {
		r.fail(word, err)
	}
	return at
}

func (r *scriptRow) occurrence(word string) store.Occurrence {
	at := r.instant(word)
	return store.Occurrence{For: at, Due: at}
}

// when reads in D or at T, with jitter D; or the zero When.
func (r *scriptRow) when() store.When {
	switch {
	case r.has("in") && r.has("at"):
		r.fail("at", errors.New("there is in as well"))
	case r.has("in"):
		return store.In(r.duration("in"), r.duration("jitter"))
	case r.has("at"):
		at := r.instant("at")
		return store.On(store.Occurrence{For: at, Due: at.Add(r.duration("jitter"))})
	}
	return store.When{}
}

// on reads an instant as a When.
func (r *scriptRow) on(word string) store.When {
	if !r.has(word) {
		return store.When{}
	}
	return store.On(r.occurrence(word))
}

func (r *scriptRow) gen(word string) int64 { return r.labelled(word, r.x.gens) }

func (r *scriptRow) labelled(word string, l *labels) int64 {
	if !r.has(word) {
		return 0
	}
	n, err := l.number(r.key(), r.vals[word])
	if err != nil {
		r.fail(word, err)
	}
	return n
}

// one returns which of the words is there, or the first; two are too many.
func (r *scriptRow) one(words ...string) int {
	found := 0
	for i, w := range words {
		if !r.has(w) {
			continue
		}
		if found != 0 {
			r.fail(words[found], fmt.Errorf("there is %s as well", w))
		}
		found = i
	}
	return found
}

// parseDuration reads a duration of days and what time.ParseDuration takes, with a sign.
func parseDuration(s string) (time.Duration, error) {
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		d, err := parseLength(rest, s)
		return -d, err
	}
	return parseLength(strings.TrimPrefix(s, "+"), s)
}

// parseLength reads a duration without its sign, where all is what to say in an error.
func parseLength(s, all string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is no duration such as 1d12h or 250ms", all)
	var sum time.Duration
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, wrong
		}
		if sum, s = time.Duration(n)*24*time.Hour, after; s == "" {
			return sum, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || s[0] == '-' || s[0] == '+' {
		return 0, wrong
	}
	return sum + d, nil
}

// parseInstant reads what has passed since the script began, an instant in RFC 3339, or never.
func parseInstant(s string) (store.Instant, error) {
	if s == "never" {
		return store.Never, nil
	}
	if d, err := parseDuration(s); err == nil {
		return store.At(scriptStart.Add(d)), nil
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, fmt.Errorf("%q is no instant: what has passed since the beginning, 2030-02-03T04:05:06Z, or never", s)
	}
	return store.At(at), nil
}
