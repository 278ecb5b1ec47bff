package router_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store/faultstore"
)

// slowServer returns a server whose store can be stopped.
func slowServer(t *testing.T, cfg xmpptest.Config) (*xmpptest.Server, *faultstore.Faults) {
	t.Helper()
	st := new(faultstore.Faults)
	cfg.Store = st.Options()
	return xmpptest.NewServer(t, cfg), st
}

// hold makes the next call of an operation of the store wait until release is called. begun is
// closed when it waits. There must be only one call until then.
func hold(st *faultstore.Faults, op string) (begun <-chan struct{}, release func()) {
	waits, goOn := make(chan struct{}), make(chan struct{})
	st.SetFault(func(name string) error {
		if name == op {
			close(waits)
			<-goOn
		}
		return nil
	})
	return waits, func() {
		st.SetFault(nil)
		close(goOn)
	}
}

// TestOrderWithStoppedStore: RFC 6120 section 10.1
// (https://www.rfc-editor.org/rfc/rfc6120#section-10.1): a server "MUST ensure in-order
// processing of the stanzas". Stanzas after one that waits for the store wait too, but no
// other sessions do.
func TestOrderWithStoppedStore(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo, juliet, nurse := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader), loginRaw(t, s, "nurse", plainHeader)
	release := st.Stop()
	defer release()
	// One write has three stanzas, of which only the middle one does not need the store.
	romeo.write("<iq type='set' id='r1'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>" +
		"<message to='juliet@localhost/r' id='m1'/>" +
		"<iq type='get' id='r2'><query xmlns='jabber:iq:roster'/></iq>" +
		"<message to='juliet@localhost/r' id='m2'/></stream:stream>")
	// Other sessions on the same loop continue, and stanzas to the session that waits are
	// delivered to it.
	for i := range 20 {
		nurse.say(fmt.Sprintf("<message to='juliet@localhost/r' id='n%d'/>", i), "")
		juliet.await(fmt.Sprintf("id='n%d'", i))
		juliet.say(fmt.Sprintf("<message to='romeo@localhost/r' id='j%d'/>", i), "")
		romeo.await(fmt.Sprintf("id='j%d'", i))
	}
	if strings.Contains(juliet.got, "id='m1'") || strings.Contains(romeo.got, "id='r1'") {
		t.Fatalf("handled while the store was stopped: %q, %q", juliet.got, romeo.got)
	}
	release()
	romeo.await("id='r1'")
	romeo.await("id='r2'")
	romeo.await("<item jid='a@example.com'")
	romeo.await("</stream:stream>")
	juliet.await("id='m1'")
	juliet.await("id='m2'")
}

// TestMoreWaitersThanWorkers: all workers, and more sessions than there are workers, wait
// for a stopped store. Sessions that do not need the store continue, and no stanza is lost
// or processed twice.
func TestMoreWaitersThanWorkers(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Session.Workers, cfg.Session.MaxResources = 2, 100
	s, st := slowServer(t, cfg)
	const each = 10
	var clients []*rawClient
	for i := range 12 {
		clients = append(clients, loginAs(t, s, "romeo", fmt.Sprint(i), plainHeader))
	}
	juliet, nurse := loginRaw(t, s, "juliet", plainHeader), loginRaw(t, s, "nurse", plainHeader)
	juliet.got, juliet.used = "", 0 // its stream has an id, too
	release := st.Stop()
	defer release()
	for i, c := range clients {
		for n := range each {
			// mercutio is offline, so the message is stored. The next one is not.
			c.write(fmt.Sprintf("<message type='chat' to='mercutio@localhost' id='%d.%d'><body>b</body></message><message to='juliet@localhost/r' id='c%d.%d'/>", i, n, i, n))
		}
	}
	nurse.say("<message to='juliet@localhost/r' id='meanwhile'/>", "")
	juliet.await("meanwhile")
	if got := strings.Count(juliet.got, "id='c"); got != 0 {
		t.Errorf("%d messages overtook those that wait for the store", got)
	}
	release()
	for range len(clients) * each {
		juliet.await("id='c")
	}
	mercutio := loginRaw(t, s, "mercutio", plainHeader)
	mercutio.write("<presence/>")
	for range len(clients) * each {
		mercutio.await("<delay ")
	}
	for i := range clients {
		inOrder(t, juliet.got, "id='c"+fmt.Sprint(i)+".", each)
		inOrder(t, mercutio.got, "id='"+fmt.Sprint(i)+".", each)
	}
}

// inOrder checks that prefix is followed by the numbers 0 to n-1, each once.
func inOrder(t *testing.T, stream, prefix string, n int) {
	t.Helper()
	parts := strings.Split(stream, prefix)[1:]
	if len(parts) != n {
		t.Errorf("%s: %d arrived, want %d", prefix, len(parts), n)
		return
	}
	for i, p := range parts {
		if !strings.HasPrefix(p, fmt.Sprintf("%d'", i)) {
			t.Errorf("%s: %.10q is number %d", prefix, p, i)
		}
	}
}

// TestFailingStore: while the store fails, every request gets the reply
// <internal-server-error/>; the stream continues, and later requests succeed again.
func TestFailingStore(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	st.SetFault(func(string) error { return fmt.Errorf("the disk has failed") })
	f := func(stanza, kind string) {
		t.Helper()
		romeo.say(stanza, "<"+kind+" type='error'")
		romeo.await("<internal-server-error ")
		romeo.await("</" + kind + ">")
	}
	f("<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>", "iq")
	f("<message type='chat' to='juliet@localhost' id='2'><body>b</body></message>", "message")
	f("<presence type='subscribe' to='juliet@localhost' id='3'/>", "presence")
	f("<presence type='probe' to='juliet@localhost' id='4'/>", "presence")
	st.SetFault(nil)
	romeo.say("<iq type='set' id='5'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>", "<iq type='result' id='5'")
	romeo.say("<iq type='get' id='6'><query xmlns='jabber:iq:roster'/></iq>", "<item jid='a@example.com' subscription='none'/></query></iq>")
}

// block makes every call of one method wait until the returned function is called.
func block(st *faultstore.Faults, method string) (release func()) {
	gate := make(chan struct{})
	st.SetFault(func(m string) error {
		if m == method {
			<-gate
		}
		return nil
	})
	return sync.OnceFunc(func() { st.SetFault(nil); close(gate) })
}

// TestNothingBeforeBindResult: RFC 6120 section 7.1
// (https://www.rfc-editor.org/rfc/rfc6120#section-7.1): a client whose resource is being
// bound receives no stanzas from others before the result.
func TestNothingBeforeBindResult(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	juliet := dialRaw(t, s)
	authenticate(juliet, "juliet", plainHeader)
	release := block(st, "LoginState")
	defer release()
	before := st.Calls("LoginState")
	juliet.write("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>")
	xmpptest.Eventually(t, "the server to read the account", func() bool { return st.Calls("LoginState") > before })
	romeo.say("<iq type='get' id='early' to='juliet@localhost/r'><q xmlns='q:q'/></iq>", "<service-unavailable ")
	release()
	juliet.await("</bind></iq>")
	if strings.Contains(juliet.got, "early") {
		t.Error(juliet.got)
	}
	romeo.write("<iq type='get' id='late' to='juliet@localhost/r'><q xmlns='q:q'/></iq>")
	juliet.await("id='late'")
}

// TestNobodyWaitsForAnothersStore: stanzas from a client reach others, and so do stanzas
// from third parties, while the client waits for the store.
func TestNobodyWaitsForAnothersStore(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.RosterCache = 1 // rosters are read each time
	s, st := slowServer(t, cfg)
	befriend(t, s, jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost"))
	romeo, nurse := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "nurse", plainHeader)
	romeo.say("<presence/>", "<presence from='romeo@localhost/r'")
	nurse.write("<message type='chat' to='juliet@localhost'><body>waits</body></message>")
	nurse.sync()
	juliet := loginRaw(t, s, "juliet", plainHeader)
	release := block(st, "DeleteOffline")
	defer release()
	juliet.write("<presence><status>here</status></presence>")
	xmpptest.Eventually(t, "the messages to be deleted", func() bool { return st.Calls("DeleteOffline") > 0 })
	romeo.await("<status>here</status>")
	juliet.await("<body>waits</body>")
	nurse.write("<message to='romeo@localhost/r' id='meanwhile'/>")
	romeo.await("id='meanwhile'")
}
