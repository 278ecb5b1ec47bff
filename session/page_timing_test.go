package session_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"roost/admin"
	"roost/admin/api"
	"roost/poller"
)

// LastRead and TLS are what the administration interface asks of a connection.
func (k *simConn) LastRead() time.Time { return time.Unix(1e9, 0) }
func (k *simConn) TLS() poller.TLSKind { return poller.LeanTLS }

// BenchmarkMillionPage requests pages of a list of a million sessions from the
// administration interface. ROOST_CROWD sets another number. cpu-ms is the CPU time of the
// whole process for a page.
func BenchmarkMillionPage(b *testing.B) {
	n := 1000000
	if v, err := strconv.Atoi(os.Getenv("ROOST_CROWD")); err == nil && v > 20 {
		n = v
	}
	c := newSimServer(b, n, 10)
	for i := range n {
		c.enter(i)
	}
	p, err := poller.New(poller.Config{Loops: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	socket := filepath.Join(b.TempDir(), api.SocketName)
	a, err := admin.New(admin.Config{}, admin.Backend{Socket: socket, Sessions: c.sessions, Poller: p})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	client := api.Local(socket)
	defer client.Close()
	for _, query := range []string{"sort=jid", "sort=idle", "sort=jid&min_idle=60&tls=lean&limit=1000", "account=user0000007@localhost"} {
		q, err := url.ParseQuery(query)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(query, func(b *testing.B) {
			begin := processCPU(b)
			for b.Loop() {
				var page api.SessionPage
				if err := client.Get(b.Context(), api.PathSessions, q, &page); err != nil {
					b.Fatal(err)
				}
				if q.Get("account") == "" && page.Matching != int64(n) {
					b.Fatalf("%d sessions match, want %d", page.Matching, n)
				}
			}
			b.ReportMetric(float64((processCPU(b)-begin).Microseconds())/1000/float64(b.N), "cpu-ms")
		})
	}
}

// processCPU is the CPU time that the process has used.
func processCPU(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
