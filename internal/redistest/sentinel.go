package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// StartReplicated starts a server with a replica, and a Sentinel that makes the replica the
// primary half a second after the server has been lost. It returns when the replica has the
// server's data. The URL is that of the Sentinel.
func StartReplicated(t testing.TB) (primary *Server, url string) {
	t.Helper()
	primary = Start(t)
	host, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		t.Fatal(err)
	}
	Start(t, "--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0")
	// On a busy machine, the primary may not reply for half a second while the others start. That
	// must not end its time as primary before the test has begun.
	sentinel := startSentinel(t, host, port, "sentinel down-after-milliseconds main 60000\nsentinel failover-timeout main 2000\n")
	await(t, sentinel.Addr, "SENTINEL REPLICAS main", "*1")
	await(t, primary.Addr, "WAIT 1 1000", ":1")
	await(t, sentinel.Addr, "SENTINEL SET main down-after-milliseconds 500", "+OK")
	return primary, sentinel.URL() + "?master_set=main"
}

// StartSentinelTLS starts a server and a Sentinel that both accept TLS, with a certificate and its key, which
// are files; the certificate is its own authority. The URL is that of the Sentinel.
func StartSentinelTLS(t testing.TB, certificate, key string) (url string) {
	t.Helper()
	primary := StartTLS(t, certificate, key)
	host, port, err := net.SplitHostPort(primary.TLSAddr)
	if err != nil {
		t.Fatal(err)
	}
	sentinel := startSentinel(t, host, port, "", certificateOption, certificate, "--tls-key-file", key, "--tls-auth-clients", "no", "--tls-ca-cert-file", certificate, "--tls-replication", "yes")
	return "rediss://" + sentinel.TLSAddr + "?master_set=main"
}

// startSentinel starts a Sentinel for a server, with further lines of its configuration and options.
func startSentinel(t testing.TB, host, port, lines string, args ...string) *Server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor main %s %s 1\n%s", host, port, lines)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, "redis-server", append([]string{file, "--sentinel"}, args...)...)
}
