package chart

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// Machine describes this machine for Chart.Measured: processor, number of CPUs, and Go
// version.
func Machine() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	return fmt.Sprintf("%s, %d CPUs, %s", processor(string(info)), runtime.NumCPU(), runtime.Version())
}

// processor returns the processor's name from /proc/cpuinfo.
func processor(info string) string {
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}
