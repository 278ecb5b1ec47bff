package capacity

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
)

// tree is a simulated machine: file names and contents. It meets all requirements of a
// million sessions over TLS; each test degrades something.
type tree map[string]string

func goodTree() tree {
	return tree{
		"proc/self/limits":                                            limitsFile("1048576", "1048576"),
		"proc/self/cgroup":                                            "0::/system.slice/roost.service\n",
		"proc/self/status":                                            "Name:\troost\nCpus_allowed:\tffff\nCpus_allowed_list:\t0-15\n",
		"proc/meminfo":                                                meminfoFile(60_000_000, 0),
		"proc/sys/fs/nr_open":                                         "1048576\n",
		"proc/sys/fs/file-max":                                        "9223372036854775807\n",
		"proc/sys/fs/file-nr":                                         "1856\t0\t9223372036854775807\n",
		"proc/sys/fs/epoll/max_user_watches":                          "14000000\n",
		"proc/sys/net/ipv4/tcp_mem":                                   "786432\t1048576\t2097152\n",
		"proc/sys/net/ipv4/tcp_rmem":                                  "4096\t16384\t262144\n",
		"proc/sys/net/ipv4/tcp_wmem":                                  "4096\t16384\t262144\n",
		"proc/sys/net/core/somaxconn":                                 "32768\n",
		"proc/sys/net/ipv4/tcp_max_syn_backlog":                       "32768\n",
		"proc/sys/net/ipv4/tcp_syncookies":                            "1\n",
		"proc/sys/net/ipv4/ip_local_port_range":                       "32768\t60999\n",
		"proc/sys/vm/swappiness":                                      "60\n",
		"sys/kernel/mm/transparent_hugepage/enabled":                  "always [madvise] never\n",
		"sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none": "511\n",
	}
}

func limitsFile(soft, hard string) string {
	return fmt.Sprintf("Limit                     Soft Limit           Hard Limit           Units     \n"+
		"Max cpu time              unlimited            unlimited            seconds   \n"+
		"Max open files            %-20s %-20s files     \n", soft, hard)
}

// meminfoFile returns /proc/meminfo with memory and swap in kilobytes.
func meminfoFile(available, swap int64) string {
	return fmt.Sprintf("MemTotal:       65000000 kB\nMemFree: 100 kB\nMemAvailable:   %d kB\nSwapTotal:      %d kB\n", available, swap)
}

// with returns the tree with other files; an empty content removes a file.
func (t tree) with(pairs ...string) tree {
	other := maps.Clone(t)
	for i := 0; i < len(pairs); i += 2 {
		if other[pairs[i]] = pairs[i+1]; pairs[i+1] == "" {
			delete(other, pairs[i])
		}
	}
	return other
}

func (t tree) host() Host {
	files := make(fstest.MapFS)
	for name, content := range t {
		files[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return Host{Root: files, PageSize: 4096}
}

func million() Plan { return Plan{Sessions: 1_000_000} }

// named returns the check with that name, or nil if there is none.
func named(t *testing.T, checks []Check, name string) *Check {
	t.Helper()
	var found *Check
	for i := range checks {
		if checks[i].Name == name {
			if found != nil {
				t.Errorf("two checks are named %s", name)
			}
			found = &checks[i]
		}
	}
	return found
}

// complete fails unless each check, whatever its result, explains it.
func complete(t *testing.T, c Check) {
	t.Helper()
	if c.Name == "" || c.Area == "" || c.Title == "" || c.Found == "" {
		t.Errorf("incomplete: %+v", c)
	}
	if c.Status == OK && len(c.Fix) > 0 {
		t.Errorf("%s is ok, but has the fix %q", c.Name, c.Fix)
	}
	if c.Status == Fail && len(c.Fix) == 0 {
		t.Errorf("%s fails without a fix", c.Name)
	}
	for _, m := range c.Fix {
		if m == "" || strings.ContainsAny(m, "\n") {
			t.Errorf("%s: fix %q", c.Name, m)
		}
	}
}
