package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"roost/internal/memnodes"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/session"
	"roost/store"
	"roost/store/faultstore"
	"roost/store/memstore"
)

// savedNodes are two nodes, a and b. romeo's phone is on a. juliet, who sees his presence and
// is seen by him, is on b, as nurse is, whom he sees.
type savedNodes struct {
	t             *testing.T
	cluster       *memnodes.Cluster
	cfg           xmpptest.Config
	a, b          *xmpptest.Server
	onA, onB      faultstore.Faults
	juliet, nurse *rawClient
	id            string // of romeo's session
}

// newSavedNodes starts them. A message of juliet to romeo is not acknowledged.
func newSavedNodes(t *testing.T) *savedNodes {
	t.Helper()
	n := &savedNodes{t: t, cluster: memnodes.New()}
	n.cfg = xmpptest.Config{Cluster: n.cluster, Location: memstore.New()}
	n.a, n.b = n.start("a"), n.start("b")
	romeo, juliet := jid.MustParse("romeo@localhost"), jid.MustParse("juliet@localhost")
	befriend(t, n.a, juliet, romeo)
	befriend(t, n.a, romeo, jid.MustParse("nurse@localhost"))
	n.juliet, n.nurse = loginRaw(t, n.b, "juliet", plainHeader), loginRaw(t, n.b, "nurse", plainHeader)
	n.juliet.ask("<presence/>")
	n.nurse.ask("<presence><status>before</status></presence>")
	phone := loginRaw(t, n.a, "romeo", plainHeader)
	n.id = phone.enable()
	phone.say("<presence/>", "<status>before")
	n.juliet.await("from='romeo@localhost/r'")
	n.juliet.write("<message type='chat' to='romeo@localhost' id='m.1'><body>one</body></message>")
	phone.await("id='m.1'")
	return n
}

// start starts a node.
func (n *savedNodes) start(name string) *xmpptest.Server {
	n.t.Helper()
	cfg := n.cfg
	cfg.Name = name
	switch name {
	case "a":
		cfg.Store = n.onA.Options()
	case "b":
		cfg.Store = n.onB.Options()
	}
	return xmpptest.NewServer(n.t, cfg)
}

// stop stops a, which saves romeo's session.
func (n *savedNodes) stop() {
	n.t.Helper()
	if done := n.a.Suspend(n.t); done.Sessions != 1 {
		n.t.Fatalf("%+v", done)
	}
}

// request asks a node for romeo's session.
func (n *savedNodes) request(s *xmpptest.Server) (romeo *rawClient) {
	n.t.Helper()
	romeo = dialRaw(n.t, s)
	authenticate(romeo, "romeo", plainHeader)
	romeo.write("<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + n.id + "'/>")
	return romeo
}

// saved returns the number of saved sessions.
func (n *savedNodes) saved() int {
	n.t.Helper()
	count, err := n.b.Store.CountSessions(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	return count
}

// offline returns the stored messages of romeo.
func (n *savedNodes) offline() []store.OfflineMessage {
	n.t.Helper()
	all, _, err := n.b.Store.Offline(n.t.Context(), jid.MustParse("romeo@localhost"), 0, 1<<20)
	if err != nil {
		n.t.Fatal(err)
	}
	return all
}

// onWorker calls f on a worker of b.
func (n *savedNodes) onWorker(f func(t *session.Turn)) {
	done := make(chan struct{})
	n.b.Sessions.Go(session.Write, func(t *session.Turn) {
		defer close(done)
		f(t)
	})
	<-done
}

// TestSavedElsewhere: a client resumes on another node what a stopped node has saved. It gets
// what it has not acknowledged, what was sent since, and the presence of contacts; its own
// contacts see it again. When the stopped node starts, it has nothing to restore.
func TestSavedElsewhere(t *testing.T) {
	n := newSavedNodes(t)
	n.stop()
	n.juliet.ask("<message type='chat' to='romeo@localhost' id='m.2'><body>two</body></message>")
	n.nurse.ask("<presence><status>since</status></presence>")
	romeo := n.request(n.b)
	romeo.await("<resumed ")
	romeo.await("id='m.1'")
	for !strings.Contains(romeo.got, "id='m.2'") || !strings.Contains(romeo.got, "<status>since") {
		romeo.sync()
	}
	n.cluster.Wait()
	n.juliet.sync()
	if strings.Contains(n.juliet.got, "unavailable") || strings.Count(n.juliet.got, "<presence from='romeo@localhost/r'") != 2 {
		t.Errorf("a contact was sent %s", n.juliet.got)
	}
	n.juliet.write("<message type='chat' to='romeo@localhost/r' id='m.3'><body>three</body></message>")
	romeo.await("id='m.3'")
	if got := strings.Count(romeo.got, "id='m.2'"); got != 1 {
		t.Errorf("the message that was stored meanwhile was sent %d times", got)
	}
	if got := n.cluster.Places("romeo@localhost"); len(got) != 1 || got[0].Node != n.b.Node().Self() || !got[0].Available {
		t.Errorf("the directory has %+v", got)
	}
	if n.a = n.start("a"); n.a.Restored.Sessions != 0 || n.saved() != 0 {
		t.Errorf("the node that has saved the session has it again: %+v", n.a.Restored)
	}
	romeo.sync()
}

// TestSavedOnce: a client resumes its session on another node at the moment when the node that
// has saved it starts. Whichever takes it, the client has it, and it exists once.
func TestSavedOnce(t *testing.T) {
	n := newSavedNodes(t)
	here := 0
	const rounds = 10
	for i := range rounds {
		n.stop()
		romeo := dialRaw(t, n.b)
		authenticate(romeo, "romeo", plainHeader)
		release := func() {}
		if i%2 == 0 {
			release = n.onB.StopWrites() // b comes too late
		}
		romeo.write("<resume xmlns='urn:xmpp:sm:3' h='0' previd='" + n.id + "'/>")
		n.a = n.start("a")
		here += n.a.Restored.Sessions
		release()
		romeo.await("<resumed ")
		romeo.await("id='m.1'")
		n.cluster.Wait()
		if a, b := n.a.Sessions.Find("romeo@localhost", "r"), n.b.Sessions.Find("romeo@localhost", "r"); a != nil || b == nil || n.saved() != 0 {
			t.Fatalf("round %d: the session is on a: %v, on b: %v; %d are saved", i, a, b, n.saved())
		}
		_ = romeo.conn.Close() // back to a
		romeo = n.request(n.a)
		romeo.await("<resumed ")
		n.cluster.Wait()
	}
	if here < rounds/2 {
		t.Errorf("the node that starts has taken its session %d times of %d", here, rounds)
	}
}

// TestSavedWhileStopping: a client asks another node for its session while the stopping node
// is saving it. It gets it.
func TestSavedWhileStopping(t *testing.T) {
	n := newSavedNodes(t)
	release := n.onA.StopWrites()
	defer release()
	stopped := make(chan session.Suspended, 1)
	go func() { stopped <- n.a.Suspend(t) }()
	xmpptest.Eventually(t, "the session to be written", func() bool { return n.onA.Calls("PutSessions") > 0 })
	romeo := n.request(n.b)
	for range 3 {
		n.juliet.sync()
		n.cluster.Wait()
	}
	release()
	romeo.await("<resumed ")
	romeo.await("id='m.1'")
	if done := <-stopped; done.Sessions != 1 || n.saved() != 0 {
		t.Errorf("%+v; %d sessions are saved", done, n.saved())
	}
}

// TestSavedSilent: a node that the others believe to be alive does not reply. The client gets what
// another one has saved nevertheless.
func TestSavedSilent(t *testing.T) {
	n := newSavedNodes(t)
	release := n.start("c").Node().HoldFor("romeo@localhost")
	n.stop()
	n.request(n.b).await("<resumed ")
	release()
}

// TestSavedNobodyWaits: the client has gone when its session was taken from the store. The
// session is put back, and the client can resume it later.
func TestSavedNobodyWaits(t *testing.T) {
	n := newSavedNodes(t)
	n.stop()
	release := n.onB.StopWrites()
	romeo := n.request(n.b)
	xmpptest.Eventually(t, "the session to be taken", func() bool { return n.onB.Calls("TakeSession") > 0 })
	_ = romeo.conn.Close()
	n.juliet.sync()
	release()
	xmpptest.Eventually(t, "the session to be put back", func() bool { return n.onB.Calls("PutSessions") > 0 && n.saved() == 1 })
	romeo = n.request(n.b)
	romeo.await("<resumed ")
	romeo.await("id='m.1'")
}

// TestSavedConflict: another client has the resource by the time that a client wants to resume
// a saved session. The session ends, and its messages go to that client.
func TestSavedConflict(t *testing.T) {
	n := newSavedNodes(t)
	n.stop()
	other := loginRaw(t, n.b, "romeo", plainHeader)
	other.ask("<presence/>")
	romeo := n.request(n.b)
	romeo.await("<item-not-found")
	other.await("id='m.1'")
	if got := n.saved(); got != 0 {
		t.Errorf("%d sessions are saved", got)
	}
}

// TestSavedPassword: a session whose account has got another password since it was saved is not
// resumed. What its client had not acknowledged is stored.
func TestSavedPassword(t *testing.T) {
	n := newSavedNodes(t)
	n.stop()
	keys, err := store.NewCredentials("secret", store.MinIterations)
	if err == nil {
		_, err = n.b.Store.SetCredentials(t.Context(), jid.MustParse("romeo@localhost"), store.AnyEvent, keys, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.request(n.b).await("<item-not-found")
	xmpptest.Eventually(t, "the message to be stored", func() bool { return len(n.offline()) == 1 })
}

// TestSavedOverdue: when the time of a saved session is over, any node hands its messages on,
// once, with the time at which they were sent, and tells its contacts. A client that wants to
// resume it then is told what was handled.
func TestSavedOverdue(t *testing.T) {
	n := newSavedNodes(t)
	n.stop()
	end := func(now time.Time) (ended int) {
		n.onWorker(func(turn *session.Turn) {
			var err error
			if ended, err = n.b.Router.EndOverdue(t.Context(), turn, now, 1<<20); err != nil {
				t.Error(err)
			}
		})
		return ended
	}
	if got := end(time.Now()); got != 0 {
		t.Errorf("%d sessions have ended before their time was over", got)
	}
	began := time.Now()
	if got := n.juliet.ask(""); strings.Contains(got, "<presence") {
		t.Errorf("a contact was told too early: %s", got)
	}
	if got := end(time.Now().Add(time.Hour)); got != 1 {
		t.Errorf("%d sessions have ended, want 1", got)
	}
	if got := end(time.Now().Add(time.Hour)); got != 0 {
		t.Errorf("%d sessions have ended again", got)
	}
	all := n.offline()
	if len(all) != 1 || !strings.Contains(string(all[0].Stanza), "<body>one<") || !all[0].Received.Before(began) {
		t.Errorf("stored: %+v", all)
	}
	n.request(n.b).await(fmt.Sprintf("<failed xmlns='urn:xmpp:sm:3' h='%d'>", 2))
	if got := n.juliet.ask(""); strings.Count(got, "<presence type='unavailable' from='romeo@localhost/r'") != 1 {
		t.Errorf("a contact was sent %s", got)
	}
}

// TestSavedCopies: two resources of a node get a message, and the node is stopped. The time of both
// saved sessions passes: the message is handed on only if neither client has acknowledged it before
// the stop.
func TestSavedCopies(t *testing.T) {
	for _, acked := range []bool{false, true} {
		t.Run(fmt.Sprint("acked ", acked), func(t *testing.T) {
			n := newSavedNodes(t)
			desk, _ := resumableAs(t, n.a, "romeo", "desk")
			desk.ask("<presence/>")
			n.juliet.write("<message type='chat' to='romeo@localhost' id='m.2'><body>two</body></message>")
			desk.await("id='m.2'")
			if acked {
				desk.ack(2)
			}
			desk.sync()
			n.cluster.Wait()
			if done := n.a.Suspend(t); done.Sessions != 2 {
				t.Fatalf("%+v", done)
			}
			n.onWorker(func(turn *session.Turn) {
				if _, err := n.b.Router.EndOverdue(t.Context(), turn, time.Now().Add(time.Hour), 1<<20); err != nil {
					t.Error(err)
				}
			})
			found := slices.ContainsFunc(n.offline(), func(m store.OfflineMessage) bool { return strings.Contains(string(m.Stanza), "id='m.2'") })
			if found == acked {
				t.Errorf("stored: %v", found)
			}
		})
	}
}
