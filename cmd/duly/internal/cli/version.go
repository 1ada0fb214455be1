package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/dulyhq/duly/schedule"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the versions of duly, of Go and of the zone data in use",
		Example: "  duly version",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{what: fmt.Sprintf("%s takes no argument, but got %q", cmd.CommandPath(), args[0])}
	}
	return nil
}

// released is the version of a release, which packaging/build has the linker set.
var released string

// version is that of the release, else the module's.
func version() string {
	if released != "" {
		return released
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// versionText is what `duly version` prints.
func versionText() string {
	return fmt.Sprintf("duly %s\n%s %s/%s\nzone data %s\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, schedule.TZData())
}
