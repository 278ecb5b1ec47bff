package capacity

import "fmt"

// Suggested limits of files are multiples of fileStep. A million becomes 1,048,576.
const fileStep = 1 << 16

// openFiles checks the limits on descriptors. Each client needs one: in the process, in
// the kernel's file table and in an epoll set.
func openFiles(h Host, p Plan) []Check {
	return []Check{processFiles(h, p), nrOpen(h, p), fileMax(h, p), epollWatches(h, p)}
}

// filesNeeded returns the number of descriptors that a plan needs.
func filesNeeded(p Plan) int64 { return int64(p.Sessions) + ServerFiles }

func processFiles(h Host, p Plan) Check {
	need := filesNeeded(p)
	c := Check{Name: "open-files", Area: "files", Title: "open files of a process", Needs: number(need)}
	soft, hard, err := h.limits()
	if err != nil {
		return unknown(c, err)
	}
	c.Found = number(hard)
	c.allow(hard - ServerFiles)
	if soft < hard {
		c.Detail = []string{fmt.Sprintf("soft limit %s; roost serve raises it to the hard limit", number(soft))}
	}
	if hard < need {
		c.Status = Fail
		limit := roundUp(need, fileStep)
		c.Fix = []string{
			fmt.Sprintf("LimitNOFILE=%d        # [Service], in the systemd unit", limit),
			fmt.Sprintf("ulimit -n %d          # by hand, as root, before roost serve", limit),
		}
	}
	return c
}

func nrOpen(h Host, p Plan) Check {
	need := filesNeeded(p)
	c := Check{Name: "nr-open", Area: "files", Title: "fs.nr_open", Needs: number(need)}
	v, err := h.number(key("fs.nr_open"))
	if err != nil {
		return unknown(c, err)
	}
	c.Found = number(v)
	c.allow(v - ServerFiles)
	if v < need {
		c.Status = Fail
		c.Fix = []string{sysctl("fs.nr_open", roundUp(need, fileStep))}
	}
	return c
}

// fileMax checks the file table of the whole machine, which all processes share.
func fileMax(h Host, p Plan) Check {
	c := Check{Name: "file-max", Area: "files", Title: "fs.file-max, all processes"}
	v, err := h.number(key("fs.file-max"))
	if err != nil {
		return unknown(c, err)
	}
	var used int64
	if nr, err := h.numbers(key("fs.file-nr"), 3); err == nil {
		used = nr[0]
	}
	need := used + filesNeeded(p)
	c.Found, c.Needs = number(v), number(need)
	c.allowFurther(v - used - ServerFiles)
	if v < need {
		c.Status = Fail
		c.Detail = []string{number(used) + " files are open now"}
		// Suggest twice as many: other processes open files, too.
		c.Fix = []string{sysctl("fs.file-max", roundUp(2*need, fileStep))}
	}
	return c
}

// epollWatches checks how many descriptors one user may watch. The default is a share of
// the memory and too small on small machines.
func epollWatches(h Host, p Plan) Check {
	need := filesNeeded(p)
	c := Check{Name: "epoll-watches", Area: "files", Title: "fs.epoll.max_user_watches", Needs: number(need)}
	v, err := h.number(key("fs.epoll.max_user_watches"))
	if err != nil {
		return unknown(c, err)
	}
	c.Found = number(v)
	c.allow(v - ServerFiles)
	if v < need {
		c.Status = Fail
		c.Fix = []string{sysctl("fs.epoll.max_user_watches", roundUp(need, fileStep))}
	}
	return c
}
