package router_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/jid"
	"roost/session"
	"roost/store/faultstore"
)

// TestFloodLeavesSpace: one sender cannot fill another user's mailbox, neither by number
// nor by size: messages from other senders are still stored.
func TestFloodLeavesSpace(t *testing.T) {
	for _, size := range []int{10, 3000} {
		var cfg xmpptest.Config
		cfg.Router.MaxOffline, cfg.Router.OfflineBytes = 10, 30_000
		s := xmpptest.NewServer(t, cfg)
		send := func(from string, n, size int) (kept int) {
			t.Helper()
			c := loginRaw(t, s, from, plainHeader)
			for i := range n {
				c.write(fmt.Sprintf("<message type='chat' to='juliet@localhost' id='%s.%d'><body>%s</body></message>", from, i, strings.Repeat("x", size)))
			}
			c.sync()
			if strings.Contains(c.got, "type='error'") {
				t.Errorf("a sender that is not a contact learns that the mailbox is full: %s", c.got)
			}
			all, err := s.Store.CountOffline(t.Context(), jid.MustParse("juliet@localhost"))
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		flood := send("nurse", 20, size)
		if flood < 4 || flood > 5 {
			t.Errorf("%d of the flood's 20 messages of %d bytes were stored, want about 5", flood, size)
		}
		if all := send("romeo", 4, size); all != flood+4 {
			t.Errorf("%d of the others' 4 messages were stored", all-flood)
		}
		juliet := loginRaw(t, s, "juliet", plainHeader)
		juliet.write("<presence/>")
		juliet.sync()
		if got := strings.Count(juliet.got, "id='romeo."); got != 4 {
			t.Errorf("%d of the others' 4 messages were received", got)
		}
	}
}

// TestDeliveredOnce: delivered messages that the store cannot delete, because its disk is
// full, are not delivered again to any resource; new ones are. When the store can delete
// again, they are deleted.
func TestDeliveredOnce(t *testing.T) {
	faulty := new(faultstore.Faults)
	var cfg xmpptest.Config
	cfg.Router.PageBytes = 500 // several pages
	cfg.Store = faulty.Options()
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	send := func(from, to int) {
		for i := from; i < to; i++ {
			romeo.write(fmt.Sprintf("<message type='chat' to='juliet@localhost' id='m.%d'><body>b</body></message>", i))
		}
		romeo.sync()
	}
	send(0, 20)
	faulty.SetFault(func(method string) error {
		if method == "DeleteOffline" {
			return errors.New("no space is left on the disk")
		}
		return nil
	})
	juliet := loginRaw(t, s, "juliet", plainHeader)
	juliet.got, juliet.used = "", 0
	for range 3 {
		juliet.write("<presence/>")
		juliet.sync()
		juliet.write("<presence type='unavailable'/>")
		juliet.sync()
	}
	inOrder(t, juliet.got, "id='m.", 20)
	send(20, 22)
	juliet.write("<presence/>")
	juliet.sync()
	inOrder(t, juliet.got, "id='m.", 22)

	waiting := func() int {
		n, err := s.Store.CountOffline(t.Context(), jid.MustParse("juliet@localhost"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := waiting(); n != 22 {
		t.Fatalf("%d messages are in the store, though none can be deleted", n)
	}
	faulty.SetFault(nil)
	s.Router.FlushPending(t.Context())
	if n := waiting(); n != 0 {
		t.Errorf("%d messages are left in the store", n)
	}
	juliet.write("<presence type='unavailable'/>")
	juliet.sync()
	send(22, 24)
	juliet.write("<presence/>")
	juliet.sync()
	inOrder(t, juliet.got, "id='m.", 24)
	if n := waiting(); n != 0 {
		t.Errorf("%d messages are left in the store", n)
	}
}

// TestFlushInterrupted: a client that reads its stored messages slowly, and leaves or gets
// a negative priority before the end, is sent no more of them. The rest is sent when it
// takes messages again, each once and in order.
func TestFlushInterrupted(t *testing.T) {
	for _, leaving := range []string{"<presence type='unavailable'/>", "<presence><priority>-1</priority></presence>"} {
		const n = 150
		var cfg xmpptest.Config
		cfg.Router.PageBytes = 1000
		s := xmpptest.NewServer(t, cfg)
		romeo := loginRaw(t, s, "romeo", plainHeader)
		filler := strings.Repeat("x", 1000)
		for i := range n {
			romeo.write(fmt.Sprintf("<message type='chat' to='juliet@localhost' id='m.%d'><body>%s</body></message>", i, filler))
		}
		romeo.sync()
		juliet := loginRaw(t, s, "juliet", plainHeader)
		juliet.got, juliet.used = "", 0
		juliet.write("<presence/>")
		it := s.Sessions.Find("juliet@localhost", "r")
		xmpptest.Eventually(t, "the socket to be full", func() bool { return it.Conn().Queued() > 1000 })
		juliet.write(leaving)
		xmpptest.Eventually(t, "the client to have left", func() bool { return !wantsMessages(it) })
		juliet.sync()
		if got := strings.Count(juliet.got, "<delay "); got == 0 || got == n {
			t.Fatalf("%s: %d messages were received before, want some and not all of %d", leaving, got, n)
		}
		juliet.write("<presence/>")
		for strings.Count(juliet.got, "<delay ") < n {
			juliet.await("<delay ")
		}
		juliet.sync()
		inOrder(t, juliet.got, "id='m.", n)
	}
}

// TestLargeMessagesWaiting: messages of which an outbox holds only one are sent one by one
// to a client that reads slowly, whatever the socket still holds of the previous one.
func TestLargeMessagesWaiting(t *testing.T) {
	const n = 8
	for size := 16 << 10; size < 18<<10; size += 250 {
		cfg := xmpptest.Config{Outbox: 20 << 10}
		cfg.Router.PageBytes = 5 << 10
		s := xmpptest.NewServer(t, cfg)
		romeo := loginRaw(t, s, "romeo", plainHeader)
		for i := range n {
			romeo.write(fmt.Sprintf("<message type='chat' to='juliet@localhost' id='m.%d'><body>%s</body></message>", i, strings.Repeat("x", size)))
		}
		romeo.sync()
		juliet := loginRaw(t, s, "juliet", plainHeader)
		juliet.got, juliet.used = "", 0
		juliet.write("<presence/>")
		it := s.Sessions.Find("juliet@localhost", "r")
		xmpptest.Eventually(t, "the socket to be full", func() bool { return it.Conn().Queued() > 0 })
		for range n {
			juliet.await("<delay ")
		}
		juliet.sync()
		inOrder(t, juliet.got, "id='m.", n)
	}
}

func wantsMessages(s *session.Session) bool { return s.Available() && s.Priority() >= 0 }
