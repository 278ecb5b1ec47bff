//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"roost/internal/pgtest"
	"roost/internal/redistest"
)

// cluster starts two nodes on one PostgreSQL and one Redis. Its result is the first of them.
func cluster(t *testing.T) *server {
	t.Helper()
	if os.Getenv("INTEROP_SERVER") != "" {
		t.Skip("the other server is not configured as a cluster")
	}
	binary, store, redis := buildRoost(t), pgtest.New(t).URL(t), redistest.Start(t).URL()
	var nodes []*server
	for _, name := range []string{"one", "two"} {
		data := t.TempDir()
		s := &server{domain: "localhost", starttls: freeAddress(t), direct: freeAddress(t), log: new(logBuffer)}
		if nodes != nil {
			s.log, s.ca = nodes[0].log, nodes[0].ca
			copySecret(t, filepath.Dir(s.ca), data)
		}
		s.command = func() *exec.Cmd {
			args := []string{"serve", "--domain", s.domain, "--c2s", s.starttls, "--c2s-tls", s.direct, "--data", data,
				"--store", store, "--cluster", redis, "--node", name, "--register", "--log-level", "debug"}
			if name != "one" {
				args = append(args, "--tls-cert", s.ca, "--tls-key", filepath.Join(filepath.Dir(s.ca), "selfsigned.key"))
			}
			return exec.Command(binary, args...)
		}
		s.user = func(input string, args ...string) error {
			return runWithInput(input, binary, append(append([]string{"user"}, args...), "--data", data)...)
		}
		s.addUser = func(jid, password string) error {
			return s.user(password+"\n", "add", jid, "--password-stdin")
		}
		s.start(t)
		if s.ca == "" {
			s.ca = certificateIn(t, data)
		}
		nodes = append(nodes, s)
	}
	nodes[0].nodes = nodes
	return nodes[0]
}

// copySecret gives a node the secret of another, as docs/cluster.md says.
func copySecret(t *testing.T, from, to string) {
	t.Helper()
	secret, err := os.ReadFile(filepath.Join(from, "secret"))
	if err == nil {
		err = os.WriteFile(filepath.Join(to, "secret"), secret, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// front is what the clients of a scenario connect to: of a cluster, each connection gets to
// another node than the one before. network is a way to its port for direct TLS that the
// scenario can cut.
func (s *server) front(t *testing.T) (front *server, direct *network) {
	t.Helper()
	if s.nodes == nil {
		return s, newNetwork(t, s.direct)
	}
	addresses := func(of func(*server) string) []string {
		var all []string
		for _, node := range s.nodes {
			all = append(all, of(node))
		}
		return all
	}
	withTLS := addresses(func(s *server) string { return s.direct })
	copied := *s
	copied.starttls = newNetwork(t, addresses(func(s *server) string { return s.starttls })...).address
	copied.direct = newNetwork(t, withTLS...).address
	return &copied, newNetwork(t, withTLS...)
}

// TestSlixmppOnNodes runs the scenarios of slixmpp with clients on two nodes.
func TestSlixmppOnNodes(t *testing.T) { runSlixmpp(t, cluster(t)) }

// TestStropheOnNodes runs those of libstrophe.
func TestStropheOnNodes(t *testing.T) { runStrophe(t, cluster(t)) }
