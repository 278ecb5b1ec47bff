package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"roost/internal/xmpptest"
)

// TestBackground: a server that was made by New looks at its certificates and writes
// its summary at their intervals, without anything else being started.
func TestBackground(t *testing.T) {
	ticks := map[time.Duration]chan time.Time{summaryEvery: make(chan time.Time), expiryInterval: make(chan time.Time)}
	t.Cleanup(func() { newTicker = time.NewTicker }) // after the server's own, which end its goroutines
	newTicker = func(d time.Duration) *time.Ticker {
		tick := time.NewTicker(d)
		if c := ticks[d]; c != nil {
			tick.C = c
		}
		return tick
	}
	var log lockedLog
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, func(cfg *Config) {
		cfg.TLSCert, cfg.TLSKey = certFiles(t, key, time.Now().Add(-24*time.Hour)) // expired
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	tick := func(interval time.Duration, want string) {
		t.Helper()
		log.Reset()
		select {
		case ticks[interval] <- time.Now():
		case <-time.After(xmpptest.WaitLimit):
			t.Fatalf("nothing is done every %v", interval)
		}
		xmpptest.Eventually(t, "the log to have: "+want, func() bool { return strings.Contains(log.String(), want) })
	}
	tick(expiryInterval, "a certificate has expired")
	connect(t, s).login("romeo", "r")
	tick(summaryEvery, `msg="last minute" sessions=1 accounts=1 connections=1 accepted=1 refused=0 logins=1`)
	tick(expiryInterval, "a certificate has expired")
}
