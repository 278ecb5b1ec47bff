package postgres

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"roost/internal/pgtest"
	"roost/internal/redistest"
	"roost/store"
)

// TestDeadHost: the first server of a URL accepts connections and does not answer any more: its
// machine is off. The next one is used.
func TestDeadHost(t *testing.T) {
	pg := pgtest.Shared(t)
	u, err := url.Parse(pg.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	socket := filepath.Join(q.Get("host"), ".s.PGSQL.5432")
	first, second := redistest.StartProxy(t, socket), redistest.StartProxy(t, socket)
	q.Del("host")
	q.Set("sslmode", "disable")
	q.Set("target_session_attrs", "read-write")
	u.Host, u.RawQuery = first.Addr+","+second.Addr, q.Encode()

	s := openTest(t, u.String(), Config{Timeout: 3 * time.Second, RetryFor: time.Minute, CheckAfter: time.Nanosecond})
	if err := s.CreateAccount(t.Context(), store.Account{JID: user(1)}); err != nil {
		t.Fatal(err)
	}
	first.Drop()
	first.Freeze()
	if err := s.SetDisabled(t.Context(), user(1), true); err != nil {
		t.Errorf("a write: %v", err)
	}
	if a, err := s.Account(t.Context(), user(1)); err != nil || !a.Disabled {
		t.Errorf("a read: %+v, %v", a, err)
	}
}

// TestShareTimeout: the addresses that are tried share the time, and each host is looked up once.
func TestShareTimeout(t *testing.T) {
	addresses := map[string][]string{"one": {"192.0.2.1"}, "two": {"2001:db8::2", "192.0.2.2"}}
	for _, test := range []struct {
		url     string
		want    time.Duration
		lookups []string
	}{
		{"postgres://u@one/d?sslmode=disable", 12 * time.Second, []string{"one"}},
		{"postgres://u@one/d", 12 * time.Second, []string{"one"}}, // with TLS, and without it
		{"postgres://u@one,two/d?sslmode=disable", 4 * time.Second, []string{"one", "two"}},
		{"postgres://u@two/d", 3 * time.Second, []string{"two"}},
		{"postgres://u@one:1,one:2/d?sslmode=disable", 6 * time.Second, []string{"one"}},
		{"postgres://u@one,two/d?sslmode=disable&connect_timeout=2", 2 * time.Second, []string{"one", "two"}},
		{"postgres://u@missing/d", 12 * time.Second, []string{"missing"}},
		{"postgres:///d?host=/run/postgresql&user=u", 12 * time.Second, nil},
	} {
		cfg := Config{URL: test.url, Timeout: 12 * time.Second}
		pc, err := poolConfig(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		var lookups []string
		c := pc.ConnConfig
		c.LookupFunc = func(_ context.Context, host string) ([]string, error) {
			lookups = append(lookups, host)
			if all := addresses[host]; all != nil {
				return all, nil
			}
			return nil, errors.New("no such host")
		}
		shareTimeout(t.Context(), c, cfg.Timeout)
		if _, err := c.LookupFunc(t.Context(), "one"); err != nil {
			t.Errorf("%s: %v", test.url, err)
		}
		if !slices.Contains(test.lookups, "one") {
			test.lookups = append(test.lookups, "one")
		}
		if c.ConnectTimeout != test.want || !slices.Equal(lookups, test.lookups) {
			t.Errorf("%s: %v, want %v; looked up %q", test.url, c.ConnectTimeout, test.want, lookups)
		}
	}
}
