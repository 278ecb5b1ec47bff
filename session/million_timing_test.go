package session_test

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"

	"roost/router"
	"roost/session"
)

// BenchmarkMillion connects a million clients, each bound and available, with ten connected
// contacts. Then all of them change their presence. ROOST_CROWD sets another number. It
// reports, without the memory of connections,
//
//	B/session, objects/session   heap use after all clients have connected
//	table-ms                     the most CPU time that the tables took to add one client
//	gc-%                         the collector's share of the CPU time while the clients connected
//	gc-ms                        CPU time of one collection after all clients have connected
//	broadcast-s                  time for all clients to broadcast presence: eleven stanzas each
func BenchmarkMillion(b *testing.B) {
	n := 1000000
	if v, err := strconv.Atoi(os.Getenv("ROOST_CROWD")); err == nil && v > 20 {
		n = v
	}
	for b.Loop() {
		million(b, n)
	}
}

// simConnSize is the heap size of a simConn, which is one object, in bytes.
const simConnSize = 16

func million(b *testing.B, n int) {
	// The roster cache has its default size: other tests keep all rosters, which are larger
	// than the sessions that are measured here.
	c := newSimServerWith(b, n, 10, 0, func(cfg *router.Config) { cfg.RosterCache = 0 })
	before := readHeap()
	cpu := readCPU()
	for i := range n {
		s := c.enter(i)
		c.say(s, []byte("<presence><show>away</show><priority>1</priority></presence>"))
	}
	came := readCPU()
	after := readHeap()
	b.ReportMetric(float64(after.bytes-before.bytes)/float64(n)-simConnSize, "B/session")
	b.ReportMetric(float64(after.objects-before.objects)/float64(n)-1, "objects/session")
	b.ReportMetric(float64(c.longest.Microseconds())/1000, "table-ms")
	b.ReportMetric(100*(came.gc-cpu.gc)/(came.gc-cpu.gc+came.user-cpu.user), "gc-%")
	b.ReportMetric(1000*(readCPU().gc-came.gc)/3, "gc-ms") // two of them by readHeap

	c.stanzas = 0
	began := time.Now()
	stanza := []byte("<presence><show>dnd</show><priority>1</priority></presence>")
	c.sessions.Each(func(s *session.Session) bool {
		c.say(s, stanza)
		return true
	})
	b.ReportMetric(time.Since(began).Seconds(), "broadcast-s")
	if c.stanzas != 11*n {
		b.Errorf("%d stanzas were sent, want %d", c.stanzas, 11*n)
	}
	if got := c.sessions.Counts(); got.Bound != n || got.Presences != 1 {
		b.Errorf("%+v, want %d bound and 1 presence", got, n)
	}
	b.ReportMetric(0, "ns/op")
}

type heap struct{ bytes, objects uint64 }

// readHeap returns the size of the reachable heap.
func readHeap() heap {
	runtime.GC()
	runtime.GC() // the second collection frees the contents of pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return heap{m.HeapAlloc, m.HeapObjects}
}

// cpuTime is CPU time in seconds.
type cpuTime struct{ gc, user float64 }

func readCPU() cpuTime {
	runtime.GC() // a collection updates the figures
	s := []metrics.Sample{{Name: "/cpu/classes/gc/mark/assist:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/dedicated:cpu-seconds"}, {Name: "/cpu/classes/user:cpu-seconds"}}
	metrics.Read(s)
	return cpuTime{s[0].Value.Float64() + s[1].Value.Float64(), s[2].Value.Float64()}
}
