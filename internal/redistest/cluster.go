package redistest

import (
	"fmt"
	"net"
	"testing"
)

const slots = 16384 // of a Redis Cluster

// StartCluster starts primary servers of a Redis Cluster, which have equal parts of the slots in this
// order, and then replicas of the last. The cluster replaces no primary, and serves the slots of those
// that are there. It returns when all servers know each other.
func StartCluster(t testing.TB, primaries, replicas int) (servers []*Server) {
	t.Helper()
	var buses []string
	for range primaries + replicas {
		_, bus, err := net.SplitHostPort(freeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		servers = append(servers, Start(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-require-full-coverage", "no",
			"--cluster-replica-no-failover", "yes", "--cluster-node-timeout", "600000", "--repl-diskless-sync-delay", "0"))
		buses = append(buses, bus)
	}
	for i, s := range servers {
		if i < primaries {
			await(t, s.Addr, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", i*slots/primaries, (i+1)*slots/primaries-1), "+OK")
		}
		if i > 0 {
			host, port, _ := net.SplitHostPort(servers[0].Addr)
			await(t, s.Addr, fmt.Sprintf("CLUSTER MEET %s %s %s", host, port, buses[0]), "+OK")
		}
	}
	for i, s := range servers {
		await(t, s.Addr, "CLUSTER SLOTS", fmt.Sprintf("*%d", primaries))
		if i >= primaries {
			id := reply(t, servers[primaries-1].Addr, "CLUSTER MYID", 2)
			await(t, s.Addr, "CLUSTER REPLICATE "+id, "+OK")
		}
	}
	for _, s := range servers[:primaries] {
		awaitServing(t, s.Addr)
	}
	return servers
}
