package capacity

import (
	"maps"
	"slices"
	"testing"
)

// FuzzMachine: whatever a kernel, container or sandbox returns for a file, every check
// terminates and reports something.
func FuzzMachine(f *testing.F) {
	all := stockTree().with("sys/fs/cgroup/memory.max", "max", "sys/fs/cgroup/memory.current", "1", "sys/fs/cgroup/memory.stat", "inactive_file 1",
		"sys/fs/cgroup/cpu.max", "max 100000")
	names := slices.Sorted(maps.Keys(all))
	for i, name := range names {
		f.Add(i, all[name], 1000)
	}
	for i := range names {
		for _, odd := range []string{"", "\n", "-1 -1 -1", "0 0 0", "9223372036854775807 9223372036854775807 9223372036854775807", "max max max", "[", "0::/..\n", "Cpus_allowed_list:\t-"} {
			f.Add(i, odd, 2_000_000_000)
		}
	}
	f.Fuzz(func(t *testing.T, file int, content string, sessions int) {
		spoiled := maps.Clone(all)
		spoiled[names[uint(file)%uint(len(names))]] = content
		h := spoiled.host()
		for _, p := range []Plan{
			{Sessions: 1 + int(uint32(sessions)>>1)},
			{Sessions: 1 + int(uint32(sessions)>>1), Plain: true, Loopback: true, MemoryLimit: 1 << 30},
		} {
			for _, c := range Machine(h, p) {
				complete(t, c)
				if c.MaxSessions != nil && *c.MaxSessions < 0 {
					t.Errorf("%s allows %d sessions", c.Name, *c.MaxSessions)
				}
			}
			Estimate(h, p)
		}
	})
}
