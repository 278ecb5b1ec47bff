//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// minNode is the oldest version of Node.js that xmpp.js runs on. Debian 12 has an older one.
const minNode = 20

// noRegistry matches what npm writes if it cannot reach its registry.
var noRegistry = regexp.MustCompile(`ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED`)

// nodePackages installs the packages of folder's lock file and returns a copy of the folder
// with them. It skips the test if there is no suitable Node.js, or no registry.
func nodePackages(t *testing.T, folder string) string {
	t.Helper()
	version, err := exec.Command("node", "--version").Output()
	if err != nil {
		t.Skipf("no Node.js: %v", err)
	}
	if m := regexp.MustCompile(`^v(\d+)\.`).FindSubmatch(version); m == nil {
		t.Fatalf("node --version: %s", version)
	} else if n, _ := strconv.Atoi(string(m[1])); n < minNode {
		t.Skipf("Node.js is %s; %d is needed", version, minNode)
	}
	dir := filepath.Join(scratch, folder)
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		if noRegistry.Match(out) {
			t.Skipf("npm cannot reach its registry: %s", out)
		}
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

// TestXMPPJS runs xmpp.js (@xmpp/client 0.14.0 from npm).
func TestXMPPJS(t *testing.T) {
	dir := nodePackages(t, "xmppjs")
	s := newServer(t)
	var scripts []script
	for _, how := range []string{"starttls", "direct"} {
		scripts = append(scripts, script{
			desc: "login " + how,
			argv: []string{"node", filepath.Join(dir, "login.js"), how},
			env:  []string{"NODE_EXTRA_CA_CERTS=" + s.ca},
		})
	}
	t.Run("scenarios", func(t *testing.T) { runAll(t, s, scripts) })
}
