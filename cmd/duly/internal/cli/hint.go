package cli

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/schedule"
)

var macros = []string{"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@every"}

// periods are what people write behind "every" that is no duration.
var periods = map[string]string{
	"second": "every 1s", "minute": "every 1m", "hour": "every 1h", "day": "cron @daily", "night": "cron @midnight",
	"week": "cron @weekly", "month": "cron @monthly", "year": "cron @yearly", "weekday": "cron 0 9 * * mon-fri",
}

const didYouMean = "did you mean "

// hintFor guesses what was meant, where the mistake alone does not say it; empty for no idea.
func hintFor(text string, e *schedule.Error) string {
	switch {
	case strings.Contains(e.Want, didYouMean):
		return "" // it is said already
	case strings.Contains(e.Want, "IANA"):
		return zoneHint(e.Value)
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return ""
	}
	first := strings.ToLower(words[0])
	switch {
	case first == "every" && len(words) > 1:
		if meant, ok := periods[strings.TrimSuffix(strings.ToLower(words[1]), "s")]; ok {
			return didYouMean + meant + "?"
		}
	case len(words) == 2 && e.Field == "schedule":
		if _, err := schedule.Parse("at " + words[0] + "T" + words[1] + "Z"); err == nil {
			return didYouMean + "at " + words[0] + "T" + words[1] + "Z, or with another zone: at " + words[0] + "T" + words[1] + "[Europe/Berlin]?"
		}
	}
	switch {
	case isForm(first), strings.HasPrefix(first, "("):
	case calendarLike(text) && !slices.Contains(macros, "@"+first):
		return didYouMean + "calendar " + strings.Join(words, " ") + "?"
	case slices.Contains(macros, "@"+first):
		return "did you mean @" + first + "?"
	case first[0] == '@' && !slices.Contains(macros, first):
		if meant, ok := wording.Closest(first, macros); ok {
			return didYouMean + meant + "?"
		}
	case len(first) > 2 && e.Field == "schedule":
		if meant, ok := wording.Closest(first, forms); ok {
			return didYouMean + strings.Join(append([]string{meant}, words[1:]...), " ") + "?"
		}
	}
	return ""
}

// calendarLike says whether a text without a kind is what a systemd timer has as OnCalendar=, and nothing else: a date and a time of
// day alone are an instant.
func calendarLike(text string) bool {
	if strings.Trim(text, "0123456789-: ") == "" {
		return false
	}
	_, err := schedule.Parse("calendar " + text)
	return err == nil
}

// lsHint is what to do about a name that no task has.
const lsHint = "duly ls lists what there is"

// meant is the hint to names that no task has: which was probably meant, of those that begin with the same letter.
func (s *session) meant(ctx context.Context, unknown ...string) string {
	if len(unknown) != 1 || unknown[0] == "" {
		return lsHint
	}
	name := unknown[0]
	_, letter := utf8.DecodeRuneInString(name)
	var names, longer []string
	for _, c := range s.namesWithin(ctx, client.Query{}, name[:letter], nil) {
		n, _, _ := strings.Cut(c, "\t") // behind it is what the task does
		names = append(names, n)
		if strings.HasPrefix(n, name) {
			longer = append(longer, n)
		}
	}
	if len(longer) == 1 {
		return didYouMean + longer[0] + "?"
	}
	if meant, ok := wording.Closest(name, names); ok {
		return didYouMean + meant + "?"
	}
	return lsHint
}

// unknown is the error of names of which it is said already that no task has them.
func (s *session) unknown(ctx context.Context, names []string, output string) error {
	switch {
	case len(names) == 0:
		return nil
	case output != "table":
		return &failure{status: exitNotFound}
	}
	return &failure{status: exitNotFound, hint: s.meant(ctx, names...)}
}

// wantWord says what would be right in place of a word that is none of those given; empty if it is one of them.
func wantWord(text string, words []string) string {
	if slices.Contains(words, text) {
		return ""
	}
	last := len(words) - 1
	want := strings.Join(words[:last], ", ") + " or " + words[last]
	if meant, ok := wording.Closest(text, words); ok {
		want += "; did you mean " + meant + "?"
	}
	return want
}
