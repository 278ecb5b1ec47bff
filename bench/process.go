package bench

import (
	"bytes"
	"errors"
	"fmt"
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

// ReadUsage reads the usage of processes, all together, from /proc.
func ReadUsage(pids ...int) (all Usage, err error) {
	for _, pid := range pids {
		u, err := readUsage(pid)
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
