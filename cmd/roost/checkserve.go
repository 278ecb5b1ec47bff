package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/dustin/go-humanize"

	"roost/capacity"
)

// warnCapacity logs what prevents this machine from serving as many sessions as its open
// files and memory allow. It reads a few files of /proc and /sys, which takes little
// time.
func (c *serveCmd) warnCapacity(h capacity.Host, log *slog.Logger) {
	p := capacity.Plan{Plain: c.AllowPlaintext, StdTLS: !c.TLSLean, Handshakes: c.Handshakes, MemoryLimit: memoryLimit(), GCPercent: garbagePercent()}
	sessions, blockers := capacity.Estimate(h, p)
	for i := range blockers {
		w := &blockers[i]
		if len(w.Fix) == 0 { // the value could not be read, as often in containers
			log.Info("a check of this machine was not possible", "check", w.Name, "found", w.Found, "needs", w.Needs, "sessions", sessions)
			continue
		}
		log.Warn("a check of this machine did not pass", "check", w.Name, "found", w.Found, "needs", w.Needs, "sessions", sessions, "fix", strings.Join(w.Fix, "; "))
	}
	if len(blockers) > 0 {
		log.Info("other limits of this machine may allow fewer sessions than open files and memory do", "sessions", sessions, "see", c.suggest("check"))
	}
}

// roomFor returns how many clients the limit of open files allows.
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
