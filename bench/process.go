package bench

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is the resource usage of a process.
type Usage struct {
	RSS int64         // resident memory, bytes
	CPU time.Duration // user and system time, all threads
}

// clockTick is the unit of CPU time in /proc: USER_HZ is 100 on every architecture that
// Go supports.
const clockTick = time.Second / 100

// ReadUsage reads the usage of processes, all together, from /proc. The memory is what the kernel
// has counted, on each CPU for itself: with two CPUs it may be wrong by half a megabyte.
func ReadUsage(pids ...int) (all Usage, err error) { return sumUsage(readUsage, pids) }

// ReadExactUsage is ReadUsage, with the exact memory. For that the kernel looks at all pages of
// the processes, and they must be this user's and dumpable, or the user root. If they are not, or
// the kernel does not offer it, the result is that of ReadUsage.
func ReadExactUsage(pids ...int) (all Usage, err error) {
	return sumUsage(func(pid int) (Usage, error) {
		u, err := readUsage(pid)
		if err != nil {
			return u, err
		}
		rss, err := readPages(pid)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return u, nil
		}
		u.RSS = rss
		return u, err
	}, pids)
}

func sumUsage(read func(pid int) (Usage, error), pids []int) (all Usage, err error) {
	for _, pid := range pids {
		u, err := read(pid)
		if err != nil {
			return Usage{}, err
		}
		all.RSS += u.RSS
		all.CPU += u.CPU
	}
	return all, nil
}

func readUsage(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("bench: no such process: %w", err)
	}
	// The second field is the program's name in parentheses, and may contain
	// anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 22 {
		return Usage{}, errors.New("bench: /proc/PID/stat has too few fields")
	}
	var n [3]int64
	for i, at := range []int{11, 12, 21} { // utime, stime, rss
		if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return Usage{}, fmt.Errorf("bench: /proc/PID/stat: %w", err)
		}
	}
	return Usage{
		RSS: n[2] * int64(os.Getpagesize()),
		CPU: time.Duration(n[0]+n[1]) * clockTick,
	}, nil
}

// readPages returns the size of a process's resident pages in bytes.
func readPages(pid int) (int64, error) {
	name := fmt.Sprintf("/proc/%d/smaps_rollup", pid)
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("bench: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "Rss: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("bench: %s has no line that begins with Rss", name)
}
