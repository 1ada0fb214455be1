package cli

import (
	"errors"
	"math/rand/v2"
	"net/url"
	"path"
	"strings"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/cmd/duly/internal/crontab"
)

// madeUp makes up a name: what is to run and three characters, short enough to be typed and without any that look like another.
func madeUp(spec *api.Spec) string {
	const alphabet = "23456789bcdfghjkmnpqrstvwxz"
	var tail [3]byte
	for i := range tail {
		tail[i] = alphabet[rand.IntN(len(alphabet))]
	}
	return stem(spec) + "-" + string(tail[:])
}

// stem is the part of a name that says what is to run: the program, or the host that is asked.
func stem(spec *api.Spec) string {
	word := "task"
	switch {
	case spec.HTTP != nil:
		if u, err := url.Parse(spec.HTTP.URL); err == nil {
			word = u.Hostname()
		}
	case spec.Command == nil:
	case spec.Command.Shell != "":
		word, _, _ = strings.Cut(strings.TrimSpace(spec.Command.Shell), " ")
	case len(spec.Command.Args) > 0:
		word = spec.Command.Args[0]
	}
	return crontab.Plain(path.Base(strings.ReplaceAll(word, `\`, "/")), 20, "task")
}

func isTaken(err error) bool { return errors.Is(err, duly.ErrExists) }
