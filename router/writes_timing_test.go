package router_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"roost/internal/xmpptest"
	sqlitestore "roost/store/sqlite"
)

// BenchmarkWrites has 640 clients send messages that are stored for a user who is offline:
// nearly all the time, all of them wait for commits. It reports the number of writes per
// transaction, and the CPU time per write, including that of the clients.
func BenchmarkWrites(b *testing.B) {
	const n = 640
	var cfg xmpptest.Config
	cfg.Session.MaxResources, cfg.Router.MaxOffline = n, 1<<30
	s := xmpptest.NewServer(b, cfg)
	db := s.Store.(*sqlitestore.Store)
	var clients []*rawClient
	for i := range n {
		c := dialRaw(b, s)
		authenticate(c, "romeo", plainHeader)
		c.say(fmt.Sprintf("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>%d</resource></bind></iq>", i), "</iq>")
		clients = append(clients, c)
	}
	b.ResetTimer()
	commits, began := db.Commits(), cpuTime()
	for i := range b.N {
		clients[i%n].write("<message type='chat' to='mercutio@localhost'><body>Where the devil should this Romeo be?</body></message>")
	}
	for _, c := range clients {
		c.sync()
	}
	b.ReportMetric(float64(b.N)/float64(max(1, db.Commits()-commits)), "writes/commit")
	b.ReportMetric(float64((cpuTime()-began).Microseconds())/float64(b.N), "cpu-us/write")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
