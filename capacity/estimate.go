package capacity

import "slices"

// resources are the checks of what a machine is given, by its makers or by its
// operator: what they allow is what it is there for.
var resources = []string{"open-files", "memory", "cgroup-memory", "memory-limit"}

// Estimate returns the number of sessions that a machine is meant for, when no number is
// given: what its open files and its memory allow; and the other checks that do not pass
// with so many. The plan's Sessions are ignored.
func Estimate(h Host, p Plan) (sessions int64, blockers []Check) {
	p.Sessions = 1
	given := slices.DeleteFunc(Machine(h, p), func(c Check) bool { return !slices.Contains(resources, c.Name) })
	sessions, limit := MaxSessions(given)
	if limit == nil || sessions < 1 {
		return 0, nil
	}
	p.Sessions = int(min(sessions, maxEstimate))
	blockers = slices.DeleteFunc(Machine(h, p), func(c Check) bool {
		return c.Status == OK || slices.Contains(resources, c.Name)
	})
	return int64(p.Sessions), blockers
}

// maxEstimate is returned where neither is limited.
const maxEstimate = 10_000_000

// OpenFiles is the limit of open files of this process that counts, the hard one,
// and how many sessions it allows.
func OpenFiles(h Host) (files, sessions int64, err error) {
	_, files, err = h.limits()
	return files, max(0, files-ServerFiles), err
}
