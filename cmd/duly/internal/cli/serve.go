package cli

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/cmd/duly/internal/daemon"
	"github.com/dulyhq/duly/cmd/duly/internal/wording"
)

const serveLong = `Start the daemon: it keeps tasks in a directory, runs them when they are due, and answers on a unix socket and on loopback. There is
nothing to configure. What it has accepted survives kill -9 and power loss; start it again, and it goes on.

With --store postgres://user@host/database tasks are kept in a PostgreSQL database instead, where any number of daemons divide the work:
each occurrence runs once, and when one of them dies the others go on with what it had. The directory keeps the socket, the token and
what commands print.

The socket needs no token: whoever may open the file may do everything. TCP needs the token that is in the file token of the data
directory. Beyond loopback it needs TLS, or --insecure.

A setting is given by its flag, by its variable (DULY_ and its name in capitals, with _ for -), or in a YAML file by its name with _ for
-; the first of these that is there counts. --check says what comes of it, and starts nothing.

With --notify-url or --notify-command somebody is told when a task dies or expires, or is later than --notify-late; --ping-url is called
while all is well. docs/daemon.md shows what they are told.

SIGTERM and Ctrl-C end it when what runs has finished, or --drain-timeout has passed; a second one stops what runs. SIGHUP reads tokens,
certificates, webhook secrets, the log level and who is told again. docs/daemon.md says how to keep it running.`

// newServe is `duly serve`. Its --data and --socket are those by which other commands find it.
func newServe(s *session) *cobra.Command {
	var check bool
	given := daemon.Given{Flags: map[string][]string{}, Getenv: s.getenv}
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Start the daemon",
		Long:  serveLong,
		Example: `  duly serve
  duly serve --listen none --data ~/tasks
  duly serve --listen :4280 --tls-cert cert.pem --tls-key key.pem --hosts duly.example.com
  duly serve --store postgres://duly@db.example.com/duly
  duly serve --config /etc/duly.yaml --check`,
		DisableFlagsInUseLine: true,
		Args:                  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given.Data = s.data
			c, err := daemon.Load(given)
			if err != nil {
				return refusedSetting(err)
			}
			if check {
				_, err := cmd.OutOrStdout().Write([]byte(c.Report()))
				return err
			}
			signals := make(chan os.Signal, 8)
			signal.Notify(signals, daemon.Signals()...)
			defer signal.Stop(signals)
			return daemon.Run(cmd.Context(), c, daemon.Process{
				Stdout: s.Stdout, Stderr: s.Stderr, Signals: signals, Getenv: s.getenv, PID: os.Getpid(), Name: calledBy(), Version: version(),
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&given.Config, "config", "", "read settings from the YAML `FILE` (default: DULY_CONFIG, else none)")
	flags.BoolVar(&check, "check", false, "check the settings, show them and where each comes from, and start nothing")
	for i := range daemon.Settings {
		x := &daemon.Settings[i]
		v := &settingValue{setting: x, flags: given.Flags}
		flags.Var(v, x.Flag(), x.What)
		if x.Arg == "" {
			flags.Lookup(x.Flag()).NoOptDefVal = "true"
		}
	}
	for _, name := range []string{"config", "tls-cert", "tls-key", "webhook-secrets", "notify-command"} {
		if err := cmd.MarkFlagFilename(name); err != nil {
			panic(err) // no such flag
		}
	}
	return cmd
}

// refusedSetting makes an error of the settings one of the command line's, where it is one.
func refusedSetting(err error) error {
	if e, ok := errors.AsType[*daemon.ConfigError](err); ok {
		hint := e.Hint
		e.Hint = ""
		return &usageError{what: e.Error(), hint: hint}
	}
	return &usageError{what: err.Error()}
}

// A settingValue is the flag of a setting, as text: daemon.Load reads it.
type settingValue struct {
	setting *daemon.Setting
	flags   map[string][]string
}

func (v *settingValue) String() string { return "" }

func (v *settingValue) Type() string {
	if v.setting.Arg == "" {
		return "bool"
	}
	return v.setting.Arg
}

func (v *settingValue) Set(text string) error {
	values := v.setting.Values(text)
	if v.setting.List() {
		values = append(v.flags[v.setting.Key], values...)
	}
	v.flags[v.setting.Key] = values
	return nil
}

// calledBy is how whoever called this program can call it again: with `go run` there is none that stays.
func calledBy() string {
	self, err := os.Executable()
	if err != nil {
		return "duly"
	}
	if strings.Contains(filepath.ToSlash(self), "/go-build") {
		return "go run ./cmd/duly"
	}
	if found, err := exec.LookPath("duly"); err == nil && same(found, self) {
		return "duly"
	}
	return wording.Quote(self)
}

func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
