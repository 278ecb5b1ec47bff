package session_test

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/session"
)

// text is an Appender of literal XML.
type text string

func (x text) AppendXML(dst []byte) []byte { return append(dst, x...) }

// TestSend: Send writes to the client of the session and to no other, and reports false once
// the session has ended.
func TestSend(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	clients := map[string]*saslClient{}
	for _, resource := range []string{"orchard", "balcony"} {
		c := newSASLClient(t, s)
		c.sasl("auth mechanism='PLAIN'", "AHJvbWVvAHNlY3JldA==")
		c.ask(openStream, "</stream:features>")
		c.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+resource+"</resource></bind></iq>", "</iq>")
		c.ask(ping("ready"), "id='ready'")
		clients[resource] = c
	}
	to := s.Sessions.Find("romeo@localhost", "orchard")
	send := func() bool {
		took := make(chan bool)
		s.Sessions.Go(session.Read, func(turn *session.Turn) { took <- to.Send(turn, text("<message id='sent'/>")) })
		return <-took
	}
	if !send() {
		t.Error("Send: false for a session that is connected")
	}
	for resource, c := range clients {
		if got := c.ask(ping("end"), "id='end'"); strings.Contains(got, "id='sent'") != (resource == "orchard") {
			t.Errorf("%s got %s", resource, got)
		}
	}
	_ = clients["orchard"].conn.Close()
	xmpptest.Eventually(t, "the session to end", func() bool { return s.Sessions.Find("romeo@localhost", "orchard") == nil })
	if send() {
		t.Error("Send: true after the connection was lost")
	}
}

func ping(id string) string {
	return "<iq type='get' id='" + id + "' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
}
