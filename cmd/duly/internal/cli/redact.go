package cli

import (
	"regexp"
	"strings"

	"github.com/dulyhq/duly/target"
)

var (
	userinfo = regexp.MustCompile(`(://[^/?#\s:@]*:)[^/?#\s@]+@`) // a password in an address
	inQuery  = regexp.MustCompile(`[?&]([^=&#\s]+)=[^&#\s]+`)     // a parameter of one
)

// redactText hides the passwords and the secret parameters of the addresses in a text.
func redactText(text string) string {
	text = userinfo.ReplaceAllString(text, "${1}"+target.Redaction+"@")
	return inQuery.ReplaceAllStringFunc(text, func(pair string) string {
		if name, _, _ := strings.Cut(pair, "="); target.IsSecret(name[1:]) {
			return name + "=" + target.Redaction
		}
		return pair
	})
}

// redactArgs hides what a command is told behind flags and variables whose names are those of secrets. The daemon shows arguments as
// they are, because it can't know what they mean; on a screen that others may see it is better to guess.
func redactArgs(args []string) []string {
	out := make([]string, len(args))
	next := false
	for i, arg := range args {
		name, _, pair := strings.Cut(arg, "=")
		dashed := strings.HasPrefix(arg, "-")
		switch {
		case next && !dashed:
			out[i] = target.Redaction
		case i > 0 && pair && target.IsSecret(name):
			out[i] = name + "=" + target.Redaction
		default:
			out[i] = redactText(arg)
		}
		next = i > 0 && !pair && strings.HasPrefix(arg, "--") && target.IsSecret(name)
	}
	return out
}
