package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/dulyhq/duly"
	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
	"github.com/dulyhq/duly/target"
)

// What a task of at(1) is known by: its name is the prefix and a number.
const (
	atPrefix = "at/"
	atTag    = "at"
	queueTag = "at-queue:"
	userTag  = "at-user:"
)

// A numberedTask is one that at(1) has put, and is still to end.
type numberedTask struct {
	api.Task

	number int64
}

// asNumbered says whether a task is one that at has put, and not one that was only given such a name.
func asNumbered(t *api.Task) (numberedTask, bool) {
	digits, ok := strings.CutPrefix(t.Name, atPrefix)
	n, err := strconv.ParseInt(digits, 10, 64)
	return numberedTask{*t, n}, ok && err == nil && n > 0 && slices.Contains(t.Tags, atTag) && t.Command != nil && !t.Ended
}

// tagged returns what follows a prefix in the task's tags.
func (t *numberedTask) tagged(prefix, otherwise string) string {
	for _, tag := range t.Tags {
		if v, ok := strings.CutPrefix(tag, prefix); ok {
			return v
		}
	}
	return otherwise
}

// running says whether its shell runs.
func (t *numberedTask) running() bool { return t.State == "running" }

// list is atq, in its columns: number, date, queue, user, of which = is the queue of what runs.
func (f *atFlags) list(ctx context.Context) error {
	wanted := map[int64]bool{}
	for _, word := range f.words {
		n, err := f.number(word)
		if err != nil {
			return err
		}
		wanted[n] = true
	}
	c, err := f.s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	var all []numberedTask
	for t, err := range c.List(ctx, client.Query{Prefix: atPrefix, Tag: atTag, Limit: lsPage}) {
		if err != nil {
			return err
		}
		x, ok := asNumbered(&t)
		if ok && (len(wanted) == 0 || wanted[x.number]) && (f.queue == "" || f.queue == x.tagged(queueTag, "a")) {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b numberedTask) int {
		if by := a.at().Compare(b.at()); by != 0 {
			return by
		}
		return int(a.number - b.number)
	})
	var text strings.Builder
	for i := range all {
		t := &all[i]
		queue := t.tagged(queueTag, "a")
		if t.running() {
			queue = "="
		}
		fmt.Fprintf(&text, "%d\t%s %s %s\n", t.number, f.shown(t.at()), clean(queue), clean(t.tagged(userTag, "-")))
	}
	_, err = io.WriteString(f.s.Stdout, text.String())
	return err
}

// number reads the number of a task.
func (f *atFlags) number(word string) (int64, error) {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || n < 1 {
		return 0, &usageError{what: fmt.Sprintf("%q: want the number of what is meant", clip(word)), hint: "atq lists them"}
	}
	return n, nil
}

// each does something with each task that is named. Of those that are not there it says so, and the others are done all the same.
func (f *atFlags) each(ctx context.Context, do func(*client.Client, *numberedTask) error) error {
	numbers := make([]int64, len(f.words))
	for i, word := range f.words {
		var err error
		if numbers[i], err = f.number(word); err != nil {
			return err
		}
	}
	c, err := f.s.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	status := exitOK
	for _, n := range numbers {
		t, err := c.Get(ctx, atPrefix+strconv.FormatInt(n, 10))
		x, ok := asNumbered(&t)
		switch {
		case errors.Is(err, duly.ErrNotFound), err == nil && !ok:
			status = exitNotFound
			err = f.say("Cannot find jobid %d", n)
		case err == nil:
			err = do(c, &x)
		}
		if err != nil {
			return err
		}
	}
	if status != exitOK {
		return &failure{status: status}
	}
	return nil
}

// remove is atrm.
func (f *atFlags) remove(ctx context.Context) error {
	return f.each(ctx, func(c *client.Client, t *numberedTask) error {
		x, err := c.Cancel(ctx, t.Name)
		if err == nil && x.Outcome == "running" {
			return f.say("Warning: job %d is running, and goes on; duly cancel --running %s stops it", t.number, t.Name)
		}
		return err
	})
}

// print is at -c: a script that does what the task does.
func (f *atFlags) print(ctx context.Context) error {
	return f.each(ctx, func(_ *client.Client, t *numberedTask) error {
		_, err := io.WriteString(f.s.Stdout, scriptOf(t))
		return err
	})
}

// scriptOf is a script that does what a task does. Secrets are left out of it, as they are wherever a task is shown.
func scriptOf(t *numberedTask) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#!/bin/sh\n# duly %s, in the queue %s, of %s\n", t.Name, plainWord(t.tagged(queueTag, "a")), plainWord(t.tagged(userTag, "-")))
	mask, text, _ := strings.Cut(t.Command.Stdin, "\n")
	b.WriteString(mask + "\n")
	for _, name := range slices.Sorted(maps.Keys(t.Command.Env)) {
		value := t.Command.Env[name]
		if strings.Contains(value, target.Redaction) {
			fmt.Fprintf(&b, "# %s is set as well, and not shown\n", name)
			continue
		}
		fmt.Fprintf(&b, "%s=%s; export %s\n", name, wording.Quote(value), name)
	}
	fmt.Fprintf(&b, "cd %s || {\n\techo 'Execution directory inaccessible' >&2\n\texit 1\n}\n", wording.Quote(t.Command.Dir))
	return b.String() + text
}

// plainWord is a word in a comment of a script, which it can't end.
func plainWord(word string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, word)
}

// at is when it is due; of one that runs, when it was.
func (t *numberedTask) at() time.Time {
	if t.DueAt.IsZero() && len(t.Runs) > 0 {
		return t.Runs[0].DueAt
	}
	return t.DueAt
}
