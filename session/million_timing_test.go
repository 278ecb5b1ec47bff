package session_test

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"

	"roost/session"
)

// BenchmarkMillion has a million clients come, each bound and available,
// with ten contacts who are there too, and then change their
// presence, all of them. ROOST_CROWD is another number. It reports, without what
// the connections take,
//
//	B/session, objects/session   on the heap when all are there
//	table-ms                     the most CPU time that the tables took for one client while they grew
//	gc-%                         the collector's part of the CPU time while the clients came
//	gc-ms                        CPU time of one collection when all are there
//	broadcast-s                  all of them broadcast presence: eleven stanzas each
func BenchmarkMillion(b *testing.B) {
	n := 1000000
	if v, err := strconv.Atoi(os.Getenv("ROOST_CROWD")); err == nil && v > 20 {
		n = v
	}
	for b.Loop() {
		million(b, n)
	}
}

// linkSize is what one link takes on the heap, in bytes; it is one object.
const linkSize = 16

func million(b *testing.B, n int) {
	c := newCrowd(b, n, 10)
	before := readHeap()
	cpu := readCPU()
	for i := range n {
		s := c.enter(i)
		c.say(s, []byte("<presence><show>away</show><priority>1</priority></presence>"))
	}
	came := readCPU()
	after := readHeap()
	b.ReportMetric(float64(after.bytes-before.bytes)/float64(n)-linkSize, "B/session")
	b.ReportMetric(float64(after.objects-before.objects)/float64(n)-1, "objects/session")
	b.ReportMetric(float64(c.longest.Microseconds())/1000, "table-ms")
	b.ReportMetric(100*(came.gc-cpu.gc)/(came.gc-cpu.gc+came.user-cpu.user), "gc-%")
	b.ReportMetric(1000*(readCPU().gc-came.gc)/3, "gc-ms") // readHeap made two

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

// readHeap is what is reachable.
func readHeap() heap {
	runtime.GC()
	runtime.GC() // what pools held goes with the second collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return heap{m.HeapAlloc, m.HeapObjects}
}

// cpuTime is CPU time in seconds.
type cpuTime struct{ gc, user float64 }

func readCPU() cpuTime {
	runtime.GC() // the figures are brought up to date by a collection
	s := []metrics.Sample{{Name: "/cpu/classes/gc/mark/assist:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/dedicated:cpu-seconds"}, {Name: "/cpu/classes/user:cpu-seconds"}}
	metrics.Read(s)
	return cpuTime{s[0].Value.Float64() + s[1].Value.Float64(), s[2].Value.Float64()}
}
