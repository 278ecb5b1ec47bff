package main

import (
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roost/internal/cmdtest"
)

// contributorsPages are the pages in docs that are not for operators.
var contributorsPages = []string{
	"architecture.md", "extensions.md", "licenses.md",
	"benchmarking.md", // each of its commands measures for minutes
}

// notRun is what the pages for operators, the README and the comments in deploy have in blocks
// and no test runs. A line of it is a line of a block, or the first line of a whole one.
var notRun = []struct {
	page, line string
	block      bool // the whole block
	why        string
}{
	{"README.md", "make test                     # optional: runs all tests; installs the Debian packages that they need", false, "runs this test, and all others"},
	{"docs/start.md", "example.org.  A     203.0.113.5", true, "records of the DNS"},
	{"docs/start.md", "xmpp.example.org.               A    203.0.113.5", true, "records of the DNS"},
	{"docs/install.md", "dnf install ./roost-*.x86_64.rpm", false, "needs Fedora; test/dist installs the package with rpm"},
	{"docs/install.md", "docker build -t roost -f deploy/container/Dockerfile .", true, "needs the Docker daemon; test/dist runs what the Dockerfile makes, TestDeployedContainers reads the other file"},
	{"docs/install.md", "head -c 32 /dev/urandom > secret", true, "needs a cluster of Kubernetes; TestKubernetes reads the file"},
	{"docs/certificates.md", "roost serve --domain example.org --acme letsencrypt --acme-agree --acme-email admin@example.org --acme-http :80", false, "asks a real authority for a certificate; test/interop.TestACME does it with one of its own"},
	{"docs/certificates.md", "location /.well-known/acme-challenge/ {", true, "configuration of nginx"},
	{"docs/certificates.md", "PROGRAM present _acme-challenge.example.org. TEXT", true, "what the server runs"},
	{"docs/certificates.md", "ACME           example.org: its certificate COULD NOT BE RENEWED; the next attempt is in 19 min, 3 failed: …", true, "what a command shows"},
	{"docs/certificates.md", `tls-cert = "/etc/roost/example.org.crt"`, true, "there are no such files; TestNewcomer runs install.md with them"},
	{"docs/certificates.md", `install -m 644 "$RENEWED_LINEAGE/fullchain.pem" /etc/roost/example.org.crt`, true, "what certbot runs"},
	{"docs/secure.md", "systemd-analyze security roost", false, "needs systemd; test/dist.TestDebianContents verifies the units offline"},
	{"docs/migrate.md", `{"format":"roost accounts","version":1}`, true, "what is in a file"},
	{"docs/tuning.md", "roost check [--sessions N] [--json] [the flags, the environment or the config file of roost serve]", true, "a synopsis"},
	{"docs/tuning.md", "systemd-run --pipe --wait -p User=roost -p LimitNOFILE=1048576 roost check --sessions 1000000 --config /etc/roost/roost.toml --data /var/lib/roost", false, "needs systemd"},
	{"docs/tuning.md", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled", true, "changes the kernel of the machine"},
	{"docs/websocket.md", "location = /xmpp-websocket {", true, "configuration of nginx"},
	{"docs/admin.md", "  14:03:02.118 romeo@example.org/phone is traced until 14:08:02; text is hidden", true, "what a command shows"},
	{"docs/admin.md", `  {"time":"2026-11-28T09:30:00.123Z","actor":"root (uid 0)","action":"session.end","object":"romeo@example.org/phone","params":{"text":"Goodbye"},"result":"ok"}`, true, "what is in a file"},
	{"docs/admin.md", "ssh -L 5280:/var/lib/roost/admin.sock root@server.example", false, "needs another machine"},
	{"docs/admin.md", `  {"error": {"code": "not-found", "message": "there is no path /v1/stauts", "hint": "…"}}`, true, "what a request returns"},
}

// TestPages runs every command of the pages for operators as it is written, but for the place
// of files, ports, and the names of other servers. Not those that other tests run: blocks
// marked sh, which test/dist.TestNewcomer runs as root in a machine of their own, and the
// requests and commands of TestDocumentedAdministration.
func TestPages(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	pages := make(map[string]string)
	for name, text := range cmdtest.Documents(t) {
		dir, file := filepath.Split(name)
		if name == "README.md" || dir == "docs/" && !slices.Contains(contributorsPages, file) {
			pages[name] = text
		}
	}
	// The first page invites somebody whose account the others use. The first of the last ones
	// stops the server, the other needs that.
	first, last := "docs/registration.md", []string{"docs/upgrade.md", "docs/storage.md"}
	order := slices.DeleteFunc(slices.Sorted(maps.Keys(pages)), func(name string) bool { return name == first || slices.Contains(last, name) })
	s := newScene(t)
	ran, skipped := 0, make(map[int]bool)
	for _, name := range slices.Concat([]string{first}, order, last) {
		t.Run(filepath.Base(name), func(t *testing.T) {
			s.startPage(t, name, pages[name])
			for _, b := range cmdtest.Blocks(pages[name]) {
				if listed(name, b.First(), true, skipped) || b.Fence == "sh" && inNewcomersRun(name, pages[name], b) {
					continue
				}
				if b.Fence != "" {
					t.Errorf("the block that begins with %q is not run: list it in notRun, or indent it by four spaces", b.First())
					continue
				}
				ran++
				s.runBlock(b, func(line string) bool {
					return strings.Contains(line, "mysql://") || // test/interop has such databases
						listed(name, line, false, skipped) || slices.Contains(administrationPages, name) && administrationCommand.MatchString("    "+line)
				})
			}
		})
	}
	for i, n := range notRun {
		if !skipped[i] {
			t.Errorf("notRun: %s has no %q any more", n.page, n.line)
		}
	}
	if ran < 40 {
		t.Errorf("only %d blocks were run: the test no longer finds them", ran)
	}
}

// inNewcomersRun reports whether TestNewcomer runs a block that is marked sh.
func inNewcomersRun(page, text string, b cmdtest.Block) bool {
	return slices.ContainsFunc(slices.Concat(cmdtest.Newcomers...), func(p cmdtest.Part) bool {
		return "docs/"+p.Page == page && slices.Contains(p.Commands(text), b.Text)
	})
}

// listed reports whether a line or block is in notRun, and notes that.
func listed(page, line string, block bool, skipped map[int]bool) bool {
	for i, n := range notRun {
		if n.page == page && n.line == line && n.block == block {
			skipped[i] = true
			return true
		}
	}
	return false
}
