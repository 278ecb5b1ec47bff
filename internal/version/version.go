// Package version tells the version of the program.
package version

import "runtime/debug"

// Get returns the version that the Go tool recorded in the binary, and the commit, which may
// be empty.
func Get() (version, commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			commit = s.Value
		}
	}
	return info.Main.Version, commit
}
