package capacity

import "slices"

// resources are the checks whose limits define what a machine is meant for: its hardware
// and the operator's settings.
var resources = []string{"open-files", "memory", "cgroup-memory", "memory-limit"}

// Estimate returns the number of sessions that a machine is meant for, used when no
// number is given: the number that its open files and its memory allow. It also returns
// the other checks that fail or warn with that number. It ignores the plan's Sessions.
func Estimate(h Host, p Plan) (sessions int64, blockers []Check) {
	p.Sessions = 1
	given := slices.DeleteFunc(Machine(h, p), func(c Check) bool { return !slices.Contains(resources, c.Name) })
	sessions, limit := MaxSessions(given, 0)
	if limit == nil || sessions < 1 {
		return 0, nil
	}
	p.Sessions = int(min(sessions, maxEstimate))
	blockers = slices.DeleteFunc(Machine(h, p), func(c Check) bool {
		return c.Status == OK || slices.Contains(resources, c.Name)
	})
	return int64(p.Sessions), blockers
}

// maxEstimate is returned if neither is limited.
const maxEstimate = 10_000_000

// OpenFiles returns the hard limit of open files of this process, and the number of
// sessions that it allows.
func OpenFiles(h Host) (files, sessions int64, err error) {
	_, files, err = h.limits()
	return files, max(0, files-ServerFiles), err
}
