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

// minNode is the oldest version of Node.js that xmpp.js runs on: Debian 12 has it.
const minNode = 18

// noRegistry matches what npm writes if it cannot reach its registry.
var noRegistry = regexp.MustCompile(`ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENOTCACHED`)

// installed has the results of nodePackages, by folder.
var installed = make(map[string]string)

// nodePackages installs the packages of folder's lock file, once per run, and returns a copy
// of the folder with them. It skips the test if npm cannot reach its registry.
// Only tests that do not run in parallel may call it.
func nodePackages(t *testing.T, folder string) string {
	t.Helper()
	if dir, ok := installed[folder]; ok {
		return dir
	}
	version, err := exec.Command("node", "--version").Output()
	if err != nil {
		t.Fatalf("Node.js: %v: scripts/deps.sh installs it", err)
	}
	if m := regexp.MustCompile(`^v(\d+)\.`).FindSubmatch(version); m == nil {
		t.Fatalf("node --version: %s", version)
	} else if n, _ := strconv.Atoi(string(m[1])); n < minNode {
		t.Fatalf("Node.js is %s; %d is needed", version, minNode)
	}
	dir, err := os.MkdirTemp(scratch, folder)
	if err != nil {
		t.Fatal(err)
	}
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
	installed[folder] = dir
	return dir
}

// TestXMPPJS runs xmpp.js (@xmpp/client 0.14.0 from npm).
func TestXMPPJS(t *testing.T) {
	dir := nodePackages(t, "xmppjs")
	s := newServer(t)
	runXMPPJS(t, dir, s, map[string]string{"starttls": "xmpp://" + s.starttls, "direct": "xmpps://" + s.direct})
}

// TestXMPPJSWebSocket runs xmpp.js over WebSocket: with the server's own TLS, and through
// HAProxy, which does without TLS or terminates it. The server logs the client's address.
func TestXMPPJSWebSocket(t *testing.T) {
	dir := nodePackages(t, "xmppjs")
	const proxy = "127.0.0.9"
	s := webServer(t, "--ws-proxy", proxy)
	fronts := webProxy(t, s, proxy)
	mark := s.log.mark()
	runXMPPJS(t, dir, s, map[string]string{
		"wss":         "wss://" + s.web + webPath,
		"ws proxied":  "ws://" + fronts["ws"] + webPath,
		"wss proxied": "wss://" + fronts["wss"] + webPath,
	})
	log := s.log.since(mark)
	if lineWith(log, `msg="session bound"`, "peer=127.0.0.1:") == "" || lineWith(log, "peer="+proxy+":") != "" {
		t.Errorf("the logged addresses of the sessions are not those of the clients:\n%s", log)
	}
}

// runXMPPJS runs xmpp.js with several services, by name.
func runXMPPJS(t *testing.T, dir string, s *server, services map[string]string) {
	var scripts []script
	for name, url := range services {
		scripts = append(scripts, script{
			desc: "login " + name,
			argv: []string{"node", filepath.Join(dir, "login.js"), url},
			env:  []string{"NODE_EXTRA_CA_CERTS=" + s.ca},
		})
	}
	t.Run("scenarios", func(t *testing.T) { runAll(t, s, scripts) })
}
