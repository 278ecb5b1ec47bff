package server

import (
	"strings"
	"testing"
	"time"
)

// TestConnectionTimeout is RFC 6120 section 4.9.3.4: a client that does not log in,
// or is silent for too long, is told why its stream ends, over TLS too, and its
// contacts are told that it is gone.
func TestConnectionTimeout(t *testing.T) {
	const end = "<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
	const ping = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	s := startServer(t, func(c *Config) { c.LoginTimeout = time.Second })
	p := connect(t, s)
	p.ask(testHeader, "</stream:features>")
	if got := p.ask("", "</stream:stream>"); got != end {
		t.Errorf("a login that is not done: %s", got)
	}
	// RFC 6120 section 4.9.1.2: before a header, with a header.
	p = connect(t, s)
	if got := p.ask("", "</stream:stream>"); !strings.Contains(got, "<stream:stream ") || !strings.HasSuffix(got, end) {
		t.Errorf("a client that says nothing: %s", got)
	}
	p = connect(t, s).login("romeo", "orchard")
	time.Sleep(2500 * time.Millisecond) // past the time for a login that is done
	p.ask(ping, "id='p'")

	s = startServer(t, func(c *Config) { c.IdleTimeout = time.Second })
	silent, watcher := connect(t, s).login("romeo", "orchard"), connect(t, s).login("romeo", "garden")
	silent.available()
	watcher.available()
	silent.ask("", "from='romeo@localhost/garden'")
	done := make(chan string)
	go func() { done <- silent.ask("", "</stream:stream>") }()
	for gone := false; !gone; time.Sleep(100 * time.Millisecond) {
		gone = strings.Contains(watcher.ask(ping, "id='p'"), "type='unavailable'")
	}
	if got := <-done; !strings.HasSuffix(got, end) {
		t.Errorf("a silent client: %s", got)
	}
}
