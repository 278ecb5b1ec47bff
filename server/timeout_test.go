package server

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestConnectionTimeout: RFC 6120 section 4.9.3.4
// (https://www.rfc-editor.org/rfc/rfc6120#section-4.9.3.4): a client that does not log
// in, or is silent for too long, gets a stream error with the reason, over TLS too, and
// its contacts see it become unavailable.
func TestConnectionTimeout(t *testing.T) {
	const end = "<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
	const ping = "<iq type='get' id='p' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
	s := startServer(t, func(c *Config) { c.Session.LoginTimeout, c.Poller.Loops = 5*time.Second, 1 })
	done := connect(t, s).login("romeo", "orchard")
	p, mute := connect(t, s), connect(t, s)
	p.ask(testHeader, "</stream:features>")
	if got := p.ask("", "</stream:stream>"); got != end {
		t.Errorf("an incomplete login: %s", got)
	}
	// RFC 6120 section 4.9.1.2 (https://www.rfc-editor.org/rfc/rfc6120#section-4.9.1.2):
	// without and with a preceding header.
	if got := mute.ask("", "</stream:stream>"); !strings.Contains(got, "<stream:stream ") || !strings.HasSuffix(got, end) {
		t.Errorf("a client that sends nothing: %s", got)
	}
	// After the deadline of the later clients; a loop checks all of its clients.
	done.ask(ping, "id='p'")

	s = startServer(t, func(c *Config) { c.Poller.IdleTimeout = 6 * time.Second })
	// Only one client at a time is near its deadline: the other sends keep-alives.
	watcher := connect(t, s).login("romeo", "garden")
	stop := keepAlive(t, watcher)
	watcher.available()
	silent := connect(t, s).login("romeo", "orchard").available()
	silent.ask("", "from='romeo@localhost/garden'")
	watcher.ask("", "type='unavailable'")
	stop()
	if got := silent.ask("", "</stream:stream>"); !strings.HasSuffix(got, end) {
		t.Errorf("a silent client: %s", got)
	}
}

// keepAlive makes a client send white space often, as clients do, until stop.
func keepAlive(t *testing.T, p *peer) (stop func()) {
	var done sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	done.Go(func() {
		often := time.NewTicker(50 * time.Millisecond)
		defer often.Stop()
		for ctx.Err() == nil {
			if _, err := p.conn.Write([]byte(" ")); err != nil {
				t.Error(err)
				return
			}
			select {
			case <-often.C:
			case <-ctx.Done():
			}
		}
	})
	return func() { cancel(); done.Wait() }
}
