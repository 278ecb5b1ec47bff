package router_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"roost/internal/xmpptest"
	"roost/jid"
)

const bindR = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>"

// TestBindFollows: a client makes a new session instead of resuming the earlier one. It gets
// its resource when what the earlier one had is stored, so that nothing overtakes that:
// neither what was sent to the earlier session meanwhile, nor what is sent to the new one.
func TestBindFollows(t *testing.T) { synctest.Test(t, testBindFollows) }

func testBindFollows(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	first := loginManaged(t, s, "juliet", "r")
	first.ask("<presence/>")
	send := func(id int, kind string) {
		romeo.write(fmt.Sprintf("<message type='%s' to='juliet@localhost/r' id='m.%d'><body>b</body></message>", kind, id))
		romeo.sync()
	}
	send(0, "normal")
	first.await("id='m.0'")
	storing, release := hold(st, "AppendOfflineAll")
	second := dialRaw(t, s)
	authenticate(second, "juliet", plainHeader)
	second.write(bindR)
	first.await("<conflict ")
	<-storing
	send(1, "normal")
	send(2, "chat")
	synctest.Wait()
	if n := s.Sessions.Counts().Unbound; n != 1 {
		t.Error("the resource is bound while the earlier session still has messages")
	}
	began := time.Now()
	release()
	second.await("id='bind'")
	if waited := time.Since(began); waited >= time.Second {
		t.Errorf("the resource is bound %v after the earlier session has left", waited)
	}
	second.ask("<presence/>")
	send(3, "normal")
	second.await("id='m.3'")
	if got := second.received(); !slices.Equal(got, numbers(0, 4)) {
		t.Errorf("received %v", got)
	}
	if romeo.sync(); strings.Contains(romeo.got, "type='error'") {
		t.Errorf("the sender received %s", romeo.got)
	}
}

// TestBindDespiteStore: a client gets its resource after ten seconds, although what the
// earlier session had is not stored yet.
func TestBindDespiteStore(t *testing.T) { synctest.Test(t, testBindDespiteStore) }

func testBindDespiteStore(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	first := loginManaged(t, s, "juliet", "r")
	first.ask("<presence/>")
	romeo.write("<message type='chat' to='juliet@localhost/r' id='m.0'><body>b</body></message>")
	first.await("id='m.0'")
	storing, release := hold(st, "AppendOfflineAll")
	defer release()
	second := dialRaw(t, s)
	authenticate(second, "juliet", plainHeader)
	second.write(bindR)
	<-storing
	began := time.Now()
	second.await("id='bind'")
	if waited := time.Since(began); waited < 9*time.Second || waited > 11*time.Second {
		t.Errorf("the client has waited for %v", waited)
	}
}

// TestBindWhileLeaving: a message to a session that has handed on all that it had, and that
// is about to leave for a new one, is stored whatever its type, unless that is one of a room
// or an error: these are for the session only.
func TestBindWhileLeaving(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, 1, "is stored")
	romeo.sync()
	first := loginManaged(t, s, "juliet", "r")
	first.write("<presence/>")
	first.await("id='m.0'")
	desk := loginManaged(t, s, "juliet", "desk")
	desk.ask("<presence/>")
	reading, goOn, stored := make(chan struct{}), make(chan struct{}), make(chan struct{})
	st.SetFault(func(op string) error {
		switch op {
		case "Offline": // by desk, at the end of the handing on
			close(reading)
			<-goOn
		case "AppendOffline":
			st.SetFault(nil)
			close(stored)
		}
		return nil
	})
	second := dialRaw(t, s)
	authenticate(second, "juliet", plainHeader)
	second.write(bindR)
	<-reading
	romeo.write("<message type='error' to='juliet@localhost/r' id='error'><body>b</body></message>" +
		"<message type='groupchat' to='juliet@localhost/r' id='room'><body>b</body></message>")
	romeo.await("type='error' id='room'")
	romeo.got, romeo.used = "", 0
	romeo.write("<message type='normal' to='juliet@localhost/r' id='m.1'><body>b</body></message>")
	<-stored
	close(goOn)
	second.await("id='bind'")
	desk.await("id='m.1'")
	if strings.Contains(desk.got, "id='error'") || strings.Contains(desk.got, "id='room'") {
		t.Errorf("another resource received %s", desk.got)
	}
	if romeo.sync(); strings.Contains(romeo.got, "type='error'") {
		t.Errorf("the sender received %s", romeo.got)
	}
}

// queuedAndStored has romeo send juliet messages. Those up to queued, with this text, are only in
// the queue of her session, which has not acknowledged them. The rest, up to all, it has got from
// the store.
func queuedAndStored(t *testing.T, s *xmpptest.Server, queued, all int, text string) (romeo, juliet *rawClient) {
	t.Helper()
	romeo, juliet = loginRaw(t, s, "romeo", plainHeader), loginManaged(t, s, "juliet", "r")
	juliet.ask("<presence/>")
	romeo.sendNumbered(0, queued, text)
	juliet.await(fmt.Sprintf("id='m.%d'", queued-1))
	juliet.ask("<presence><priority>-1</priority></presence>")
	romeo.sendNumbered(queued, all, "is stored")
	romeo.sync()
	juliet.write("<presence/>")
	juliet.await(fmt.Sprintf("id='m.%d'", all-1))
	return romeo, juliet
}

// TestHandOnReplaced: a client makes a new session instead of resuming the earlier one, and
// reads stored messages that the earlier one had, too, before these are handed on, because it
// waits only for a limited time. It gets them once.
func TestHandOnReplaced(t *testing.T) { synctest.Test(t, testHandOnReplaced) }

func testHandOnReplaced(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.PageBytes = 256 << 10 // so much may be unacknowledged before stored messages have to wait
	s, st := slowServer(t, cfg)
	romeo, _ := queuedAndStored(t, s, 3, 4, strings.Repeat("x", 22<<10)) // one batch

	storing, release := hold(st, "AppendOfflineAll")
	second := loginRaw(t, s, "juliet", plainHeader) // it need not acknowledge anything
	<-storing                                       // messages 0 to 2
	second.write("<presence/>")
	second.await("id='m.3'")
	release()
	second.await("id='m.2'")
	second.ask("<presence/>") // its echo comes after the messages that are stored
	romeo.sendNumbered(4, 5, "is the last one")
	second.await("id='m.4'")
	if got := second.received(); !slices.Equal(got, []int{3, 0, 1, 2, 4}) {
		t.Errorf("received %v", got)
	}
}

// TestHandOnWhileReplaced: the client makes its new session while messages that the earlier
// one had are stored again, behind one that was not stored before, and the store takes longer
// than the client waits. It gets them once.
func TestHandOnWhileReplaced(t *testing.T) { synctest.Test(t, testHandOnWhileReplaced) }

func testHandOnWhileReplaced(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	romeo, first := queuedAndStored(t, s, 1, 2, "b")

	storing, release := hold(st, "AppendOfflineAll")
	_ = first.conn.Close()
	<-storing // messages 0 and 1
	second := loginManaged(t, s, "juliet", "r")
	second.write("<presence/>")
	second.await("<presence") // its echo
	release()
	second.await("id='m.1'")
	second.sync()
	romeo.sendNumbered(2, 3, "is the last one")
	second.await("id='m.2'")
	if got := second.received(); !slices.Equal(got, numbers(0, 3)) {
		t.Errorf("received %v", got)
	}
}

// TestHandOnKeepsPlaces: messages that a client has got from the store, and not acknowledged,
// stay before those that are still there for it, although messages that the client got before,
// because they were sent to its full JID before it sent presence, have to be stored.
func TestHandOnKeepsPlaces(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.PageBytes = 3000
	s := xmpptest.NewServer(t, cfg)
	romeo, paris := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "paris", plainHeader)
	for i := range 6 {
		romeo.write(fmt.Sprintf("<message type='chat' to='juliet@localhost/r' id='m.%d'><body>%s</body></message>", i, strings.Repeat("x", 1000)))
	}
	romeo.sync()
	first := loginManaged(t, s, "juliet", "r")
	paris.write("<message type='chat' to='juliet@localhost/r' id='m.6'><body>b</body></message>")
	first.await("id='m.6'")
	romeo.write("<message type='chat' to='juliet@localhost/r' id='m.7'><body>b</body></message>")
	first.await("id='m.7'")
	first.write("<presence/>")
	first.await("id='m.0'")
	romeo.write("<message type='chat' to='juliet@localhost/r' id='m.8'><body>is stored, and not sent to the first session</body></message>")
	romeo.sync()
	first.lose(s, "juliet@localhost/r")
	second := loginRaw(t, s, "juliet", plainHeader)
	second.write("<presence/>")
	second.await("id='m.8'")
	second.sync()
	if got := second.received(); !slices.Equal(got, numbers(0, 9)) {
		t.Errorf("received %v", got)
	}
}

// TestHandOnAtOnce: messages that are stored again, behind one that was not stored before, are not
// in the store twice, not even for a moment: a server that was killed then would send them twice, and
// before the one that they follow.
func TestHandOnAtOnce(t *testing.T) {
	s, st := slowServer(t, xmpptest.Config{})
	_, first := queuedAndStored(t, s, 1, 3, "b")
	st.SetFault(func(op string) error {
		if op == "DeleteOffline" {
			return errors.New("the server is killed before it deletes anything")
		}
		return nil
	})
	first.lose(s, "juliet@localhost/r")
	awaitStored(t, s, 3)
	messages, _, err := s.Store.Offline(t.Context(), jid.MustParse("juliet@localhost"), 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range messages {
		_, id, _ := strings.Cut(string(m.Stanza), " id='m.")
		got = append(got, id[:1])
	}
	if !slices.Equal(got, []string{"0", "1", "2"}) {
		t.Errorf("the stored messages are %q", got)
	}
}

// TestHandOnRoom: the sender of a message of a room gets an error if the client has not
// acknowledged it, also if the client makes a new session instead of resuming the earlier one.
func TestHandOnRoom(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	romeo := loginRaw(t, s, "romeo", plainHeader)
	first := loginManaged(t, s, "juliet", "r")
	first.ask("<presence/>")
	romeo.write("<message type='groupchat' to='juliet@localhost/r' id='room'><body>b</body></message>")
	first.await("id='room'")
	second := dialRaw(t, s)
	authenticate(second, "juliet", plainHeader)
	second.write(bindR)
	second.await("id='bind'")
	romeo.await("type='error' id='room'")
	awaitStored(t, s, 0)
}

// TestHandOnFullMailbox: a message that a client has got from the store, and not acknowledged, is
// not lost when it is stored again and the mailbox is full.
func TestHandOnFullMailbox(t *testing.T) {
	var cfg xmpptest.Config
	cfg.Router.MaxOffline = 1
	s := xmpptest.NewServer(t, cfg)
	_, first := queuedAndStored(t, s, 1, 2, "b")
	first.lose(s, "juliet@localhost/r")
	second := loginRaw(t, s, "juliet", plainHeader)
	second.write("<presence/>")
	second.await("id='m.1'")
	if second.sync(); !slices.Equal(second.received(), []int{1}) {
		t.Errorf("received %v", second.received())
	}
	awaitStored(t, s, 0)
}
