package server

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestStreamLimits: the limits that clients are told are those that apply, before and after
// authentication, and after a reload: an element of that size is accepted, and one byte
// more ends the stream.
func TestStreamLimits(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Session.Limits.MaxStanza, c.Poller.IdleTimeout = 20000, 90500*time.Millisecond })
	limits := func(features string) string {
		_, l, _ := strings.Cut(features, "<limits xmlns='urn:xmpp:stream-limits:0'>")
		l, _, _ = strings.Cut(l, "</limits>")
		return l
	}
	ping := func(size int) string {
		const begin, end = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'>", "</ping></iq>"
		return begin + strings.Repeat("x", size-len(begin)-len(end)) + end
	}
	f := func(before, after string, size int) {
		t.Helper()
		p := connect(t, s)
		if got := limits(p.ask(testHeader, "</stream:features>")); got != before {
			t.Errorf("before authentication: %q, want %q", got, before)
		}
		p.ask("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"+plainLogin["romeo"]+"</auth>", "<success")
		if got := limits(p.ask(testHeader, "</stream:features>")); got != after {
			t.Errorf("after authentication: %q, want %q", got, after)
		}
		p.ask("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "</iq>")
		p.ask(ping(size), "id='p'")
		if got := p.ask(ping(size+1), "</stream:stream>"); !strings.Contains(got, "policy-violation") {
			t.Errorf("%d bytes: %.300s", size+1, got)
		}
	}
	const bytes = "<max-bytes>%d</max-bytes>"
	f(fmt.Sprintf(bytes, 10000), fmt.Sprintf(bytes+"<idle-seconds>90</idle-seconds>", 20000), 20000)
	s.reload(t, func(c *Config) { c.Session.Limits.MaxStanza, c.Poller.IdleTimeout = 15000, -1 })
	f(fmt.Sprintf(bytes, 10000), fmt.Sprintf(bytes, 15000), 15000)
}
