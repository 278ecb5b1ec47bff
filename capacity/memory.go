package capacity

import (
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"
)

// memory checks whether the free memory, the limits of control groups and that of the Go
// runtime are enough for the sessions.
func memory(h Host, p Plan) []Check {
	m := Predict(h, p)
	all := []Check{freeMemory(h, p, m)}
	if left, where, ok := h.cgroupMemory(); ok {
		all = append(all, cgroupMemory(p, m, left, where))
	}
	if p.MemoryLimit > 0 {
		all = append(all, runtimeLimit(p, m))
	}
	return all
}

// sums describes how a prediction was calculated.
func (m Memory) sums() []string {
	return []string{
		fmt.Sprintf("roost  %9s: %s B per session, plus the base memory", size(m.User), humanize.Comma(m.PerUser)),
		fmt.Sprintf("storm  %9s: more while all clients log in, released afterwards", size(m.Storm)),
		fmt.Sprintf("kernel %9s: %s B per socket, with buffers for one session in %d", size(m.Kernel), humanize.Comma(m.PerSock), AwakeShare),
	}
}

// sessions returns how many sessions fit into an amount of memory.
func (m Memory) sessions(p Plan, bytes int64) int64 {
	return (bytes - BaseBytes - handshakes(p)) / (m.PerUser + m.garbage(p) + m.PerSock)
}

func freeMemory(h Host, p Plan, m Memory) Check {
	need := m.Total()
	c := Check{Name: "memory", Area: "memory", Title: "memory available", Needs: size(need), Detail: m.sums()}
	info, err := h.meminfo()
	if err != nil {
		c = unknown(c, err)
		c.Detail = append(c.Detail, m.sums()...)
		return c
	}
	free := info["MemAvailable"]
	c.Found = size(free)
	c.allowFurther(m.sessions(p, free))
	judgeMemory(&c, free, need, fmt.Sprintf("add %s of memory, or plan for fewer sessions", size(need+need/5-free)))
	return c
}

// judgeMemory fails if the memory is too small and warns if less than a fifth remains:
// storms, the page cache and other programs need memory, too.
func judgeMemory(c *Check, have, need int64, fix string) {
	switch {
	case have < need:
		c.Status = Fail
	case have < need+need/5:
		c.Status = Warn
	default:
		return
	}
	c.Fix = append(c.Fix, fix)
}

func cgroupMemory(p Plan, m Memory, left int64, where string) Check {
	need := m.Total()
	c := Check{Name: "cgroup-memory", Area: "memory", Title: "left in the control group", Found: size(left), Needs: size(need)}
	c.allowFurther(m.sessions(p, left))
	judgeMemory(&c, left, need, fmt.Sprintf("MemoryMax=%d        # [Service], in the systemd unit", roundUp(need+need/5, 1<<20)))
	if c.Status != OK {
		c.Detail = []string{"memory.max or memory.high of /" + where}
	}
	return c
}

// cgroupMemory returns the memory that control groups leave to this process, and the most
// restrictive group. Sockets and their buffers count; the page cache, which the kernel
// can reclaim, does not.
func (h Host) cgroupMemory() (left int64, where string, limited bool) {
	for _, dir := range h.cgroups() {
		limit, err := h.number(dir + "/memory.max")
		if err != nil {
			continue
		}
		if high, err := h.number(dir + "/memory.high"); err == nil {
			limit = min(limit, high)
		}
		if limit > 1<<60 {
			continue
		}
		used, _ := h.number(dir + "/memory.current")
		if room := limit - max(0, used-h.pageCache(dir)); !limited || room < left {
			left, where, limited = room, dir, true
		}
	}
	return left, where, limited
}

// pageCache returns the reclaimable part of a control group's memory.
func (h Host) pageCache(dir string) (bytes int64) {
	text, err := h.text(dir + "/memory.stat")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "active_file" || name == "inactive_file" {
			v, _ := parseNumber(value)
			bytes += v
		}
	}
	return bytes
}

// runtimeLimit checks the memory limit of the garbage collector: if the limit is smaller
// than the live heap, it collects continuously.
func runtimeLimit(p Plan, m Memory) Check {
	need := m.User + handshakes(p)
	c := Check{Name: "memory-limit", Area: "memory", Title: "limit of the Go runtime", Found: size(p.MemoryLimit), Needs: size(need)}
	c.allow((p.MemoryLimit - BaseBytes - handshakes(p)) / m.PerUser)
	judgeMemory(&c, p.MemoryLimit, need, fmt.Sprintf("roost serve --memory-limit %dMiB", roundUp(need+need/5, 1<<20)>>20))
	if c.Status == Fail {
		c.Detail = []string{"below the live memory, the garbage collector would run all the time"}
	}
	return c
}

// paging checks settings that make memory slow or larger than necessary.
func paging(h Host, _ Plan) []Check { return []Check{swap(h), hugePages(h)} }

// maxSwappiness is the largest harmless swappiness.
const maxSwappiness = 10

// swap: only the garbage collector accesses an idle session. It accesses all of them, and
// waits for every page that was swapped out.
func swap(h Host) Check {
	c := Check{Name: "swap", Area: "memory", Title: "swap", Needs: fmt.Sprintf("vm.swappiness <= %d", maxSwappiness)}
	info, err := h.meminfo()
	if err != nil {
		return unknown(c, err)
	}
	total := info["SwapTotal"]
	if total == 0 {
		c.Found = "none"
		return c
	}
	swappiness, err := h.number(key("vm.swappiness"))
	if err != nil {
		return unknown(c, err)
	}
	c.Found = fmt.Sprintf("%s, %d", size(total), swappiness)
	if swappiness > maxSwappiness {
		c.Status = Warn
		c.Detail = []string{"idle sessions are swapped out, and the garbage collector must read them all back"}
		c.Fix = []string{"swapoff -a", sysctl("vm.swappiness", 1)}
	}
	return c
}

const hugePageDir = "sys/kernel/mm/transparent_hugepage/"

// hugePages: after a storm, the kernel may refill released memory by merging a few small
// pages into huge ones.
func hugePages(h Host) Check {
	c := Check{Name: "huge-pages", Area: "memory", Title: "transparent huge pages", Needs: "madvise or never"}
	text, err := h.text(hugePageDir + "enabled")
	if err != nil {
		c.Found = "not in use"
		return c
	}
	_, rest, _ := strings.Cut(text, "[")
	c.Found, _, _ = strings.Cut(rest, "]")
	if c.Found == "" {
		return unknown(c, fmt.Errorf("/%senabled does not say which mode is selected: %q", hugePageDir, text))
	}
	if c.Found != "always" {
		return c
	}
	if none, err := h.number(hugePageDir + "khugepaged/max_ptes_none"); err == nil && none == 0 {
		c.Found += ", max_ptes_none 0"
		return c
	}
	c.Status = Warn
	c.Detail = []string{"the kernel may use memory again that roost released after a login storm"}
	c.Fix = []string{"echo madvise > /" + hugePageDir + "enabled"}
	return c
}
