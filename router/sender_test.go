package router_test

import (
	"slices"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/parser"
	"roost/router"
	"roost/session"
	"roost/stanza"
)

// route has the router route a stanza from a sender, on a worker of one kind, and returns
// the work that it still has to wait for.
func route(t *testing.T, s *xmpptest.Server, on session.Work, from router.Sender, text string) session.Work {
	t.Helper()
	st := parse(t, text)
	done := make(chan session.Work)
	s.Sessions.Go(on, func(t *session.Turn) {
		_, need := s.Router.Route(t, from, st, 0)
		t.Flush()
		done <- need
	})
	return <-done
}

// parse returns a stanza as a client would have sent it.
func parse(t *testing.T, text string) *stanza.Stanza {
	t.Helper()
	var p parser.Parser
	scratch := parser.NewScratch(parser.Limits{})
	if _, _, err := p.Next(scratch, []byte(plainHeader)); err != nil {
		t.Fatal(err)
	}
	if ev, _, err := p.Next(scratch, []byte(text)); err != nil || ev != parser.Stanza {
		t.Fatalf("%s: %v, %v", text, ev, err)
	}
	st := new(stanza.Stanza)
	if err := stanza.Read(scratch.Tape(), st); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return st
}

// node is a sender like a user of another server: an address, and a place for replies.
type node struct {
	jid     jid.JID
	replies []string
}

func (n *node) JID() jid.JID { return n.jid }

func (n *node) SendBytes(_ *session.Turn, b []byte) bool {
	n.replies = append(n.replies, string(b))
	return true
}

// take returns the replies that were recorded, and clears them.
func (n *node) take() (replies []string) {
	replies, n.replies = n.replies, nil
	return replies
}

// TestServerSends: the server itself sends messages, requests and presence using the
// function that routes those of clients, and gets replies; what only a client may do is
// refused.
func TestServerSends(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.say("<presence/>", "<presence ")
	var replies node
	server := &router.Server{
		Domain: jid.MustParse("localhost"),
		Reply:  func(t *session.Turn, b []byte) { replies.SendBytes(t, b) },
	}
	f := func(stanza string, delivered, reply string) {
		t.Helper()
		romeo.got, romeo.used = "", 0
		if need := route(t, s, session.Write, server, stanza); need != session.Done {
			t.Errorf("%s: is not done: %v", stanza, need)
		}
		romeo.sync()
		if got, _, _ := strings.Cut(romeo.got, "<iq type='result' id='sync'"); got != delivered {
			t.Errorf("%s: romeo got %q, want %q", stanza, got, delivered)
		}
		if got := strings.Join(replies.take(), ""); got != reply {
			t.Errorf("%s: the reply is %q, want %q", stanza, got, reply)
		}
	}
	errorOf := func(kind, id, from, e string) string {
		reply := "<" + kind + " type='error' id='" + id + "'"
		if from != "" {
			reply += " from='" + from + "'"
		}
		return reply + " to='localhost'>" + e + "</" + kind + ">"
	}
	const unavailable = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	const notAllowed = "<error type='cancel'><not-allowed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"

	f("<message id='m' to='romeo@localhost' from='juliet@localhost'><body>b</body></message>",
		"<message from='localhost' id='m' to='romeo@localhost'><body>b</body></message>", "")
	f("<message id='m' to='romeo@localhost/r' type='headline'/>", "<message from='localhost' id='m' to='romeo@localhost/r' type='headline'/>", "")
	f("<message id='m' to='romeo@localhost' type='groupchat'/>", "", errorOf("message", "m", "romeo@localhost", unavailable))
	f("<presence to='romeo@localhost'/>", "<presence from='localhost' to='romeo@localhost'/>", "")
	f("<presence id='s' to='romeo@localhost' type='subscribe'/>", "", errorOf("presence", "s", "romeo@localhost", notAllowed))
	f("<presence id='p' to='romeo@localhost' type='probe'/>", "", "<presence type='unsubscribed' id='p' from='romeo@localhost' to='localhost'/>")
	f("<presence id='b'/>", "", errorOf("presence", "b", "", "<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"+
		"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>The stanza has no &apos;to&apos; address.</text></error>"))
	f("<iq type='get' id='q' to='romeo@localhost/r'><query xmlns='jabber:iq:version'/></iq>",
		"<iq from='localhost' type='get' id='q' to='romeo@localhost/r'><query xmlns='jabber:iq:version'/></iq>", "")
	f("<iq type='get' id='q' to='romeo@localhost/gone'><query xmlns='jabber:iq:version'/></iq>", "", errorOf("iq", "q", "romeo@localhost/gone", unavailable))
	for _, to := range []string{"", " to='localhost'"} { // its own account is the server
		f("<iq type='get' id='q'"+to+"><ping xmlns='urn:xmpp:ping'/></iq>", "", "<iq type='result' id='q'"+strings.Replace(to, "to", "from", 1)+" to='localhost'/>")
		for _, kind := range []string{"get", "set"} {
			f("<iq type='"+kind+"' id='q'"+to+"><query xmlns='jabber:iq:register'/></iq>", "",
				errorOf("iq", "q", strings.Trim(strings.TrimPrefix(to, " to="), "'"), unavailable))
		}
	}
	f("<iq type='get' id='q' to='nurse@localhost'><vCard xmlns='vcard-temp'/></iq>", "", errorOf("iq", "q", "nurse@localhost", unavailable))
	f("<iq type='set' id='q' to='nurse@localhost'><query xmlns='jabber:iq:roster'/></iq>", "",
		errorOf("iq", "q", "nurse@localhost", "<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"))

	const later = "<message id='later' to='juliet@localhost'><body>b</body></message>"
	if need := route(t, s, session.Read, server, later); need != session.Write {
		t.Errorf("an offline message on a turn that may not write: %v, want that it needs one that may", need)
	}
	f(later, "", "")
	juliet := loginRaw(t, s, "juliet", plainHeader)
	juliet.say("<presence/>", "<message from='localhost' id='later' ")
	if n := s.Sessions.Panics(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// TestNodeSends: a sender that is a resource elsewhere receives what its account may see,
// and nothing is done for it that requires a session.
func TestNodeSends(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo, juliet := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader)
	romeo.say("<presence><status>here</status></presence>", "<presence ")
	juliet.say("<presence type='subscribe' to='romeo@localhost'/>", "")
	romeo.await("type='subscribe'")
	romeo.say("<presence type='subscribed' to='juliet@localhost'/>", "")
	romeo.sync()
	far := &node{jid: jid.MustParse("juliet@localhost/far")}
	stranger := &node{jid: jid.MustParse("paris@localhost/far")}
	f := func(from *node, stanza string, want ...string) {
		t.Helper()
		if need := route(t, s, session.Write, from, stanza); need != session.Done {
			t.Errorf("%s: is not done: %v", stanza, need)
		}
		if got := from.take(); !slices.Equal(got, want) {
			t.Errorf("%s of %s: the replies are %q, want %q", stanza, from.jid, got, want)
		}
	}
	const probe = "<presence id='p' type='probe' to='romeo@localhost'/>"
	f(far, probe, "<presence from='romeo@localhost/r' to='juliet@localhost'><status>here</status></presence>")
	f(stranger, probe, "<presence type='unsubscribed' id='p' from='romeo@localhost' to='paris@localhost'/>")
	f(far, "<iq type='get' id='q'><query xmlns='jabber:iq:roster'/></iq>",
		"<iq type='error' id='q' to='juliet@localhost/far'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
	f(far, "<message id='m' to='romeo@localhost/r'/>")
	f(far, "<presence id='d' to='romeo@localhost/r'/>")
	romeo.await("<message from='juliet@localhost/far' id='m' to='romeo@localhost/r'/>")
	romeo.await("<presence from='juliet@localhost/far' id='d' to='romeo@localhost/r'/>")
	if n := s.Sessions.Panics(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// lockProbe is a sender that records whether an account's presence is locked when it
// receives something.
type lockProbe struct {
	node
	s       *xmpptest.Server
	account string
	locked  []bool
}

func (p *lockProbe) SendBytes(t *session.Turn, b []byte) bool {
	p.locked = append(p.locked, p.s.Router.PresenceLocked(p.account))
	return p.node.SendBytes(t, b)
}

// TestRepliesInOrder: every reply that reveals an account's presence, to any kind of
// sender, is queued while that presence is locked, so that no later change overtakes it.
// Other replies are queued without the lock.
func TestRepliesInOrder(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	befriend(t, s, jid.MustParse("juliet@localhost"), jid.MustParse("romeo@localhost"))
	from := &lockProbe{node: node{jid: jid.MustParse("juliet@localhost/far")}, s: s, account: "romeo@localhost"}
	f := func(desc, stanza string, locked bool) {
		t.Helper()
		route(t, s, session.Write, from, stanza)
		if !slices.Equal(from.locked, []bool{locked}) {
			t.Errorf("%s: the presence is locked: %v, want [%v]; the reply is %q", desc, from.locked, locked, from.take())
		}
		from.locked = nil
	}
	const probe = "<presence type='probe' to='romeo@localhost"
	f("offline", probe+"'/>", true)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.say("<presence/>", "<presence ")
	f("available", probe+"'/>", true)
	f("a resource", probe+"/r'/>", true)
	f("a resource that does not exist", probe+"/none'/>", true)
	f("a message that is refused", "<message type='groupchat' to='romeo@localhost'/>", false)
	f("a request", "<iq type='get' id='q' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>", false)
}
