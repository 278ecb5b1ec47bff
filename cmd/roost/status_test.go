package main

import (
	"strings"
	"testing"
	"time"

	"roost/admin/api"
)

// TestStatusRestored: roost status says what has become of the sessions that were saved, if
// there were any.
func TestStatusRestored(t *testing.T) {
	var out strings.Builder
	s := api.Status{Sessions: api.Sessions{Restored: api.Restored{Waiting: 1200, Resumed: 30, Ended: 4}}}
	writeStatus(&out, &s)
	const want = "restored       1,234 sessions at the start: 30 were resumed since, 1,200 wait for their clients, 4 have ended\n"
	if !strings.Contains(out.String(), want) {
		t.Errorf("the status is\n%s, and has no line %s", out.String(), want)
	}
	out.Reset()
	writeStatus(&out, new(api.Status))
	if strings.Contains(out.String(), "restored") {
		t.Errorf("the status is\n%s", out.String())
	}
}

// TestStatusRenewals: roost status says for each certificate by ACME when it is obtained, and
// why that has failed.
func TestStatusRenewals(t *testing.T) {
	later := time.Now().Add(90*time.Minute + 30*time.Second)
	for _, c := range []struct {
		desc string
		r    api.Renewal
		want string
	}{
		{"in order", api.Renewal{NotAfter: &later, NextTry: later}, "ACME           example.org: its certificate is renewed in 1 h 30 min\n"},
		{"new", api.Renewal{NextTry: time.Now()}, "ACME           example.org: it has no certificate yet; the next attempt is in 0 s\n"},
		{"never", api.Renewal{NextTry: later, Failures: 2, Reason: "the \x1border was refused"},
			"ACME           example.org: it has no certificate yet; the next attempt is in 1 h 30 min, 2 failed: the ?order was refused\n"},
		{"not renewed", api.Renewal{NotAfter: &later, NextTry: later, Failures: 1, Reason: "no"},
			"ACME           example.org: its certificate COULD NOT BE RENEWED; the next attempt is in 1 h 30 min, 1 failed: no\n"},
	} {
		c.r.Domain = "example.org"
		var out strings.Builder
		writeStatus(&out, &api.Status{Renewals: []api.Renewal{c.r}})
		if !strings.Contains(out.String(), c.want) {
			t.Errorf("%s: the status is\n%s, and has no line %s", c.desc, out.String(), c.want)
		}
	}
}
