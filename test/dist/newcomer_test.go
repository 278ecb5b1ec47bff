package dist

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"roost/internal/cmdtest"
)

// newcomerPages are read in this order. Their blocks marked sh are commands.
var newcomerPages = []string{"start.md", "monitor.md", "backup.md", "upgrade.md", "troubleshooting.md"}

// journalctl is what the documents need of it.
const journalctl = "#!/bin/sh\nexec cat /var/log/test-journal\n"

// commandBlock matches a block of commands.
var commandBlock = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// TestNewcomer runs every command of the documents for newcomers as written, as root in a
// machine with nothing but the package: from its installation to the first chat, and on. What
// systemd does is done by a script (testdata/systemctl), and no authority can be reached: the
// server keeps its self-signed certificate.
func TestNewcomer(t *testing.T) {
	deb := made(t, "roost_*_"+arch+".deb")
	r := newRoot(t)
	mount(t, "proc", r.path("/proc"), "proc", 0, "")
	r.place("/root/"+filepath.Base(deb), deb, 0o644)
	r.place("/usr/local/bin/systemctl", "testdata/systemctl", 0o755)
	if err := os.WriteFile(r.path("/usr/local/bin/journalctl"), []byte(journalctl), 0o755); err != nil {
		t.Fatal(err)
	}
	all := "cd /root\n"
	for _, page := range newcomerPages {
		text, err := os.ReadFile(filepath.Join("../../docs", page))
		if err != nil {
			t.Fatal(err)
		}
		blocks := commandBlock.FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 {
			t.Errorf("%s has no commands", page)
		}
		var script strings.Builder
		for _, b := range blocks {
			script.WriteString(b[1])
		}
		if err := os.WriteFile(r.path("/root/"+page), []byte(script.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		all += fmt.Sprintf("bash -ex %s || { echo FAILED in %[1]s; exit 1; }\n", page)
	}
	all += "echo ALL DONE\n"
	t.Cleanup(func() {
		if text, err := os.ReadFile(r.path("/run/test-roost.pid")); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})

	// A network of its own, so that the ports are free.
	cmd := exec.Command("unshare", "--net", "sh", "-c", `ip link set lo up && exec chroot "$1" bash -c "$2"`, "sh", r.dir, all)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	p := cmdtest.CommandOnTerminal(t, cmd)
	shown := p.Answer(map[string]string{"Password: ": "secret\n", "Repeat password: ": "secret\n"})
	if err := cmd.Wait(); err != nil || !strings.Contains(shown, "ALL DONE") {
		t.Fatalf("%v\n%s", err, shown)
	}
	for _, want := range []string{"added romeo@example.org", "added juliet@example.org", "XMPP clients (STARTTLS): [::]:5222"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is not shown:\n%s", want, shown)
		}
	}
	t.Run("chat", func(t *testing.T) {
		// Into the network of the server; the thread ends with this goroutine.
		runtime.LockOSThread()
		net, err := os.Open("/proc/" + strings.TrimSpace(r.read("/run/test-roost.pid")) + "/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		defer net.Close()
		if err := unix.Setns(int(net.Fd()), unix.CLONE_NEWNET); err != nil {
			t.Fatal(err)
		}
		chat(t, "127.0.0.1:5223", "example.org")
	})
}

// place copies a file into the root.
func (r *root) place(name, from string, mode os.FileMode) {
	r.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(r.path(name), text, mode)
	}
	if err == nil {
		err = os.Chmod(r.path(name), mode)
	}
	if err != nil {
		r.Fatal(err)
	}
}
