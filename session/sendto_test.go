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

// TestSendToAvailable: SendToAvailable sends to all available resources of an account,
// whatever their priority, and to no others.
func TestSendToAvailable(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	const roster = "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>"
	clients := map[string]*saslClient{}
	for resource, says := range map[string]string{
		"connected": "", "available": "<presence><priority>-5</priority></presence>", "interested": roster, "both": roster + "<presence/>",
		"gone": "<presence/><presence type='unavailable'/>",
	} {
		c := newSASLClient(t, s)
		c.sasl("auth mechanism='PLAIN'", "AHJvbWVvAHNlY3JldA==")
		c.ask(openStream, "</stream:features>")
		c.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>"+resource+"</resource></bind></iq>", "</iq>")
		c.ask(says+ping("ready"), "id='ready'")
		clients[resource] = c
	}
	counts := make(chan [2]int)
	s.Sessions.Go(session.Read, func(turn *session.Turn) {
		counts <- [2]int{
			s.Sessions.SendToAvailable(turn, "romeo@localhost", text("<message id='to-available'/>")),
			s.Sessions.SendToAvailable(turn, "juliet@localhost", text("<message id='to-nobody'/>")),
		}
	})
	if got, want := <-counts, [2]int{2, 0}; got != want {
		t.Errorf("sent to %v, want %v", got, want)
	}
	for resource, c := range clients {
		got := c.ask(ping("end"), "id='end'")
		available := resource == "available" || resource == "both"
		if strings.Contains(got, "to-available") != available || strings.Contains(got, "to-nobody") {
			t.Errorf("%s got %s", resource, got)
		}
	}
}

func ping(id string) string {
	return "<iq type='get' id='" + id + "' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
}
