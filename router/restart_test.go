package router_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"roost/internal/teststores"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/store"
)

// TestRestartOffline: a client that has not read all of its stored messages when the server
// is restarted gets the rest when it resumes its session, in order and once. Messages that
// are sent after the restart follow.
func TestRestartOffline(t *testing.T) {
	cfg := xmpptest.Config{Location: teststores.SQLite.New(t)}
	cfg.Router.PageBytes = 3000
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, 10, strings.Repeat("b", 1000))
	romeo.sync()
	juliet, id := resumable(t, s, "juliet")
	juliet.say("<presence/>", "id='m.1'")
	juliet.sync()
	if n := len(juliet.received()); n < 2 || n > 8 {
		t.Fatalf("%d messages were sent before one was acknowledged, want some of 10", n)
	}
	s.Suspend(t)

	s = xmpptest.NewServer(t, cfg)
	romeo = loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(10, 12, "b")
	romeo.sync()
	juliet = resumeAt(t, s, "juliet", id, "0")
	juliet.got, juliet.used = juliet.got[juliet.used:], 0
	for i := range 12 {
		juliet.await(fmt.Sprintf("id='m.%d'", i))
		juliet.ack(i)
	}
	juliet.sync()
	if got := juliet.received(); !slices.Equal(got, numbers(0, 12)) {
		t.Errorf("received %v", got)
	}
	xmpptest.Eventually(t, "all messages to be deleted", func() bool { return storedMessages(t, s) == 0 })
}

// TestRestartRequests: subscription requests that wait until the client has acknowledged others, when
// the server is restarted, are sent when it resumes its session.
func TestRestartRequests(t *testing.T) {
	const senders = 8
	cfg := xmpptest.Config{Location: teststores.SQLite.New(t)}
	cfg.Router.PageBytes = 3000
	s := xmpptest.NewServer(t, cfg)
	names := addAccounts(t, s, senders)
	for _, name := range names {
		c := loginRaw(t, s, name.Local(), plainHeader)
		c.ask("<presence/><presence type='subscribe' to='romeo@localhost'><status>" + strings.Repeat("s", 1000) + "</status></presence>")
	}
	romeo, id := resumable(t, s, "romeo")
	romeo.say("<presence/>", "type='subscribe'")
	romeo.sync()
	if n := strings.Count(romeo.got, "type='subscribe'"); n == senders {
		t.Fatal("all requests were sent before one was acknowledged")
	}
	s.Suspend(t)

	s = xmpptest.NewServer(t, cfg)
	stanzas := strings.Count(romeo.got, "<message") + strings.Count(romeo.got, "<presence") + strings.Count(romeo.got, "<iq")
	romeo = resumeAt(t, s, "romeo", id, strconv.Itoa(stanzas))
	romeo.got, romeo.used = romeo.got[romeo.used:], 0
	for _, name := range names {
		romeo.await("from='" + name.String() + "'") // all are sent again
		romeo.write(fmt.Sprintf("<a xmlns='urn:xmpp:sm:3' h='%d'/>", stanzas+strings.Count(romeo.got, "<presence")))
	}
}

// TestRestartStoredLater: a message that was stored when the client's session had been saved
// already, because the server had more to do than there was time for, is sent to the client when
// it resumes the session.
func TestRestartStoredLater(t *testing.T) {
	cfg := xmpptest.Config{Location: teststores.SQLite.New(t)}
	s := xmpptest.NewServer(t, cfg)
	juliet, id := resumable(t, s, "juliet")
	juliet.ask("<presence/>")
	s.Suspend(t)

	st, err := cfg.Location.Open(t.Context(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	late := store.NewMessage{
		From:     jid.MustParse("romeo@localhost/r"),
		Stanza:   []byte("<message from='romeo@localhost/r' to='juliet@localhost' type='chat' id='m.0'><body>b</body></message>"),
		Received: time.Now(),
	}
	if err := st.AppendOffline(t.Context(), jid.MustParse("juliet@localhost"), late, store.OfflineQuota{}); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	s = xmpptest.NewServer(t, cfg)
	juliet = resumeAt(t, s, "juliet", id, "0")
	juliet.got, juliet.used = juliet.got[juliet.used:], 0
	juliet.await("id='m.0'")
	juliet.ack(0)
	awaitStored(t, s, 0)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(1, 2, "b")
	juliet.await("id='m.1'")
	if got := juliet.received(); !slices.Equal(got, numbers(0, 2)) {
		t.Errorf("received %v", got)
	}
}
