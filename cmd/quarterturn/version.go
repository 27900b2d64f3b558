package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quarterturn-dev/quarterturn/rotator"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "quarterturn %s %s\n", version(), runtime.Version())
			return err
		},
	}
}

// version is that of the module, where it was installed as one; or else that of the source,
// with the commit where Go knows it.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return rotator.Release + " (" + s.Value[:min(12, len(s.Value))] + ")"
			}
		}
		if strings.HasPrefix(info.Main.Version, "v") {
			return info.Main.Version
		}
	}
	return rotator.Release
}
