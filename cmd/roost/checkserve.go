package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/dustin/go-humanize"

	"roost/capacity"
)

// warnCapacity logs what keeps this machine from holding as many sessions as its
// open files and its memory allow. It reads /proc and /sys, and takes no time.
func (c *serveCmd) warnCapacity(h capacity.Host, log *slog.Logger) {
	p := capacity.Plan{Plain: c.AllowPlaintext, StdTLS: !c.TLSLean, Handshakes: c.Handshakes, MemoryLimit: memoryLimit(), GCPercent: garbagePercent()}
	sessions, blockers := capacity.Estimate(h, p)
	for i := range blockers {
		w := &blockers[i]
		log.Warn("capacity", "check", w.Name, "found", w.Found, "needs", w.Needs, "sessions", sessions, "fix", strings.Join(w.Fix, "; "))
	}
	if len(blockers) > 0 {
		log.Info("open files and memory allow for more sessions than other limits of this machine", "sessions", sessions, "see", c.suggest("check"))
	}
}

// roomFor says how many clients the limit of open files allows.
func roomFor(h capacity.Host) string {
	files, sessions, err := capacity.OpenFiles(h)
	switch {
	case err != nil:
		return "unknown: " + err.Error()
	case files > 1e15:
		return "unlimited"
	}
	return fmt.Sprintf("%s, for %s clients", humanize.Comma(files), humanize.Comma(sessions))
}
