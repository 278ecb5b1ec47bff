package capacity

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// deployed reads a file in deploy.
func deployed(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sysctlFile returns the settings in a sysctl file, by the names of their files.
func sysctlFile(t *testing.T, text string) map[string]string {
	t.Helper()
	settings := make(map[string]string)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(strings.TrimPrefix(line, "-"), " = ")
		if !found {
			t.Errorf("not a setting: %q", line)
		}
		settings[key(name)] = value
	}
	return settings
}

// stockTree is a large machine with the default settings of a distribution, a firewall
// and swap: it has the resources for a million sessions, but does not allow them.
func stockTree() tree {
	return goodTree().with(
		"proc/self/limits", limitsFile("1024", "524288"),
		"proc/sys/fs/nr_open", "1048576",
		"proc/sys/fs/epoll/max_user_watches", "900000",
		"proc/sys/net/ipv4/tcp_mem", "92000 123000 184000",
		"proc/sys/net/ipv4/tcp_rmem", "4096 131072 6291456",
		"proc/sys/net/ipv4/tcp_wmem", "4096 16384 4194304",
		"proc/sys/net/core/somaxconn", "4096",
		"proc/sys/net/ipv4/tcp_max_syn_backlog", "512",
		"proc/sys/net/ipv4/tcp_syncookies", "0",
		"proc/sys/net/netfilter/nf_conntrack_max", "262144",
		"proc/sys/net/netfilter/nf_conntrack_count", "1000",
		"proc/meminfo", meminfoFile(60_000_000, 8_000_000),
		"proc/sys/vm/swappiness", "60",
	)
}

// TestDeploy: with the settings in deploy, a machine that could not serve a million
// sessions can, without a warning.
func TestDeploy(t *testing.T) {
	stock := stockTree()
	if worst, failed, _ := Overall(Machine(stock.host(), million())); worst != Fail || failed < 4 {
		t.Fatalf("the stock machine passes: %d checks fail", failed)
	}
	limit := regexp.MustCompile(`(?m)^LimitNOFILE=(\d+)$`).FindStringSubmatch(deployed(t, "roost.service"))
	if limit == nil {
		t.Fatal("the unit sets no limit of open files")
	}
	tuned := stock.with("proc/self/limits", limitsFile(limit[1], limit[1]))
	settings := sysctlFile(t, deployed(t, "90-roost.conf"))
	for name, value := range settings {
		if _, known := stock[name]; !known {
			t.Errorf("/%s: no check uses it", name)
		}
		tuned[name] = value
	}
	for _, c := range Machine(tuned.host(), million()) {
		if c.Status != OK {
			t.Errorf("%s is %v: found %s, needs %s", c.Name, c.Status, c.Found, c.Needs)
		}
	}
	for name := range settings {
		if tuned[name] == stock[name] && name != key("fs.file-max") {
			t.Errorf("/%s: changes nothing on an ordinary machine", name)
		}
	}
}

// TestTuningPage: docs/tuning.md explains every setting and uses the calculation of the
// checks.
func TestTuningPage(t *testing.T) {
	doc, err := os.ReadFile("../docs/tuning.md")
	if err != nil {
		t.Fatal(err)
	}
	row := func(cells ...string) {
		t.Helper()
		if want := "| " + strings.Join(cells, " | ") + " |"; !strings.Contains(string(doc), want) {
			t.Errorf("docs/tuning.md has no row %s", want)
		}
	}
	mention := func(what string) {
		t.Helper()
		if !strings.Contains(string(doc), "`"+what+"`") {
			t.Errorf("docs/tuning.md does not mention %s", what)
		}
	}
	for name := range sysctlFile(t, deployed(t, "90-roost.conf")) {
		mention(strings.ReplaceAll(strings.TrimPrefix(name, "proc/sys/"), "/", "."))
	}
	p := Plan{Sessions: 1, Loopback: true, MemoryLimit: 1}
	checks := append(Machine(goodTree().with("sys/fs/cgroup/memory.max", "1").host(), p), Store(StoreState{Database: "roost.db", Inspected: true}, p)...)
	for _, c := range append(checks, Certificates(goodTree().host().Root, TLSPlan{})...) {
		mention(c.Name)
	}

	row("an idle session without TLS", number(PlainBytes), "the server process")
	row("an idle session with TLS 1.3", number(TLSBytes), "the server process")
	row("the same on TLS 1.2, or with `--tls-lean=false`", number(StdTLSBytes), "the server process")
	row("its socket: TCP state, inode, file, epoll entry", number(KernelBytes), "kernel slabs")
	row("connection tracking, if a firewall uses it", number(ConntrackBytes), "kernel slabs")
	row("an account with ten contacts", number(AccountBytes), "disk")
	row("a message that waits for its recipient", number(OfflineBytes), "disk")

	h := goodTree().host()
	plain, tls := Predict(h, Plan{Sessions: 1_000_000, Plain: true}), Predict(h, million())
	row("server process, all idle", size(plain.User), size(tls.User))
	row("additional while all log in", size(plain.Storm), size(tls.Storm))
	row("kernel", size(plain.Kernel), size(tls.Kernel))
	row("**total memory**", "**"+size(plain.Total())+"**", "**"+size(tls.Total())+"**")
	row("CPU time for all logins", span(1_000_000*PlainLogin), span(1_000_000*TLSLogin))
	row("… on 8 CPUs", span(1_000_000*PlainLogin/8), span(1_000_000*TLSLogin/8))
	row("disk: accounts, a message for each", size(StoreBase+1_000_000*(AccountBytes+OfflineBytes)), size(StoreBase+1_000_000*(AccountBytes+OfflineBytes)))
}
