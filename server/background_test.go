package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"roost/internal/xmpptest"
)

// ticks replaces the server's tickers of these intervals by channels of the test. The
// server receives a tick only after it has finished the work of the one before.
func ticks(t *testing.T, intervals ...time.Duration) (tick func(time.Duration)) {
	t.Helper()
	channels := make(map[time.Duration]chan time.Time)
	for _, d := range intervals {
		channels[d] = make(chan time.Time)
	}
	t.Cleanup(func() { newTicker = time.NewTicker }) // after the cleanup that ends the server's goroutines
	newTicker = func(d time.Duration) *time.Ticker {
		ticker := time.NewTicker(d)
		if c := channels[d]; c != nil {
			ticker.C = c
		}
		return ticker
	}
	return func(d time.Duration) {
		t.Helper()
		select {
		case channels[d] <- time.Now():
		case <-time.After(xmpptest.WaitLimit):
			t.Fatalf("no ticker with the interval %v", d)
		}
	}
}

// TestMemoryGivenBack: when many clients have left, a running server collects their
// memory and returns it to the system.
func TestMemoryGivenBack(t *testing.T) {
	tick := ticks(t, trimEvery)
	s := startServer(t, nil)
	const clients = 2 * minLeft
	all := make([]*peer, clients)
	for i := range all {
		all[i] = connect(t, s)
		all[i].ask(testHeader+"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+strings.Repeat("A", 4096), "</stream:features>")
	}
	tick(trimEvery) // registers the clients
	tick(trimEvery) // the previous tick has been processed
	before := released()
	for _, p := range all {
		_ = p.conn.Close()
	}
	xmpptest.Eventually(t, "the clients to disconnect", func() bool { return s.clients() == 0 })
	for range 4 { // the first may come while the allocation rate is high
		tick(trimEvery)
	}
	if after := released(); after == before {
		t.Error("nothing was collected")
	}
}

// released returns the number of forced collections.
func released() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumForcedGC
}

// TestBackground: a server created by New checks its certificates and writes its summary
// at their intervals, without further calls.
func TestBackground(t *testing.T) {
	tick := ticks(t, summaryEvery, expiryInterval)
	var log lockedLog
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, func(cfg *Config) {
		cfg.TLSCert, cfg.TLSKey = certFiles(t, key, time.Now().Add(-24*time.Hour)) // expired
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	logs := func(interval time.Duration, want string) {
		t.Helper()
		log.Reset()
		tick(interval)
		xmpptest.Eventually(t, "the log to have: "+want, func() bool { return strings.Contains(log.String(), want) })
	}
	logs(expiryInterval, "a certificate has expired")
	connect(t, s).login("romeo", "r")
	logs(summaryEvery, `msg="last minute" sessions=1 accounts=1 connections=1 accepted=1 refused=0 logins=1`)
	logs(expiryInterval, "a certificate has expired")
}
