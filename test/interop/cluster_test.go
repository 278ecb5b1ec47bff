//go:build interop

package interop

import (
	"os"
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
	store, redis, log := pgtest.New(t).URL(t), redistest.Start(t).URL(), new(logBuffer)
	node := func(data, name string, flags ...string) *server {
		return startRoostIn(t, data, "", log, append(flags, "--store", store, "--cluster", redis, "--node", name)...)
	}
	dirs := []string{t.TempDir(), t.TempDir()}
	one := node(dirs[0], "one")
	one.ca = certificateIn(t, dirs[0])
	copySecret(t, dirs[0], dirs[1])
	two := node(dirs[1], "two", "--tls-cert", one.ca, "--tls-key", filepath.Join(dirs[0], "selfsigned.key"))
	two.ca = one.ca
	one.nodes = []*server{one, two}
	return one
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
