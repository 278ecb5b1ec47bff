package router_test

import (
	"strings"
	"testing"

	"roost/internal/xmpptest"
	"roost/router"
	"roost/session"
	"roost/stanza"
)

// TestStatsOfMessages: each message is counted once, by what became of it.
func TestStatsOfMessages(t *testing.T) {
	far := &component{domain: "far.example"}
	var cfg xmpptest.Config
	cfg.Router.MaxOffline = 3
	cfg.Router.OfflineShare = 100
	cfg.Router.Extensions = []router.Extension{{
		Name: "taker", Title: "test", Routes: []router.Route{far},
		Incoming: func(_ *session.Turn, _ router.Sender, st *stanza.Stanza) router.Verdict {
			if st.Kind == stanza.Message && string(st.ID) == "take" {
				return router.Handled
			}
			return router.Pass
		},
	}}
	s := xmpptest.NewServer(t, cfg)
	romeo := loginRaw(t, s, "romeo", plainHeader)
	var want router.Stats
	f := func(message string, count *int64) {
		t.Helper()
		romeo.write(message)
		romeo.sync()
		*count++
		got := s.Router.Stats()
		got = router.Stats{Delivered: got.Delivered, Stored: got.Stored, Refused: got.Refused, Dropped: got.Dropped, Handled: got.Handled,
			OfflineDelivered: got.OfflineDelivered, OfflineDeleted: got.OfflineDeleted}
		if got != want {
			t.Fatalf("%s:\n%+v, want\n%+v", message, got, want)
		}
	}
	body := "<body>b</body></message>"
	f("<message to='juliet@localhost' type='chat'>"+body, &want.Stored)
	f("<message to='juliet@localhost'>"+body, &want.Stored)
	f("<message to='juliet@localhost/none' type='chat'>"+body, &want.Stored)
	f("<message to='juliet@localhost' type='chat'>"+body, &want.Refused) // the mailbox is full
	f("<message to='nobody@localhost' type='chat'>"+body, &want.Refused)
	f("<message to='juliet@localhost/none'>"+body, &want.Refused)
	f("<message to='juliet@localhost/none' type='headline'>"+body, &want.Dropped)
	f("<message to='juliet@localhost' type='headline'>"+body, &want.Dropped)
	f("<message to='juliet@localhost' type='chat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>", &want.Dropped)
	f("<message to='juliet@localhost' type='groupchat'>"+body, &want.Refused)
	f("<message to='juliet@localhost' type='error'>"+body, &want.Dropped)
	f("<message to='juliet@localhost/none' type='error'>"+body, &want.Dropped)
	f("<message to='localhost'>"+body, &want.Refused)
	f("<message to='x@elsewhere.example'>"+body, &want.Refused)
	f("<message to='x@far.example'>"+body, &want.Delivered)
	far.refuse(stanza.ServiceUnavailable)
	f("<message to='x@far.example'>"+body, &want.Refused)
	f("<message id='take' to='juliet@localhost'>"+body, &want.Handled)
	f("<presence/>", new(int64))

	juliet := loginRaw(t, s, "juliet", plainHeader)
	juliet.write("<presence/>")
	juliet.sync()
	want.OfflineDelivered, want.OfflineDeleted = 3, 3
	f("<message to='juliet@localhost' type='chat'>"+body, &want.Delivered)
	f("<message to='juliet@localhost/r' type='headline'>"+body, &want.Delivered)
	f("<iq type='get' id='i' to='juliet@localhost/none'><x xmlns='y'/></iq>", new(int64))
}

// TestStatsOfRosters: the cache's hits, misses and size.
func TestStatsOfRosters(t *testing.T) {
	s := xmpptest.NewServer(t, xmpptest.Config{})
	if st := s.Router.Stats(); st.RosterBytes != 0 || st.RosterEntries != 0 || st.RosterLimit != 8<<20 {
		t.Errorf("%+v", st)
	}
	romeo := loginRaw(t, s, "romeo", plainHeader)
	romeo.write("<iq type='set' id='s'><query xmlns='jabber:iq:roster'><item jid='juliet@localhost' name='" + strings.Repeat("x", 500) + "'/></query></iq>")
	romeo.sync()
	before := s.Router.Stats()
	if before.RosterBytes < 500 || before.RosterEntries != 1 || before.RosterMisses == 0 {
		t.Errorf("%+v", before)
	}
	romeo.write("<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>")
	romeo.sync()
	if st := s.Router.Stats(); st.RosterHits <= before.RosterHits || st.RosterMisses != before.RosterMisses {
		t.Errorf("%+v, before %+v", st, before)
	}
}
