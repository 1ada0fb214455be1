package cli

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/api"
	"github.com/dulyhq/duly/client"
	"github.com/dulyhq/duly/internal/park"
)

const (
	// completionWithin is how long a completion may take: what comes later is of no use to whoever has pressed Tab.
	completionWithin = 300 * time.Millisecond
	// completionMost is how many names are offered.
	completionMost = 200
)

const completionLong = `Print the script by which a shell completes the commands of duly, their flags, and the names of tasks, for which it asks the daemon.

bash, for this shell and for those to come:

  source <(duly completion bash)
  duly completion bash > ~/.local/share/bash-completion/completions/duly

zsh, where compinit runs in ~/.zshrc:

  duly completion zsh > "${fpath[1]}/_duly"

fish:

  duly completion fish > ~/.config/fish/completions/duly.fish

powershell:

  duly completion powershell | Out-String | Invoke-Expression`

const completionExample = `  source <(duly completion bash)
  duly completion fish > ~/.config/fish/completions/duly.fish`

var shells = []string{"bash", "zsh", "fish", "powershell"}

func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:                   "completion SHELL",
		Short:                 "Print a script that completes commands and names: bash, zsh, fish, powershell",
		Long:                  completionLong,
		Example:               completionExample,
		DisableFlagsInUseLine: true,
		ValidArgs:             shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{what: cmd.CommandPath() + " takes the name of a shell: bash, zsh, fish or powershell", hint: "source <(duly completion bash)"}
			}
			if err := atMostOne("shell")(cmd, args); err != nil {
				return err
			}
			if want := wantWord(args[0], shells); want != "" {
				return &usageError{what: "there is no completion for " + args[0] + ": want " + want}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, w := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return bashCompletion(root, w)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			}
			return root.GenPowerShellCompletionWithDesc(w)
		},
	}
}

// bashWords is how the script for bash learns what is typed: of a package of the system's, which not every system has.
const bashWords = `_get_comp_words_by_ref "$@" cur prev words cword`

// bashAlone stands in for it.
const bashAlone = `if declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
        _get_comp_words_by_ref "$@" cur prev words cword
    else
        cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
    fi`

// bashCompletion writes a script that needs nothing but bash.
func bashCompletion(root *cobra.Command, w io.Writer) error {
	var script strings.Builder
	if err := root.GenBashCompletionV2(&script, true); err != nil {
		return err
	}
	_, err := io.WriteString(w, strings.Replace(script.String(), bashWords, bashAlone, 1))
	return err
}

// completeNames completes the names of tasks that a query selects, for at most so many arguments; 0 is any number. Where no daemon
// answers in time, it offers nothing and says nothing.
func (s *session) completeNames(q client.Query, most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		return s.namesWithin(ctx, q, begun, args), cobra.ShellCompDirectiveNoFileComp
	}
}

func (s *session) namesWithin(ctx context.Context, q client.Query, begun string, given []string) []cobra.Completion {
	ctx, stop := within(ctx, completionWithin)
	defer stop()
	c, err := s.connect()
	if err != nil {
		return nil
	}
	var names []cobra.Completion
	for q.Prefix, q.Limit = begun, completionMost; len(names) < completionMost; {
		p, err := c.ListPage(ctx, q)
		if err != nil {
			break // what was found in time is better than nothing
		}
		for i := range p.Tasks {
			t := &p.Tasks[i]
			if clean(t.Name) == t.Name && !slices.Contains(given, t.Name) { // of the others no shell could be told in a line
				names = append(names, cobra.CompletionWithDesc(t.Name, clean(cut(aboutOf(t), aboutMost))))
			}
		}
		if q.Cursor = p.Cursor; q.Cursor == "" {
			break
		}
	}
	return slices.Compact(names)
}

const aboutMost = 60

// aboutOf tells tasks of made-up names apart.
func aboutOf(t *api.Task) string {
	if what := whatOf(t); what != "" {
		return what
	}
	return t.Words
}

var errTooLate = errors.New("too late")

// within returns a context that ends after d at the latest.
func within(ctx context.Context, d time.Duration) (context.Context, func()) {
	return park.Within(ctx, d, errTooLate)
}
