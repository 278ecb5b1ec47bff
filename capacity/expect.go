package capacity

import "slices"

// bounds are the checks of what a machine is given, by its makers or by its
// operator: what they allow is what it is there for.
var bounds = []string{"open-files", "memory", "cgroup-memory", "memory-limit"}

// Expect is how many sessions a machine is there for, when nobody says it: what its
// open files and its memory allow; and what stands in the way of so many. The
// plan's Sessions do not matter.
func Expect(h Host, p Plan) (sessions int64, inTheWay []Check) {
	p.Sessions = 1
	given := slices.DeleteFunc(Machine(h, p), func(c Check) bool { return !slices.Contains(bounds, c.Name) })
	sessions, first := Holds(given)
	if first == nil || sessions < 1 {
		return 0, nil
	}
	p.Sessions = int(min(sessions, maxExpected))
	inTheWay = slices.DeleteFunc(Machine(h, p), func(c Check) bool {
		return c.Status == OK || slices.Contains(bounds, c.Name)
	})
	return int64(p.Sessions), inTheWay
}

// maxExpected: where neither is limited, nobody means that.
const maxExpected = 10_000_000

// OpenFiles is the limit of open files of this process that counts, the hard one,
// and how many sessions it allows.
func OpenFiles(h Host) (files, sessions int64, err error) {
	_, files, err = h.limits()
	return files, max(0, files-ServerFiles), err
}
