package server

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"roost/internal/sessiondata"
	"roost/store/stores"

	"roost/store"
)

// BenchmarkRestart starts a server that finds 15,000 saved sessions, and stops it again. Each
// session is available and has carbons and one message that was not acknowledged.
// ROOST_CROWD sets another number. It reports
//
//	B/session            size of the data of a session
//	start-s, stop-s      time of the start and of the stop, most of it for the sessions
//	start-µs, stop-µs    CPU time for each session
func BenchmarkRestart(b *testing.B) {
	n := 15000
	if v, err := strconv.Atoi(os.Getenv("ROOST_CROWD")); err == nil && v > 0 {
		n = v
	}
	for b.Loop() {
		dir := b.TempDir()
		size := saveSessions(b, stores.Default(dir), n)
		b.ReportMetric(float64(size)/float64(n), "B/session")
		measure := func(name string, f func()) {
			began, cpu := time.Now(), processTime()
			f()
			b.ReportMetric(time.Since(began).Seconds(), name+"-s")
			b.ReportMetric(float64((processTime()-cpu).Nanoseconds())/1000/float64(n), name+"-µs")
		}
		var s *Server
		measure("start", func() {
			var err error
			if s, err = New(context.Background(), Config{C2S: "127.0.0.1:0", DataDir: dir}); err != nil {
				b.Fatal(err)
			}
		})
		if got := s.sessions.Counts().Bound; got != n {
			b.Errorf("%d sessions, want %d", got, n)
		}
		measure("stop", func() {
			if err := s.Shutdown(context.Background()); err != nil {
				b.Error(err)
			}
		})
	}
	b.ReportMetric(0, "ns/op")
}

// saveSessions puts n sessions in a store, and returns their size.
func saveSessions(b *testing.B, url string, n int) (size int) {
	st, err := stores.Open(context.Background(), url, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	block := sessiondata.AppendServer(nil, &sessiondata.Server{Stopped: now.Unix()})
	put := func() {
		if err := st.PutSessions(context.Background(), []store.SavedSession{{Data: block}}); err != nil {
			b.Fatal(err)
		}
		size += len(block)
		block = block[:0]
	}
	for i := range n {
		d := sessiondata.Session{
			Address: fmt.Appendf(nil, "user%d@localhost/phone.a1b2c3", i), Number: uint32(i + 1), Handled: 10, Sent: 20, Wait: 255,
			Until:    now.Add(10 * time.Minute).Unix(),
			Presence: []byte("<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://client.example' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/></presence>"),
			Stanzas: []sessiondata.Stanza{{At: now.UnixMilli(), Text: fmt.Appendf(nil,
				"<message from='friend%d@localhost/desk' to='user%d@localhost' type='chat' id='0123456789abcdef'><body>See you at eight.</body></message>", i, i)}},
			Additions: []sessiondata.Addition{{Name: "carbons", Data: []byte{1}}, {Name: "roster", Data: []byte{1}}, {Name: "observed", Data: []byte{1}}},
		}
		if block = sessiondata.AppendSession(block, &d); len(block) >= 4<<20 {
			put()
		}
	}
	put()
	if err := st.Close(); err != nil {
		b.Fatal(err)
	}
	return size
}

// processTime returns the CPU time of the process.
func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
