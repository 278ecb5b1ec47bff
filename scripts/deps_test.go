// Package scripts contains the tests of the scripts in this directory.
package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// programs creates a directory with shell scripts with these bodies, which take
// precedence over the system's programs, and returns the environment for it.
func programs(t *testing.T, bodies map[string]string) (dir string, env []string) {
	t.Helper()
	dir = t.TempDir()
	for name, body := range bodies {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "DIR="+dir)
}

// busy is an apt-get that finds the lock of the package lists taken twice; it records its
// arguments.
const busy = `echo "$@" >>"$DIR/calls"
case "$*" in *" update"*)
	echo x >>"$DIR/updates"
	if [ "$(wc -l <"$DIR/updates")" -le 2 ]; then
		echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 4711 (apt-get)" >&2
		exit 100
	fi
esac
`

// TestDepsWaits: the script waits for locks that another apt-get holds, also for that of
// the lists. Any other error ends it and is reported with the missing packages.
func TestDepsWaits(t *testing.T) {
	fakes := map[string]string{
		"go":         "",
		"dpkg-query": "exit 1\n", // nothing is installed
		"id":         "echo 0\n",
		"sleep":      "",
		"apt-get":    busy,
	}
	dir, env := programs(t, fakes)
	run := func(env []string) (string, error) {
		cmd := exec.Command("./deps.sh")
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(env); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	calls, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(calls)), "\n")
	if len(lines) != 4 || !strings.Contains(lines[3], "install") || !strings.Contains(lines[3], " qemu-user") {
		t.Errorf("apt-get was called with\n%s", calls)
	}
	for _, line := range lines {
		if !strings.Contains(line, "DPkg::Lock::Timeout=") {
			t.Errorf("apt-get %s: it does not wait for dpkg's lock", line)
		}
	}

	fakes["apt-get"] = "echo 'E: Unable to locate package' >&2\nexit 100\n"
	_, env = programs(t, fakes)
	out, err := run(env)
	for _, want := range []string{"Unable to locate", "missing: python3-slixmpp", "network"} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("an error of apt-get: %v, without %q:\n%s", err, want, out)
		}
	}
	// Nothing is installed for tests that cannot be built.
	fakes["go"] = "echo 'dial tcp: no such host' >&2\nexit 1\n"
	_, env = programs(t, fakes)
	if out, err := run(env); err == nil || !strings.Contains(out, "no such host") || !strings.Contains(out, "modules are missing") || strings.Contains(out, "locate") {
		t.Errorf("an error of go: %v\n%s", err, out)
	}
	fakes["go"] = ""
	// It gives up: the clock advances by an hour with each call.
	fakes["apt-get"] = "echo 'E: Unable to acquire the dpkg frontend lock' >&2\nexit 100\n"
	fakes["date"] = `echo x >>"$DIR/clock"; echo $(($(wc -l <"$DIR/clock") * 3600))` + "\n"
	_, env = programs(t, fakes)
	if out, err := run(env); err == nil || !strings.Contains(out, "after ten minutes") {
		t.Errorf("a lock that is never free: %v\n%s", err, out)
	}
}

// TestDepsNode: Node.js and npm are installed where they are missing, and left alone where
// they are there, whichever package has them.
func TestDepsNode(t *testing.T) {
	fakes := map[string]string{
		"go":         "",
		"dpkg-query": "echo install ok installed\n",
		"id":         "echo 0\n",
		"apt-get":    `echo "$@" >>"$DIR/calls"` + "\n",
	}
	run := func() (calls string) {
		t.Helper()
		dir, env := programs(t, fakes)
		for _, name := range []string{"sh", "cat", "date", "dirname", "env", "grep", "mktemp", "rm"} {
			path, err := exec.LookPath(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("./deps.sh")
		cmd.Env = append(env, "PATH="+dir) // without the system's programs
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := os.ReadFile(filepath.Join(dir, "calls"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(text)
	}
	if calls := run(); !strings.HasSuffix(calls, " nodejs npm\n") {
		t.Errorf("without Node.js, apt-get was called with %q", calls)
	}
	fakes["node"], fakes["npm"] = "", ""
	if calls := run(); calls != "" {
		t.Errorf("with Node.js, apt-get was called with %q", calls)
	}
}
