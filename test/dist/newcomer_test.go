package dist

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"roost/internal/cmdtest"
)

// standIns are programs whose place others take, with what the documents need of them. A
// machine of the tests has the kernel of this one, whose settings stay as they are.
var standIns = map[string]string{
	"journalctl": "#!/bin/sh\nexec cat /var/log/test-journal\n",
	"sysctl":     "#!/bin/sh\nexec /usr/sbin/sysctl --dry-run \"$@\"\n",
}

// TestNewcomer runs every command in the blocks of the documents that are marked sh, as written,
// as root in machines with nothing but the package or the archive: from the installation to the
// first chat, and on. What systemd does is done by a script (testdata/systemctl), and no authority
// can be reached: the server keeps its self-signed certificate. cmd/roost.TestPages knows what is
// run here.
func TestNewcomer(t *testing.T) {
	for _, parts := range cmdtest.Newcomers {
		t.Run(strings.TrimSuffix(parts[0].Page, ".md")+strings.ReplaceAll(parts[0].Heading, " ", "-"), func(t *testing.T) { newcomer(t, parts) })
	}
}

func newcomer(t *testing.T, parts []cmdtest.Part) {
	r := newRoot(t)
	mount(t, "proc", r.path("/proc"), "proc", 0, "")
	for _, pattern := range []string{"roost_*_" + arch + ".deb", "roost-*-linux-" + arch + ".tar.gz"} {
		file := made(t, pattern)
		r.place("/root/"+filepath.Base(file), file, 0o644)
	}
	r.place("/usr/local/bin/systemctl", "testdata/systemctl", 0o755)
	for name, text := range standIns {
		if err := os.WriteFile(r.path("/usr/local/bin/"+name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "60", "-subj", "/CN=example.org",
		"-addext", "subjectAltName=DNS:example.org", "-keyout", "/root/example.org.key", "-out", "/root/example.org.crt")
	all := "cd /root\n"
	for i, part := range parts {
		text, err := os.ReadFile(filepath.Join("../../docs", part.Page))
		if err != nil {
			t.Fatal(err)
		}
		commands := part.Commands(string(text))
		if len(commands) == 0 {
			t.Errorf("%v has no commands", part)
		}
		script := fmt.Sprintf("/root/%d", i)
		r.write(script, strings.Join(commands, ""))
		all += fmt.Sprintf("bash -ex %s || { echo FAILED in %s %s; exit 1; }\n", script, part.Page, part.Heading)
	}
	all += "echo ALL DONE\n"
	t.Cleanup(func() {
		if text, err := os.ReadFile(r.path("/run/test-roost.pid")); err == nil {
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})

	// A network of its own, so that the ports are free, and the firewall is nobody else's.
	cmd := exec.Command("unshare", "--net", "sh", "-c", `ip link set lo up && exec chroot "$1" bash -c "$2"`, "sh", r.dir, all)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	p := cmdtest.CommandOnTerminal(t, cmd)
	shown := p.Answer(map[string]string{"Password: ": "secret\n", "Repeat password: ": "secret\n"})
	if err := cmd.Wait(); err != nil || !strings.Contains(shown, "ALL DONE") {
		t.Fatalf("%v\n%s", err, shown)
	}
	if parts[0].Page != "start.md" {
		return
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
