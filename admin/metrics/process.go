package metrics

import (
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// process is what the kernel knows of this process. What could not be read is 0.
type process struct {
	cpu               time.Duration
	resident, virtual int64 // bytes
	files, maxFiles   int64
	started           time.Time
}

func readProcess() process {
	p := process{started: started}
	var usage unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &usage) == nil {
		p.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	if text, err := os.ReadFile("/proc/self/statm"); err == nil { // proc_pid_statm(5)
		_, _ = fmt.Sscan(string(text), &p.virtual, &p.resident)
		p.virtual *= int64(os.Getpagesize())
		p.resident *= int64(os.Getpagesize())
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		p.maxFiles = int64(min(limit.Cur, math.MaxInt64))
	}
	if info, err := os.Stat("/proc/self/fd"); err == nil {
		p.files = info.Size()
	}
	return p
}

// started is when the process was started, to the hundredth of a second.
var started = processStart()

// processStart reads when the process was started: its time since the boot is in ticks of
// a hundredth of a second (proc_pid_stat(5), time(7)).
func processStart() time.Time {
	now := time.Now()
	var uptime float64
	text, err := os.ReadFile("/proc/uptime")
	if err == nil {
		_, err = fmt.Sscan(string(text), &uptime)
	}
	var stat []byte
	if err == nil {
		stat, err = os.ReadFile("/proc/self/stat")
	}
	if err != nil {
		return now
	}
	// The second field, the name in parentheses, may have spaces.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const starttime = 22 - 3 // the field's number, from 1 on, less those before
	var ticks float64
	if len(fields) > starttime {
		_, _ = fmt.Sscan(fields[starttime], &ticks)
	}
	return now.Add(-time.Duration((uptime - ticks/100) * float64(time.Second)))
}
