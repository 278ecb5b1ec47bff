// Package version returns the version of the program.
package version

import (
	"runtime/debug"
	"time"
)

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

// Date returns the day of the commit, such as 2006-01-02, in UTC; "" if it is not known.
func Date() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if at, err := time.Parse(time.RFC3339, s.Value); err == nil && s.Key == "vcs.time" {
			return at.UTC().Format(time.DateOnly)
		}
	}
	return ""
}
