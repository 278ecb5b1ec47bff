package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"roost/internal/memnet"
	"roost/internal/xmpptest"
	"roost/jid"
	"roost/router"
	"roost/session"
	"roost/stanza"
	"roost/store"
)

// durable is the configuration of a server that stores messages before it delivers them.
func durable() (cfg xmpptest.Config) {
	cfg.Router.Durable = true
	return cfg
}

// TestDurableFirst: a message is neither delivered nor acknowledged before it is in the
// store. Its sender waits for that, and no one else does.
func TestDurableFirst(t *testing.T) {
	s, st := slowServer(t, durable())
	juliet := loginManaged(t, s, "juliet", "r")
	juliet.say("<presence/>", "<presence")
	romeo, nurse := loginManaged(t, s, "romeo", "r"), loginRaw(t, s, "nurse", plainHeader)
	release := block(st, "AppendOfflineAll")
	defer release()
	romeo.sendNumbered(0, 1, "b")
	xmpptest.Eventually(t, "the message to be stored", func() bool { return st.Calls("AppendOfflineAll") == 1 })
	romeo.write("<r xmlns='urn:xmpp:sm:3'/><iq type='get' id='later' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
	nurse.sync()
	nurse.write("<message type='headline' to='juliet@localhost' id='news'><body>b</body></message>")
	juliet.await("id='news'")
	if juliet.received() != nil || strings.Contains(romeo.got, "<a ") || strings.Contains(romeo.got, "id='later'") {
		t.Errorf("before the message was stored, the recipient has %q and the sender has %q", juliet.got, romeo.got)
	}
	release()
	juliet.await("id='m.0'")
	romeo.await("<a xmlns='urn:xmpp:sm:3' h='1'/>")
	romeo.await("id='later'")
	if n := storedMessages(t, s); n != 1 {
		t.Errorf("%d messages are in the store, want the one that was not acknowledged", n)
	}
	if delayStamp.MatchString(juliet.got) {
		t.Errorf("a message to a client that is online has a delay stamp: %s", juliet.got)
	}
	juliet.ack(0)
	awaitStored(t, s, 0)
}

// TestDurableWritten: a message to a client without stream management leaves the store when
// its socket has accepted it.
func TestDurableWritten(t *testing.T) {
	s := xmpptest.NewServer(t, durable())
	romeo, juliet := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader)
	juliet.say("<presence/>", "<presence")
	romeo.sendNumbered(0, 1, "b")
	juliet.await("id='m.0'")
	awaitStored(t, s, 0)
	const n = 12
	romeo.sendNumbered(1, n, strings.Repeat("x", memnet.SocketBuffer/8))
	romeo.sync()
	if got := storedMessages(t, s); got == 0 {
		t.Error("no message is in the store, and the socket has not accepted all")
	}
	second := loginRaw(t, s, "juliet", plainHeader) // disconnects the first one
	second.write("<presence/>")
	second.await(fmt.Sprintf("id='m.%d'", n-1))
	second.sync()
	if got := second.received(); !slices.Equal(got, numbers(n-len(got), n)) {
		t.Errorf("the next session received %v", got)
	}
	awaitStored(t, s, 0)

	romeo.sendNumbered(n, 2*n, strings.Repeat("x", memnet.SocketBuffer/8))
	romeo.sync()
	second.await(fmt.Sprintf("id='m.%d'", 2*n-1))
	awaitStored(t, s, 0)
}

// pausedStore pauses AppendOfflineAll after the messages are in the store.
type pausedStore struct {
	store.Store
	appended chan struct{} // receives a value then
	resume   chan struct{}
}

func (p *pausedStore) AppendOfflineAll(ctx context.Context, owner jid.JID, all []store.NewMessage, quota store.OfflineQuota) ([]store.StoredMessage, error) {
	stored, err := p.Store.AppendOfflineAll(ctx, owner, all, quota)
	p.appended <- struct{}{}
	<-p.resume
	return stored, err
}

// TestDurableReadMeanwhile: a resource that reads the stored messages after a message was
// stored, and before it is delivered, gets it once.
func TestDurableReadMeanwhile(t *testing.T) {
	for _, managed := range []bool{false, true} {
		t.Run(fmt.Sprintf("managed=%v", managed), func(t *testing.T) {
			p := &pausedStore{appended: make(chan struct{}), resume: make(chan struct{})}
			cfg := durable()
			cfg.Wrap = func(st store.Store) store.Store {
				p.Store = st
				return p
			}
			s := xmpptest.NewServer(t, cfg)
			romeo := loginRaw(t, s, "romeo", plainHeader)
			romeo.sendNumbered(0, 1, "b")
			<-p.appended
			var juliet *rawClient
			if managed {
				juliet = loginManaged(t, s, "juliet", "r")
			} else {
				juliet = loginRaw(t, s, "juliet", plainHeader)
			}
			juliet.write("<presence/>")
			juliet.await("id='m.0'")
			if managed {
				juliet.ack(0)
			}
			awaitStored(t, s, 0)
			p.resume <- struct{}{}
			romeo.sync()
			romeo.sendNumbered(1, 2, "b")
			<-p.appended
			p.resume <- struct{}{}
			juliet.await("id='m.1'")
			if got := juliet.received(); !slices.Equal(got, numbers(0, 2)) {
				t.Errorf("received %v", got)
			}
			if n := len(delayStamp.FindAllString(juliet.got, -1)); n != 1 {
				t.Errorf("%d messages have a delay stamp, want the first one: %s", n, juliet.got)
			}
		})
	}
}

// TestDurableCopies: of a message that several resources got, one that acknowledges it is
// enough. If none does, the next resource gets it, once.
func TestDurableCopies(t *testing.T) {
	s := xmpptest.NewServer(t, durable())
	romeo := loginRaw(t, s, "romeo", plainHeader)
	first, second := loginManaged(t, s, "juliet", "first"), loginManaged(t, s, "juliet", "second")
	for _, c := range []*rawClient{first, second} {
		c.say("<presence/>", "<presence")
	}
	romeo.sendNumbered(0, 2, "b")
	for _, c := range []*rawClient{first, second} {
		c.await("id='m.1'")
	}
	first.ack(0)
	awaitStored(t, s, 1)
	second.lose(s, "juliet@localhost/second")
	first.sync()
	first.lose(s, "juliet@localhost/first")
	third := loginRaw(t, s, "juliet", plainHeader)
	third.write("<presence/>")
	third.await("id='m.1'")
	third.sync()
	if got := third.received(); !slices.Equal(got, []int{1}) || len(delayStamp.FindAllString(third.got, -1)) != 1 {
		t.Errorf("received %v: %s", got, third.got)
	}
	if got := first.received(); !slices.Equal(got, numbers(0, 2)) {
		t.Errorf("the first resource received %v", got)
	}
	awaitStored(t, s, 0)
}

// TestDurableOrder: while a sender continues, the receiver's connection is lost again and
// again. Nothing is lost, and nothing that was acknowledged is repeated.
func TestDurableOrder(t *testing.T) { testHandOnOrder(t, durable()) }

// TestDurableQuota: messages that a resource takes do not count towards the quota of its
// account, and those that wait for one do.
func TestDurableQuota(t *testing.T) {
	const quota, n = 2, 10
	cfg := durable()
	cfg.Router.MaxOffline, cfg.Router.OfflineShare = quota, 100
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	juliet := loginManaged(t, s, "juliet", "r")
	juliet.say("<presence/>", "<presence")
	romeo.sendNumbered(0, n, "b")
	juliet.await(fmt.Sprintf("id='m.%d'", n-1))
	if got := storedMessages(t, s); got != n {
		t.Errorf("%d messages are in the store, want %d", got, n)
	}
	juliet.ack(n - 1)
	awaitStored(t, s, 0)
	juliet.lose(s, "juliet@localhost/r")
	romeo.sendNumbered(n, 2*n, "b")
	romeo.sync()
	if got := storedMessages(t, s); got != quota {
		t.Errorf("%d messages are in the store, want %d", got, quota)
	}
}

// TestDurableUnacked: a client that takes messages and never acknowledges them does not fill the store
// beyond what the sessions of its account may have unacknowledged, however often it comes back.
func TestDurableUnacked(t *testing.T) {
	const quota, unacked = 2, 64 << 10
	cfg := durable()
	cfg.Router.MaxOffline, cfg.Router.OfflineShare = quota, 100
	cfg.Session.Unacked = unacked
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	most := quota + unacked/router.LeastStored
	for i := range 5 {
		juliet := loginManaged(t, s, "juliet", "r"+strconv.Itoa(i)) // it is not available, and gets no stored messages
		for range 4 {
			romeo.write(strings.Repeat("<message type='chat' to='juliet@localhost/r"+strconv.Itoa(i)+"'><body>b</body></message>", most/8))
			romeo.sync()
		}
		juliet.lose(s, "juliet@localhost/r"+strconv.Itoa(i))
		if got := storedMessages(t, s); got > most {
			t.Fatalf("%d messages are in the store, want at most %d", got, most)
		}
	}
	if got := storedMessages(t, s); got <= quota+most/4 {
		t.Errorf("only %d messages are in the store", got)
	}
}

// TestDurableTypes: what would not be stored for an account without a client is not stored
// before it is delivered.
func TestDurableTypes(t *testing.T) {
	s, st := slowServer(t, durable())
	romeo, juliet := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader)
	juliet.say("<presence/>", "<presence")
	f := func(attrs, content string, want int64) {
		t.Helper()
		before := st.Calls("AppendOfflineAll")
		romeo.write("<message " + attrs + ">" + content + "</message>")
		romeo.sync()
		if got := st.Calls("AppendOfflineAll") - before; got != want {
			t.Errorf("%s %s: %d messages were stored, want %d", attrs, content, got, want)
		}
	}
	const body = "<body>b</body>"
	f("to='juliet@localhost'", body, 1)
	f("to='juliet@localhost/r' type='chat'", body, 1)
	f("to='juliet@localhost/none' type='chat'", body, 1)
	f("type='chat'", body, 1) // to oneself
	f("to='nobody@localhost' type='chat'", body, 1)
	f("to='juliet@localhost'", "<store xmlns='urn:xmpp:hints'/>", 1)
	f("to='juliet@localhost/none'", body, 0)
	f("to='juliet@localhost'", body+"<no-store xmlns='urn:xmpp:hints'/>", 0)
	f("to='juliet@localhost'", "<active xmlns='http://jabber.org/protocol/chatstates'/>", 0)
	f("to='juliet@localhost' type='headline'", body, 0)
	f("to='juliet@localhost/r' type='groupchat'", body, 0)
	f("to='juliet@localhost/r' type='error'", body, 0)
	f("to='localhost'", body, 0)
	f("to='juliet@elsewhere.example'", body, 0)
}

// TestDurableFault: a message that cannot be stored is delivered to no one, and its sender
// gets an error by which it may try again.
func TestDurableFault(t *testing.T) {
	cfg := durable()
	s, st := slowServer(t, cfg)
	romeo, juliet := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader)
	juliet.say("<presence/>", "<presence")
	st.SetFault(func(op string) error {
		if op == "AppendOfflineAll" {
			return errors.New("the disk is full")
		}
		return nil
	})
	romeo.sendNumbered(0, 1, "b")
	romeo.await("<error type='wait'>")
	st.SetFault(nil)
	romeo.sendNumbered(1, 2, "b")
	juliet.await("id='m.1'")
	if got := juliet.received(); !slices.Equal(got, []int{1}) {
		t.Errorf("received %v", got)
	}
	// It is counted after it was sent.
	xmpptest.Eventually(t, "one was delivered and one refused", func() bool {
		got := s.Router.Stats()
		return got.Delivered == 1 && got.Refused == 1
	})
}

// TestTakenByStore: extensions are told that a durable message was stored for later.
func TestTakenByStore(t *testing.T) {
	var c calls
	cfg := durable()
	cfg.Router.Extensions = []router.Extension{{
		Name: "taken", Title: "test",
		Delivered: func(_ *session.Turn, _ router.Sender, _ jid.JID, _ *stanza.Stanza, taken router.Taken) session.Work {
			c.add("%d", taken)
			return session.Done
		},
	}}
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.sendNumbered(0, 1, "b")
	romeo.sync()
	juliet := loginRaw(t, s, "juliet", plainHeader)
	juliet.write("<presence/>")
	juliet.sync()
	romeo.write("<message to='juliet@localhost/r'><body>b</body></message>")
	romeo.sendNumbered(1, 2, "b")
	romeo.sync()
	if got, want := c.take(), fmt.Sprintf("%d %d %d", router.TakenByStore, router.TakenByOne, router.TakenByAll); got != want {
		t.Errorf("taken by %s, want %s", got, want)
	}
}

// TestDurableAfterHeld: what is held for an inactive client (XEP-0352) is sent before a message
// that was stored.
func TestDurableAfterHeld(t *testing.T) {
	s := xmpptest.NewServer(t, durable())
	romeo, juliet := loginRaw(t, s, "romeo", plainHeader), loginRaw(t, s, "juliet", plainHeader)
	juliet.say("<presence/>", "<presence")
	juliet.write("<inactive xmlns='urn:xmpp:csi:0'/>")
	juliet.sync()
	romeo.write("<message type='chat' to='juliet@localhost/r' id='state'><paused xmlns='http://jabber.org/protocol/chatstates'/></message>")
	romeo.sync()
	juliet.sync()
	if strings.Contains(juliet.got, "id='state'") {
		t.Fatal("the chat state was not held")
	}
	romeo.sendNumbered(0, 1, "b")
	juliet.await("id='m.0'")
	if before, _, _ := strings.Cut(juliet.got, "id='m.0'"); !strings.Contains(before, "id='state'") {
		t.Errorf("what was held was not sent before the message: %s", juliet.got)
	}
}
