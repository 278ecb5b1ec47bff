package admin

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"roost/admin/metrics"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/poller"
	"roost/session"
	"roost/store"
)

// usedCPU is the CPU time that this process has used.
func usedCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkScrape exports all metrics of a server with 15,000 clients, each of an account
// of its own; ROOST_CROWD sets another number. cpu-ms is the CPU time of one scrape.
func BenchmarkScrape(b *testing.B) {
	n := 15000
	if v, err := strconv.Atoi(os.Getenv("ROOST_CROWD")); err == nil && v > 0 {
		n = v
	}
	s := xmpptest.NewServer(b, xmpptest.Config{Session: session.Config{FanoutRate: -1}})
	var accounts []store.Account
	keys := quickKeys(b)
	for i := range n {
		accounts = append(accounts, store.Account{JID: jid.MustParse(fmt.Sprintf("user%d@localhost", i)), Credentials: keys})
	}
	if _, _, err := s.Store.ImportAccounts(b.Context(), accounts, store.SkipExisting); err != nil {
		b.Fatal(err)
	}
	for i := range n {
		quickLogin(b, s, fmt.Sprintf("user%d", i))
	}
	p, err := poller.New(poller.Config{Loops: 2})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	e := metrics.New(metrics.Source{
		Poller: p.Stats, Sessions: s.Sessions.Stats, Router: s.Router.Stats, Store: store.NewMeter(), Batches: s.Store.(store.Batches),
		Ready:        func() bool { return true },
		Traces:       func() int { return 0 },
		Panics:       func() int64 { return 0 },
		Certificates: func() map[string]time.Time { return map[string]time.Time{"localhost": time.Now()} },
		Capacity:     func() map[string]int64 { return map[string]int64{"open-files": 1, "memory": 2} },
	})
	if c := s.Sessions.Counts(); c.Bound != n || c.Accounts != n || c.Available != n {
		b.Fatalf("%+v", c)
	}
	b.ReportAllocs()
	began := usedCPU(b)
	for b.Loop() {
		if _, err := e.Write(io.Discard, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(usedCPU(b)-began)/float64(time.Millisecond)/float64(b.N), "cpu-ms/scrape")
}

// quickKeys are credentials for the password "secret" that cost nearly nothing to check.
func quickKeys(b *testing.B) store.Credentials {
	keys, err := store.DeriveKeys(store.SHA256, "secret", []byte("salt of the test"), 1)
	if err != nil {
		b.Fatal(err)
	}
	return store.Credentials{store.SHA256: keys}
}

// quickLogin takes a client of an account online.
func quickLogin(b *testing.B, s *xmpptest.Server, user string) {
	conn, err := s.Dial()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	buf := make([]byte, 4096)
	ask := func(text, until string) {
		if _, err := io.WriteString(conn, text); err != nil {
			b.Fatal(err)
		}
		for got := ""; !strings.Contains(got, until); {
			n, err := conn.Read(buf)
			if err != nil {
				b.Fatalf("%v after %q", err, got)
			}
			got += string(buf[:n])
		}
	}
	const header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	ask(header, "</stream:features>")
	ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00secret"))+"</auth>", "<success")
	ask(header, "</stream:features>")
	ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
	ask("<presence/>", "<presence")
}
