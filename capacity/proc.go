package capacity

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// readFile reads a file below root. Errors contain its absolute name, which an fs.FS does
// not know.
func readFile(root fs.FS, name string) ([]byte, error) {
	b, err := fs.ReadFile(root, name)
	var bad *fs.PathError
	if errors.As(err, &bad) {
		err = &fs.PathError{Op: bad.Op, Path: "/" + name, Err: bad.Err}
	}
	return b, err
}

// text reads a small file below root.
func (h Host) text(name string) (string, error) {
	b, err := readFile(h.Root, name)
	return strings.TrimSpace(string(b)), err
}

// numbers reads a file of at least n numbers. A number that overflows int64 and the "max"
// of control groups become the largest int64.
func (h Host) numbers(name string, n int) ([]int64, error) {
	text, err := h.text(name)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(text)
	if len(fields) < n {
		return nil, fmt.Errorf("/%s: %q is not %d numbers", name, text, n)
	}
	values := make([]int64, len(fields))
	for i, f := range fields {
		if values[i], err = parseNumber(f); err != nil {
			return nil, fmt.Errorf("/%s: %w", name, err)
		}
	}
	return values, nil
}

func parseNumber(text string) (int64, error) {
	if text == "max" || text == "unlimited" {
		return math.MaxInt64, nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return math.MaxInt64, nil
	}
	return v, err
}

// number reads a file with one number.
func (h Host) number(name string) (int64, error) {
	v, err := h.numbers(name, 1)
	if err != nil {
		return 0, err
	}
	return v[0], nil
}

// key converts the name of a sysctl to that of its file.
func key(name string) string { return "proc/sys/" + strings.ReplaceAll(name, ".", "/") }

// meminfo reads /proc/meminfo; values are in bytes.
func (h Host) meminfo() (map[string]int64, error) {
	text, err := h.text("proc/meminfo")
	if err != nil {
		return nil, err
	}
	values := make(map[string]int64)
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			if kb, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				values[name] = kb << 10
			}
		}
	}
	if _, ok := values["MemAvailable"]; !ok {
		return nil, errors.New("/proc/meminfo does not say how much memory is available")
	}
	return values, nil
}

// limits returns the soft and the hard limit of this process's open files.
func (h Host) limits() (soft, hard int64, err error) {
	text, err := h.text("proc/self/limits")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, "Max open files")
		if !found {
			continue
		}
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			break
		}
		soft, err1 := parseNumber(fields[0])
		hard, err2 := parseNumber(fields[1])
		return soft, hard, errors.Join(err1, err2)
	}
	return 0, 0, errors.New("/proc/self/limits has no limit on open files")
}

// cgroups returns the directories of this process's control group (version 2) and of its
// ancestors, innermost first: each of them may set a limit. It returns none if version 2
// is not in use.
func (h Host) cgroups() []string {
	text, err := h.text("proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(text) {
		own, found := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		if !found {
			continue
		}
		const root = "sys/fs/cgroup"
		if !fs.ValidPath(root + "/" + own) { // outside the visible hierarchy: "0::/../.."
			own = ""
		}
		var all []string
		for dir := path.Join(root, own); len(dir) >= len(root); dir = path.Dir(dir) {
			all = append(all, dir)
		}
		return all
	}
	return nil
}
