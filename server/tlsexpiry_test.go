package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestExpiryWarnings: the log contains a warning about an expiring certificate 30, 14, 7
// and 1 days before, once each, and daily afterwards, with its names, its file and what
// to do. A renewed certificate causes none.
func TestExpiryWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		one, _ := certConfig(t, dir, "one.example")
		if _, err := NewCertificates(one); err != nil {
			t.Fatal(err)
		}
		cert, key := SelfSignedFiles(dir)
		cfg, log := certConfig(t, t.TempDir(), "one.example")
		cfg.TLSCert, cfg.TLSKey = []string{cert}, []string{key}
		c, err := NewCertificates(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); c.WatchExpiry(ctx) }()
		end := leafOf(c, "").NotAfter
		time.Sleep(time.Until(end.Add(-35 * 24 * time.Hour))) // virtual time
		synctest.Wait()
		if log.Len() != 0 {
			t.Errorf("more than a month before the end: %s", log)
		}
		var told []int
		for days := 34; days > -3; days-- {
			log.Reset()
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			switch n := strings.Count(log.String(), "level=WARN"); {
			case n > 1:
				t.Errorf("%d days left: %s", days, log)
			case n == 1:
				told = append(told, days)
				for _, part := range []string{"one.example", cert, "renew the certificate", end.UTC().Format(time.RFC3339), fmt.Sprintf("days_left=%d", days)} {
					if !strings.Contains(log.String(), part) {
						t.Errorf("%d days left: no %q in %s", days, part, log)
					}
				}
				if expired := strings.Contains(log.String(), "has expired"); expired != (days <= 0) {
					t.Errorf("%d days left: %s", days, log)
				}
			}
		}
		if want := []int{30, 14, 7, 1, 0, -1, -2}; !slices.Equal(told, want) {
			t.Errorf("warned with %v days left, want %v", told, want)
		}

		// A reload repeats the warning; a new certificate ends it.
		log.Reset()
		if err := c.Reload(); err != nil || !strings.Contains(log.String(), "has expired") {
			t.Errorf("a reload of the old certificate: %v, %s", err, log)
		}
		for _, file := range []string{cert, key} {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := NewCertificates(one); err != nil {
			t.Fatal(err)
		}
		log.Reset()
		if err := c.Reload(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(72 * time.Hour)
		synctest.Wait()
		if log.Len() != 0 {
			t.Errorf("after a renewal: %s", log)
		}
		cancel()
		<-done
	})
}

// TestExpiryOfSelfSigned: the server renews its self-signed certificate itself.
func TestExpiryOfSelfSigned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg, log := certConfig(t, dir, "localhost")
		c, err := NewCertificates(cfg)
		if err != nil {
			t.Fatal(err)
		}
		old := leafOf(c, "")
		time.Sleep(time.Until(old.NotAfter.Add(-20 * 24 * time.Hour)))
		c.warnExpiry()
		if s := log.String(); !strings.Contains(s, filepath.Join(dir, selfSignedCert)) || !strings.Contains(s, "creates a new one") {
			t.Errorf("log: %s", s)
		}
		if err := c.Reload(); err != nil || leafOf(c, "").Equal(old) {
			t.Errorf("not renewed: %v", err)
		}
	})
}
