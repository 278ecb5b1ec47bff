package capacity

import (
	"slices"
	"strings"
	"testing"
)

// TestGoodMachine: the machine that the other tests degrade has no problems.
func TestGoodMachine(t *testing.T) {
	checks := Machine(goodTree().host(), million())
	for _, c := range checks {
		complete(t, c)
		if c.Status != OK {
			t.Errorf("%s: %v: found %s, needs %s, %q", c.Name, c.Status, c.Found, c.Needs, c.Detail)
		}
	}
	if n, first := MaxSessions(checks, 0); first == nil || n < 1_000_000 {
		t.Errorf("the machine allows %d sessions", n)
	}
}

// TestMachine degrades one aspect at a time. fix is a part of the suggested fix.
func TestMachine(t *testing.T) {
	const cgroup = "sys/fs/cgroup/system.slice/roost.service/"
	many := func(p *Plan) { p.Sessions = 3_000_000 }
	f := func(check string, want Status, fix string, change func(*Plan), files ...string) {
		t.Helper()
		p := million()
		if change != nil {
			change(&p)
		}
		c := named(t, Machine(goodTree().with(files...).host(), p), check)
		if c == nil {
			t.Errorf("%s: no such check", check)
			return
		}
		complete(t, *c)
		if c.Status != want {
			t.Errorf("%s with %q: %v, want %v: %+v", check, files, c.Status, want, *c)
		}
		if !strings.Contains(strings.Join(c.Fix, "\n"), fix) {
			t.Errorf("%s: suggested fix %q, want %q", check, c.Fix, fix)
		}
	}
	f("open-files", Fail, "LimitNOFILE=1048576", nil, "proc/self/limits", limitsFile("1024", "524288"))
	f("open-files", Fail, "ulimit -n 3014656", many)
	f("open-files", OK, "", nil, "proc/self/limits", limitsFile("1024", "1048576"))
	f("open-files", OK, "", nil, "proc/self/limits", limitsFile("unlimited", "unlimited"))
	f("open-files", Warn, "", nil, "proc/self/limits", "")
	f("open-files", Warn, "", nil, "proc/self/limits", "Max open files\n")
	f("open-files", Warn, "", nil, "proc/self/limits", "nothing of that kind\n")
	f("nr-open", Fail, "sysctl -w fs.nr_open=1048576", nil, "proc/sys/fs/nr_open", "1000000")
	f("nr-open", Warn, "", nil, "proc/sys/fs/nr_open", "many")
	f("nr-open", Warn, "", nil, "proc/sys/fs/nr_open", "")
	// Open files of other processes count: 1,000,256 would be enough for the server
	// alone.
	f("file-max", Fail, "sysctl -w fs.file-max=", nil, "proc/sys/fs/file-max", "1001000")
	f("file-max", OK, "", nil, "proc/sys/fs/file-max", "1001000", "proc/sys/fs/file-nr", "100 0 1001000")
	f("file-max", OK, "", nil, "proc/sys/fs/file-max", "18446744073709551615")
	f("epoll-watches", Fail, "sysctl -w fs.epoll.max_user_watches=1048576", nil, "proc/sys/fs/epoll/max_user_watches", "900000")

	f("tcp-mem", Fail, `sysctl -w net.ipv4.tcp_mem="`, nil, "proc/sys/net/ipv4/tcp_mem", "90000 120000 240000")
	f("tcp-mem", Warn, `sysctl -w net.ipv4.tcp_mem="`, nil, "proc/sys/net/ipv4/tcp_mem", "287901 383868 575802")
	f("tcp-mem", OK, "", nil, "proc/sys/net/ipv4/tcp_mem", "287901 383868 1575802")
	f("tcp-mem", Warn, "", nil, "proc/sys/net/ipv4/tcp_mem", "1 2")
	f("tcp-rmem", Warn, `tcp_rmem="4096`, nil, "proc/sys/net/ipv4/tcp_rmem", "4096 1048576 6291456")
	f("tcp-rmem", OK, "", nil, "proc/sys/net/ipv4/tcp_rmem", "4096 131072 6291456")
	f("tcp-wmem", Warn, `tcp_wmem="4096`, nil, "proc/sys/net/ipv4/tcp_wmem", "65536 65536 6291456")
	f("tcp-wmem", OK, "", nil, "proc/sys/net/ipv4/tcp_wmem", "4096 16384 4194304")
	f("somaxconn", Warn, "sysctl -w net.core.somaxconn=32768", nil, "proc/sys/net/core/somaxconn", "4096")
	f("somaxconn", OK, "", func(p *Plan) { p.Sessions = 100_000 }, "proc/sys/net/core/somaxconn", "4096")
	f("syn-backlog", OK, "", nil, "proc/sys/net/ipv4/tcp_max_syn_backlog", "512")
	f("syn-backlog", Warn, "sysctl -w net.ipv4.tcp_max_syn_backlog=32768", nil, "proc/sys/net/ipv4/tcp_max_syn_backlog", "512", "proc/sys/net/ipv4/tcp_syncookies", "0")
	f("port-range", Warn, `ip_local_port_range="1024 65535"`, func(p *Plan) { p.Loopback = true })
	f("port-range", Warn, "source addresses", func(p *Plan) { p.Loopback = true }, "proc/sys/net/ipv4/ip_local_port_range", "1024 65535")
	f("port-range", OK, "", func(p *Plan) { p.Loopback, p.Sessions = true, 20_000 })

	const most, count = "proc/sys/net/netfilter/nf_conntrack_max", "proc/sys/net/netfilter/nf_conntrack_count"
	f("conntrack", OK, "", nil)
	f("conntrack", OK, "", nil, most, "262144", count, "0")
	f("conntrack", Fail, "sysctl -w net.netfilter.nf_conntrack_max=1114112", nil, most, "262144", count, "17")
	f("conntrack", Fail, "notrack", nil, most, "262144", count, "17")
	f("conntrack", OK, "", nil, most, "2000000", count, "17")

	need := Predict(goodTree().host(), million()).Total() >> 10
	f("memory", Fail, "add ", nil, "proc/meminfo", meminfoFile(need*9/10, 0))
	f("memory", Warn, "add ", nil, "proc/meminfo", meminfoFile(need*11/10, 0))
	f("memory", OK, "", nil, "proc/meminfo", meminfoFile(need*13/10, 0))
	f("memory", Warn, "", nil, "proc/meminfo", "MemTotal: 4000000 kB\n")
	f("cgroup-memory", Fail, "MemoryMax=", nil, cgroup+"memory.max", "1073741824\n", cgroup+"memory.current", "1000000\n")
	f("cgroup-memory", Fail, "MemoryMax=", nil, cgroup+"memory.max", "max\n", cgroup+"memory.high", "1073741824\n")
	f("cgroup-memory", Fail, "MemoryMax=", nil, cgroup+"memory.max", "max\n", "sys/fs/cgroup/system.slice/memory.max", "1073741824\n")
	f("cgroup-memory", OK, "", nil, cgroup+"memory.max", "68719476736\n", cgroup+"memory.current", "1000000\n")
	f("memory-limit", Fail, "roost serve --memory-limit ", func(p *Plan) { p.MemoryLimit = 100 << 20 })
	f("memory-limit", OK, "", func(p *Plan) { p.MemoryLimit = 64 << 30 })
	f("swap", Warn, "swapoff -a", nil, "proc/meminfo", meminfoFile(60_000_000, 8_000_000))
	f("swap", OK, "", nil, "proc/meminfo", meminfoFile(60_000_000, 8_000_000), "proc/sys/vm/swappiness", "1")
	f("huge-pages", Warn, "echo madvise", nil, hugePageDir+"enabled", "[always] madvise never\n")
	f("huge-pages", OK, "", nil, hugePageDir+"enabled", "[always] madvise never\n", hugePageDir+"khugepaged/max_ptes_none", "0\n")
	f("huge-pages", OK, "", nil, hugePageDir+"enabled", "")

	two := "Cpus_allowed_list:\t0-1\n"
	f("login-storm", Warn, "CPUs make it", nil, "proc/self/status", two)
	f("login-storm", Fail, "CPUs make it", many, "proc/self/status", two)
	f("login-storm", OK, "", func(p *Plan) { p.Sessions = 100_000 }, "proc/self/status", two)
	f("login-storm", Warn, "CPUs make it", nil, cgroup+"cpu.max", "200000 100000\n")
	f("login-storm", OK, "", nil, cgroup+"cpu.max", "max 100000\n")
	f("login-storm", Warn, "", nil, "proc/self/status", "Name: roost\n")
}

// TestAreas: checks that do not apply to this machine are skipped.
func TestAreas(t *testing.T) {
	checks := Machine(goodTree().host(), million())
	for _, name := range []string{"port-range", "cgroup-memory", "memory-limit"} {
		if c := named(t, checks, name); c != nil {
			t.Errorf("%+v", *c)
		}
	}
	var areas []string
	for _, c := range checks {
		if !slices.Contains(areas, c.Area) {
			areas = append(areas, c.Area)
		} else if areas[len(areas)-1] != c.Area {
			t.Errorf("%s is separate from the other checks of its area", c.Name)
		}
	}
}

// TestMaxSessions: the number of sessions that each limit allows, and the most
// restrictive limit.
func TestMaxSessions(t *testing.T) {
	checks := Machine(goodTree().with("proc/self/limits", limitsFile("1024", "20000")).host(), million())
	if n, first := MaxSessions(checks, 0); first == nil || first.Name != "open-files" || n != 20000-ServerFiles {
		t.Errorf("%d, %+v", n, first)
	}
	// Open files are limited in total. What is free is for further sessions, so with many
	// online the memory is not what limits them.
	small := goodTree().with("proc/meminfo", meminfoFile(500_000, 0))
	for online, want := range map[int64]string{0: "memory", 1_048_576: "open-files"} {
		checks = Machine(small.host(), million())
		n, first := MaxSessions(checks, online)
		if first == nil || first.Name != want || want == "memory" && n != *first.MaxSessions || want == "open-files" && n != 1_048_576-ServerFiles {
			t.Errorf("%d, %+v, with %d online", n, first, online)
		}
	}
	if n, first := MaxSessions(checks, 1000); n != *named(t, checks, "memory").MaxSessions+1000 {
		t.Errorf("%d, %+v, with 1000 online", n, first)
	}
	// The reported number of sessions fits; ten percent more do not.
	tight := goodTree().with("proc/meminfo", meminfoFile(4_000_000, 0)).host()
	c := named(t, Machine(tight, million()), "memory")
	for _, p := range []struct {
		n    int64
		want Status
	}{{*c.MaxSessions, Warn}, {*c.MaxSessions * 11 / 10, Fail}} {
		got := named(t, Machine(tight, Plan{Sessions: int(p.n)}), "memory")
		if got.Status != p.want {
			t.Errorf("%d sessions: %v, want %v", p.n, got.Status, p.want)
		}
	}
}

// TestPageCache: memory that the kernel can reclaim does not count as used.
func TestPageCache(t *testing.T) {
	const dir = "sys/fs/cgroup/system.slice/roost.service"
	h := goodTree().with(dir+"/memory.max", "1000", dir+"/memory.current", "900",
		dir+"/memory.stat", "anon 100\nfile 800\ninactive_file 500\nactive_file 250\n").host()
	if left, where, limited := h.cgroupMemory(); left != 850 || where != dir || !limited {
		t.Errorf("%d %s %v, want 850", left, where, limited)
	}
}

// TestCgroups: inside a container the group may be outside the visible hierarchy.
func TestCgroups(t *testing.T) {
	f := func(file string, want ...string) {
		t.Helper()
		if got := goodTree().with("proc/self/cgroup", file).host().cgroups(); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", file, got, want)
		}
	}
	f("0::/\n", "sys/fs/cgroup")
	f("0::/a/b\n", "sys/fs/cgroup/a/b", "sys/fs/cgroup/a", "sys/fs/cgroup")
	f("0::/../../x\n", "sys/fs/cgroup")
	f("4:memory:/a\n1:cpu:/a\n")
	f("")
}

func TestCountList(t *testing.T) {
	for list, want := range map[string]int{"0": 1, "0-3": 4, "0-1,4,8-11": 7, "": 0, "a-b": 0, "3-1": 0} {
		if got := countList(list); got != want {
			t.Errorf("%q: %d, want %d", list, got, want)
		}
	}
}

// TestPredict: the calculation shown in docs/tuning.md.
func TestPredict(t *testing.T) {
	h := goodTree().host()
	plain, tls := Predict(h, Plan{Sessions: 1_000_000, Plain: true}), Predict(h, million())
	if want := int64(BaseBytes + 1_000_000*PlainBytes); plain.User != want || plain.Storm != 1_000_000*(PlainBytes/4) {
		t.Errorf("plain: %+v, want %d", plain, want)
	}
	if want := int64(BaseBytes + 1_000_000*TLSBytes); tls.User != want || tls.Storm != 1_000_000*(TLSBytes/4)+1024*HandshakeBytes {
		t.Errorf("TLS: %+v, want %d", tls, want)
	}
	if doubled := Predict(h, Plan{Sessions: 1_000_000, Plain: true, GCPercent: 100}); doubled.Storm != 1_000_000*PlainBytes {
		t.Errorf("GOGC=100: %+v", doubled)
	}
	if limited := Predict(h, Plan{Sessions: 1_000_000, Plain: true, MemoryLimit: 8 << 30}); limited.Storm != 0 || limited.User != plain.User {
		t.Errorf("with a limit: %+v", limited)
	}
	if want := int64(1_000_000 * (KernelBytes + 1024)); plain.Kernel != want || tls.Kernel != want {
		t.Errorf("kernel: %d and %d, want %d", plain.Kernel, tls.Kernel, want)
	}
	tracked := goodTree().with("proc/sys/net/netfilter/nf_conntrack_count", "9").host()
	if got := Predict(tracked, million()).Kernel - tls.Kernel; got != 1_000_000*ConntrackBytes {
		t.Errorf("connection tracking: %d", got)
	}
}

// TestRemaining: from a limit of the whole, those online are subtracted; what is free now
// is for further sessions anyway. Checks without a limit are left out.
func TestRemaining(t *testing.T) {
	tree := goodTree().with("proc/sys/fs/file-max", "2000000", "proc/sys/fs/file-nr", "500000 0 2000000")
	p := million()
	checks := Machine(tree.host(), p)
	none, some := Remaining(checks, 0), Remaining(checks, 300_000)
	for check, want := range map[string][2]int64{
		"open-files": {1048576 - ServerFiles, 748576 - ServerFiles},
		"file-max":   {1500000 - ServerFiles, 1500000 - ServerFiles},
		"tcp-mem":    {2097152 * AwakeShare, 2097152*AwakeShare - 300_000},
	} {
		if got := [2]int64{none[check], some[check]}; got != want {
			t.Errorf("%s: %d, want %d", check, got, want)
		}
	}
	if none["memory"] == 0 || none["memory"] != some["memory"] {
		t.Errorf("memory: %d, with sessions %d", none["memory"], some["memory"])
	}
	if _, ok := none["tcp-rmem"]; ok {
		t.Error("tcp-rmem sets no limit")
	}
	if got := Remaining(checks, 2_000_000)["open-files"]; got != 0 {
		t.Errorf("open-files: %d, with more sessions than files", got)
	}
	if _, ok := Remaining(Machine(goodTree().host(), p), 1_000_000)["file-max"]; ok {
		t.Error("file-max is unlimited")
	}
}
